"""Generative adversarial networks: models, losses, regularisers and inference, one file each."""

from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.bigan import BiGAN
from lsgen.models.gan.directions.diagonal_hessian import hessian
from lsgen.models.gan.directions.linear import Directions, ganspace, pullback, sefa
from lsgen.models.gan.encoding import fit_encoder
from lsgen.models.gan.gan import GAN
from lsgen.models.gan.inversion import Inversion, invert
from lsgen.models.gan.losses import AdversarialLoss, Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from lsgen.models.gan.regularisers.auxiliary import AuxiliaryClassification
from lsgen.models.gan.regularisers.base import (
    CriticRegulariser,
    GeneratorRegulariser,
    JointRegulariser,
    Regulariser,
    ScoreRegulariser,
)
from lsgen.models.gan.regularisers.consistency import Consistency, GeneratedConsistency, LatentConsistency
from lsgen.models.gan.regularisers.gradients import R1, R2, GradientPenalty, LocalGradientPenalty
from lsgen.models.gan.regularisers.hessian_penalty import HessianPenalty
from lsgen.models.gan.regularisers.info import MutualInformation, SharedMutualInformation
from lsgen.models.gan.regularisers.infomax import ContrastiveTask
from lsgen.models.gan.regularisers.lecam import LeCam
from lsgen.models.gan.regularisers.orthogonality import Orthogonality
from lsgen.models.gan.regularisers.path_length import PathLength
from lsgen.models.gan.regularisers.rotation import RotationTask
from lsgen.models.gan.space import EncodableGeneratorSpace, GeneratorSpace, RescaledGenerator
from lsgen.models.gan.standing import standing_statistics
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
    "ContrastiveTask",
    "CriticRegulariser",
    "Directions",
    "EncodableGeneratorSpace",
    "GeneratedConsistency",
    "GeneratorRegulariser",
    "GeneratorSpace",
    "GradientPenalty",
    "HessianPenalty",
    "Hinge",
    "Inversion",
    "JointRegulariser",
    "LatentConsistency",
    "LeCam",
    "LeastSquares",
    "LocalGradientPenalty",
    "MutualInformation",
    "NonSaturating",
    "Orthogonality",
    "PathLength",
    "Regulariser",
    "Relativistic",
    "RescaledGenerator",
    "RotationTask",
    "ScoreRegulariser",
    "SharedMutualInformation",
    "SimilarityLoss",
    "Updates",
    "Wasserstein",
    "fit_encoder",
    "ganspace",
    "hessian",
    "invert",
    "pullback",
    "sefa",
    "standing_statistics",
    "style_space",
]
