"""Variational autoencoders and their objectives, one idea a file."""

from lsgen.models.vae.capacity import Capacity
from lsgen.models.vae.elbo import ELBO
from lsgen.models.vae.objective import Objective
from lsgen.models.vae.vae import VAE

__all__ = ["ELBO", "VAE", "Capacity", "Objective"]
