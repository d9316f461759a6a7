"""The latent space: priors, posteriors, decoding, encoding and paths through z."""

from lsgen.latent import paths
from lsgen.latent.aggregate import AggregateTerms, aggregate_terms
from lsgen.latent.codes import Codes
from lsgen.latent.discrete.atoms import Atoms
from lsgen.latent.discrete.autoregressive import AutoregressiveOverCodes, AutoregressivePrior
from lsgen.latent.discrete.bits import BernoulliPosterior, BernoulliPrior, BitCodes
from lsgen.latent.discrete.categories import CategoricalPosterior, CategoricalPrior, OneHotCodes
from lsgen.latent.discrete.class_conditional import ClassConditionalNormal, NormalGivenClass
from lsgen.latent.discrete.classes import ClassCodes, ClassPosterior
from lsgen.latent.discrete.enumeration import every_code, number_of_codes
from lsgen.latent.discrete.finite_scalar import FiniteScalarQuantiser, LatticePrior
from lsgen.latent.discrete.quantised import CodebookPrior, Quantiser, VectorQuantiser
from lsgen.latent.discrete.relaxation import DiscreteCodes, DiscretePosterior, DiscretePrior
from lsgen.latent.discrete.residual import ResidualQuantiser
from lsgen.latent.discrete.stacked import StackedCodes, StackedPosterior
from lsgen.latent.encoding import encode_observations
from lsgen.latent.families.ball_normal import BallPosterior, BallPrior
from lsgen.latent.families.flows import FlowDistribution, FlowPosterior, FlowPrior
from lsgen.latent.families.inverse_autoregressive import IAFPosterior
from lsgen.latent.families.ladder import LadderDecoder, LadderNormal, LadderPosterior, TopDownDecoder, TopDownPosterior
from lsgen.latent.families.mixtures import MixtureOfNormals, VampPrior
from lsgen.latent.families.points import Deterministic, Point
from lsgen.latent.families.product import Joint, OneHot, Product, Uniform
from lsgen.latent.families.residual_ladder import ResidualLadderDecoder, ResidualLadderPosterior
from lsgen.latent.families.riemannian_normal import RiemannianNormal, RiemannianNormalPosterior, RiemannianNormalPrior
from lsgen.latent.families.student_t import StudentTPosterior
from lsgen.latent.families.von_mises_fisher import HypersphericalUniform, VonMisesFisher, VonMisesFisherPosterior
from lsgen.latent.families.wrapped_normal import WrappedNormal, WrappedNormalPosterior, WrappedNormalPrior
from lsgen.latent.items import ItemTable
from lsgen.latent.manifolds.lattice import Lattice
from lsgen.latent.manifolds.lorentz import Lorentz
from lsgen.latent.manifolds.manifold import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.product_manifolds import ProductManifold
from lsgen.latent.manifolds.supports import Codebook, Cube, Simplex
from lsgen.latent.mmd import RBF, InverseMultiquadric, Kernel, mmd_squared
from lsgen.latent.multimodal.learned_scale import LearnedScalePrior
from lsgen.latent.posteriors import DecoderDependentPosterior, DiagonalNormal, PointPosterior, Posterior
from lsgen.latent.priors import EncoderDependentPrior, ImplicitPrior, Prior, StandardNormal
from lsgen.latent.sampling import samplers
from lsgen.latent.sampling.imputation import (
    Imputation,
    central_interval,
    impute,
    mask_log_prob,
    observed_log_prob,
    pseudo_gibbs,
)
from lsgen.latent.space import EncodableLatentSpace, EncodableSpace, FeatureSpace, ItemSpace, LatentSpace, Space

__all__ = [
    "RBF",
    "AggregateTerms",
    "Atoms",
    "AutoregressiveOverCodes",
    "AutoregressivePrior",
    "BallPosterior",
    "BallPrior",
    "BernoulliPosterior",
    "BernoulliPrior",
    "BitCodes",
    "CategoricalPosterior",
    "CategoricalPrior",
    "ClassCodes",
    "ClassConditionalNormal",
    "ClassPosterior",
    "Codebook",
    "CodebookPrior",
    "Codes",
    "Cube",
    "DecoderDependentPosterior",
    "Deterministic",
    "DiagonalNormal",
    "DiscreteCodes",
    "DiscretePosterior",
    "DiscretePrior",
    "EncodableLatentSpace",
    "EncodableSpace",
    "EncoderDependentPrior",
    "Euclidean",
    "FeatureSpace",
    "FiniteScalarQuantiser",
    "FlowDistribution",
    "FlowPosterior",
    "FlowPrior",
    "HypersphericalUniform",
    "IAFPosterior",
    "ImplicitPrior",
    "Imputation",
    "InverseMultiquadric",
    "ItemSpace",
    "ItemTable",
    "Joint",
    "Kernel",
    "LadderDecoder",
    "LadderNormal",
    "LadderPosterior",
    "LatentSpace",
    "Lattice",
    "LatticePrior",
    "LearnedScalePrior",
    "Lorentz",
    "Manifold",
    "MixtureOfNormals",
    "NormalGivenClass",
    "OneHot",
    "OneHotCodes",
    "PoincareBall",
    "Point",
    "PointPosterior",
    "Posterior",
    "Prior",
    "Product",
    "ProductManifold",
    "Quantiser",
    "ResidualLadderDecoder",
    "ResidualLadderPosterior",
    "ResidualQuantiser",
    "RiemannianNormal",
    "RiemannianNormalPosterior",
    "RiemannianNormalPrior",
    "Simplex",
    "Space",
    "Sphere",
    "StackedCodes",
    "StackedPosterior",
    "StandardNormal",
    "StudentTPosterior",
    "TopDownDecoder",
    "TopDownPosterior",
    "Uniform",
    "VampPrior",
    "VectorQuantiser",
    "VonMisesFisher",
    "VonMisesFisherPosterior",
    "WrappedNormal",
    "WrappedNormalPosterior",
    "WrappedNormalPrior",
    "aggregate_terms",
    "central_interval",
    "encode_observations",
    "every_code",
    "impute",
    "mask_log_prob",
    "mmd_squared",
    "number_of_codes",
    "observed_log_prob",
    "paths",
    "pseudo_gibbs",
    "samplers",
]
