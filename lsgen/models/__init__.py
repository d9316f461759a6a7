"""Lightning modules with a latent space."""

from lsgen.models.base import Batch, LatentModel
from lsgen.models.fitted import FittedModel
from lsgen.models.linear import LinearModel
from lsgen.models.losses import Losses, ScalarLoss
from lsgen.models.vae import VAE

__all__ = ["VAE", "Batch", "FittedModel", "LatentModel", "LinearModel", "Losses", "ScalarLoss"]
