"""Variational autoencoders and their objectives, one idea a file."""

from lsgen.models.vae.ada_gvae import AdaGVAE
from lsgen.models.vae.adversarial import AdversarialObjective
from lsgen.models.vae.autoencoder import Autoencoder, Corruption, Denoising, GaussianNoise, Masking
from lsgen.models.vae.beta_tcvae import BetaTCVAE
from lsgen.models.vae.capacity import Capacity
from lsgen.models.vae.ciwae import CIWAE
from lsgen.models.vae.contractive import Contractive
from lsgen.models.vae.dip_vae import DIPVAE
from lsgen.models.vae.dreg import DReG
from lsgen.models.vae.elbo import ELBO
from lsgen.models.vae.factor_vae import FactorVAE
from lsgen.models.vae.info_vae import InfoVAE
from lsgen.models.vae.iwae import IWAE, MIWAE
from lsgen.models.vae.missing import MissingDataIWAE
from lsgen.models.vae.objective import DataSetObjective, Objective
from lsgen.models.vae.piwae import PIWAE
from lsgen.models.vae.rae import RAEGP, RAEL2
from lsgen.models.vae.rbf_variance import RBFVariance
from lsgen.models.vae.renyi import Renyi
from lsgen.models.vae.semi_supervised import SemiSupervised
from lsgen.models.vae.stacked import StackedSemiSupervised
from lsgen.models.vae.vae import VAE
from lsgen.models.vae.vq_vae import VQVAE
from lsgen.models.vae.wae_gan import WAEGAN
from lsgen.models.vae.wae_mmd import WAEMMD

__all__ = [
    "CIWAE",
    "DIPVAE",
    "ELBO",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "RAEGP",
    "RAEL2",
    "VAE",
    "VQVAE",
    "WAEGAN",
    "WAEMMD",
    "AdaGVAE",
    "AdversarialObjective",
    "Autoencoder",
    "BetaTCVAE",
    "Capacity",
    "Contractive",
    "Corruption",
    "DReG",
    "DataSetObjective",
    "Denoising",
    "FactorVAE",
    "GaussianNoise",
    "InfoVAE",
    "Masking",
    "MissingDataIWAE",
    "Objective",
    "RBFVariance",
    "Renyi",
    "SemiSupervised",
    "StackedSemiSupervised",
]
