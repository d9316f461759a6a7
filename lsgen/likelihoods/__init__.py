"""Likelihoods: a decoder's raw outputs h -> p(x|h), its Fisher information and its flat embedding."""

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood, FlatLikelihood, Likelihood
from lsgen.likelihoods.bernoulli import Bernoulli
from lsgen.likelihoods.beta import Beta
from lsgen.likelihoods.categorical import Categorical
from lsgen.likelihoods.continuous_bernoulli import ContinuousBernoulli
from lsgen.likelihoods.discretised_logistic_mixture import DiscretisedLogisticMixture
from lsgen.likelihoods.location_scale.gaussian import FixedGaussian, Gaussian
from lsgen.likelihoods.location_scale.laplace import FixedLaplace, Laplace
from lsgen.likelihoods.location_scale.location import LocationFamily, LocationScaleFamily
from lsgen.likelihoods.location_scale.logistic import FixedLogistic, Logistic
from lsgen.likelihoods.location_scale.optimal_gaussian import OptimalGaussian
from lsgen.likelihoods.location_scale.shared_gaussian import SharedGaussian
from lsgen.likelihoods.location_scale.student_t import SharedStudentT, StudentT
from lsgen.likelihoods.mixed import (
    ClosedFormMixed,
    CubicClosedFormMixed,
    CubicFlatMixed,
    CubicMixed,
    FlatMixed,
    Mixed,
    mixed_likelihood,
)
from lsgen.likelihoods.modalities import (
    ClosedFormModalities,
    CubicClosedFormModalities,
    CubicFlatModalities,
    CubicModalities,
    FlatModalities,
    Modalities,
    modalities_likelihood,
)
from lsgen.likelihoods.multinomial import Multinomial
from lsgen.likelihoods.negative_binomial import FixedNegativeBinomial, NegativeBinomial
from lsgen.likelihoods.packing import Packing
from lsgen.likelihoods.poisson import Poisson
from lsgen.likelihoods.products import (
    ClosedFormProductLikelihood,
    CubicProductLikelihood,
    FlatProductLikelihood,
    ProductLikelihood,
)
from lsgen.likelihoods.text.autoregressive_tokens import AutoregressiveTokens
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.likelihoods.text.independent_tokens import IndependentTokens

__all__ = [
    "AutoregressiveTokens",
    "Bernoulli",
    "Beta",
    "Categorical",
    "ClosedFormLikelihood",
    "ClosedFormMixed",
    "ClosedFormModalities",
    "ClosedFormProductLikelihood",
    "ContinuousBernoulli",
    "CubicClosedFormMixed",
    "CubicClosedFormModalities",
    "CubicFlatMixed",
    "CubicFlatModalities",
    "CubicLikelihood",
    "CubicMixed",
    "CubicModalities",
    "CubicProductLikelihood",
    "DiscretisedLogisticMixture",
    "FixedGaussian",
    "FixedLaplace",
    "FixedLogistic",
    "FixedNegativeBinomial",
    "FlatLikelihood",
    "FlatMixed",
    "FlatModalities",
    "FlatProductLikelihood",
    "Gaussian",
    "IndependentTokens",
    "Laplace",
    "Likelihood",
    "LocationFamily",
    "LocationScaleFamily",
    "Logistic",
    "Mixed",
    "Modalities",
    "Multinomial",
    "NegativeBinomial",
    "OptimalGaussian",
    "Packing",
    "Poisson",
    "ProductLikelihood",
    "SharedGaussian",
    "SharedStudentT",
    "StudentT",
    "TextLikelihood",
    "mixed_likelihood",
    "modalities_likelihood",
]
