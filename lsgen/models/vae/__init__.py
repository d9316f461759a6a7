"""Variational autoencoders and their training objectives, one file each."""

from lsgen.models.vae.aggregate.adversarial import AdversarialObjective
from lsgen.models.vae.aggregate.beta_tcvae import BetaTCVAE
from lsgen.models.vae.aggregate.dip_vae import DIPVAE
from lsgen.models.vae.aggregate.factor_vae import FactorVAE
from lsgen.models.vae.aggregate.info_vae import InfoVAE
from lsgen.models.vae.aggregate.wae_gan import WAEGAN
from lsgen.models.vae.aggregate.wae_mmd import WAEMMD
from lsgen.models.vae.autoencoders.autoencoder import Autoencoder, Corruption, Denoising, GaussianNoise, Masking
from lsgen.models.vae.autoencoders.contractive import Contractive
from lsgen.models.vae.autoencoders.fsq_vae import FSQVAE
from lsgen.models.vae.autoencoders.rae import RAEGP, RAEL2
from lsgen.models.vae.autoencoders.vq_vae import VQVAE
from lsgen.models.vae.bounds.capacity import Capacity
from lsgen.models.vae.bounds.discrete_elbo import DiscreteELBO
from lsgen.models.vae.bounds.elbo import ELBO
from lsgen.models.vae.bounds.levelwise import LevelwiseELBO
from lsgen.models.vae.bounds.missing import MissingDataIWAE
from lsgen.models.vae.bounds.multisample.ciwae import CIWAE
from lsgen.models.vae.bounds.multisample.dreg import DReG
from lsgen.models.vae.bounds.multisample.iwae import IWAE, MIWAE
from lsgen.models.vae.bounds.multisample.piwae import PIWAE
from lsgen.models.vae.bounds.multisample.renyi import Renyi
from lsgen.models.vae.bounds.multisample.vimco import VIMCO
from lsgen.models.vae.bounds.not_miwae import NotMIWAE
from lsgen.models.vae.bounds.refinement import Refinement
from lsgen.models.vae.bounds.relaxed_elbo import RelaxedELBO
from lsgen.models.vae.bounds.semi_amortised import SemiAmortised
from lsgen.models.vae.objective import DataSetObjective, Objective
from lsgen.models.vae.rbf_variance import RBFVariance
from lsgen.models.vae.supervision.ada_gvae import AdaGVAE
from lsgen.models.vae.supervision.semi_supervised import SemiSupervised
from lsgen.models.vae.supervision.stacked import StackedSemiSupervised
from lsgen.models.vae.vae import VAE

__all__ = [
    "CIWAE",
    "DIPVAE",
    "ELBO",
    "FSQVAE",
    "IWAE",
    "MIWAE",
    "PIWAE",
    "RAEGP",
    "RAEL2",
    "VAE",
    "VIMCO",
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
    "DiscreteELBO",
    "FactorVAE",
    "GaussianNoise",
    "InfoVAE",
    "LevelwiseELBO",
    "Masking",
    "MissingDataIWAE",
    "NotMIWAE",
    "Objective",
    "RBFVariance",
    "Refinement",
    "RelaxedELBO",
    "Renyi",
    "SemiAmortised",
    "SemiSupervised",
    "StackedSemiSupervised",
]
