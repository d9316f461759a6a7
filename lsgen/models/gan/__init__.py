"""Generative adversarial networks: models, losses, regularisers and inference, one file each."""

from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.auxiliary import AuxiliaryClassification
from lsgen.models.gan.bigan import BiGAN
from lsgen.models.gan.directions.diagonal_hessian import hessian
from lsgen.models.gan.directions.linear import Directions, ganspace, pullback, sefa
from lsgen.models.gan.encoding import fit_encoder
from lsgen.models.gan.gan import GAN
from lsgen.models.gan.hessian_penalty import HessianPenalty
from lsgen.models.gan.info import MutualInformation
from lsgen.models.gan.inversion import Inversion, invert
from lsgen.models.gan.losses import AdversarialLoss, Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from lsgen.models.gan.regularisers import (
    R1,
    R2,
    Consistency,
    CriticRegulariser,
    GeneratorRegulariser,
    GradientPenalty,
    PathLength,
    Regulariser,
)
from lsgen.models.gan.space import EncodableGeneratorSpace, GeneratorSpace, RescaledGenerator
from lsgen.models.gan.styles import style_space
from lsgen.models.gan.terms import AdversarialLosses
from lsgen.models.gan.updates import Updates
from lsgen.models.gan.vae_gan import VAEGAN, SimilarityLoss

__all__ = [
    "GAN",
    "R1",
    "R2",
    "VAEGAN",
    "AdversarialLoss",
    "AdversarialLosses",
    "AdversarialModel",
    "AuxiliaryClassification",
    "BiGAN",
    "Consistency",
    "CriticRegulariser",
    "Directions",
    "EncodableGeneratorSpace",
    "GeneratorRegulariser",
    "GeneratorSpace",
    "GradientPenalty",
    "HessianPenalty",
    "Hinge",
    "Inversion",
    "LeastSquares",
    "MutualInformation",
    "NonSaturating",
    "PathLength",
    "Regulariser",
    "Relativistic",
    "RescaledGenerator",
    "SimilarityLoss",
    "Updates",
    "Wasserstein",
    "fit_encoder",
    "ganspace",
    "hessian",
    "invert",
    "pullback",
    "sefa",
    "style_space",
]
