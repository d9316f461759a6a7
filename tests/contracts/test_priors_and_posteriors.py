"""Every model with every prior and every posterior: it trains, or it is refused in a sentence before any step is taken.

Priors, posteriors and objectives enrol themselves by type: those without an example here are built by `members.build`.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from traceback import extract_tb
from typing import Any

import members
import pytest
import torch
from torch import Tensor, nn
from zuko.flows import NICE

from lsgen.latent import (
    Atoms,
    AutoregressivePrior,
    ClassConditionalNormal,
    ClassPosterior,
    FlowPosterior,
    FlowPrior,
    IAFPosterior,
    LadderDecoder,
    LadderPosterior,
    MixtureOfNormals,
    OneHot,
    Posterior,
    Prior,
    Product,
    ResidualLadderDecoder,
    ResidualLadderPosterior,
    ResidualQuantiser,
    StackedPosterior,
    StandardNormal,
    VampPrior,
    VectorQuantiser,
)
from lsgen.likelihoods import FixedGaussian, Gaussian
from lsgen.models import VAE
from lsgen.models.gan import GAN, VAEGAN, BiGAN, NonSaturating
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.vae import (
    DIPVAE,
    RAEGP,
    RAEL2,
    WAEGAN,
    AdversarialObjective,
    DataSetObjective,
    DiscreteELBO,
    FactorVAE,
    InfoVAE,
    NotMIWAE,
    Objective,
    RBFVariance,
    Refinement,
    Renyi,
    SemiAmortised,
)
from lsgen.models.vae.estimators import RLOO, Concrete
from lsgen.nn import MLPDecoder, PixelCNN, RBFPrecision, SelfMasking, StagedRBFDecoder
from lsgen.nn.adversarial.critics import MLPCritic, MLPPairCritic

D, d, B = 5, 4, 8


def _flow(dim: int, context: int = 0) -> nn.Module:
    return NICE(dim, context, transforms=1, hidden_features=(4,))


def _atoms() -> Atoms:
    prior = Atoms(d, [1.0, 2.0, 0.0, 5.0])
    prior.bind(lambda: torch.linspace(-1, 1, 4 * d).reshape(4, d))
    return prior


PRIORS: dict[str, Callable[[], Prior]] = {
    "Atoms": _atoms,
    "AutoregressivePrior": lambda: AutoregressivePrior(d, (2, 2), PixelCNN(3, 4, 2)),
    "ClassConditionalNormal": lambda: ClassConditionalNormal(2, 2),
    "FlowPrior": lambda: FlowPrior(d, _flow(d)),
    "MixtureOfNormals": lambda: MixtureOfNormals(d, 3),
    "Product": lambda: Product([StandardNormal(2), OneHot(2)]),
    "Product of learned parts": lambda: Product([FlowPrior(2, _flow(2)), MixtureOfNormals(2, 3)]),
    "Product of three": lambda: Product([StandardNormal(1), OneHot(2), StandardNormal(1)]),
    "VampPrior": lambda: VampPrior(d, (D,), 6),
}
POSTERIORS: dict[str, Callable[[], Posterior]] = {
    "ClassPosterior": lambda: ClassPosterior(2, 2),
    "FlowPosterior": lambda: FlowPosterior(d, _flow(d, 2 * d)),
    "IAFPosterior": lambda: IAFPosterior(d, 2, (8,)),
    "ResidualLadderPosterior": lambda: ResidualLadderPosterior([(1, 3), (1, 1)], 4, 1.0),
    "StackedPosterior": lambda: StackedPosterior(nn.Linear(1, 6), 1, 2, 1),
    "ResidualQuantiser": lambda: ResidualQuantiser(d, 2, 3, 1),
    "VectorQuantiser": lambda: VectorQuantiser(d, 3, 1),
}
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "DiscreteELBO": lambda: DiscreteELBO(RLOO(2)),
    "DiscreteELBO, relaxed": lambda: DiscreteELBO(Concrete()),
    "DIPVAE": lambda: DIPVAE(1.0, 1.0, "ii"),
    "FactorVAE": lambda: FactorVAE(MLPCritic((d,), [4])),
    "InfoVAE, alpha = 1": lambda: InfoVAE(1.0),
    "NotMIWAE": lambda: NotMIWAE(SelfMasking((D,)), 2),
    "RAEGP": lambda: RAEGP(1e-2, 1e-2),
    "RAEL2": lambda: RAEL2(1e-2, 1e-2),
    "RBFVariance": lambda: RBFVariance(1),
    "Renyi": lambda: Renyi(0.5, 2),
    "SemiAmortised": lambda: SemiAmortised(Refinement(2)),
    "WAEGAN": lambda: WAEGAN(MLPCritic((d,), [4])),
}
ACCEPTED = {  # what papers and the documentation promise; the number of pairs that every objective takes follows
    ("ELBO", "FlowPrior", "FlowPosterior"),
    ("ELBO", "MixtureOfNormals", "LadderPosterior"),
    ("ELBO", "VampPrior", "LadderPosterior"),
    ("ELBO", "VampPrior", "FlowPosterior"),
    ("ELBO", "FlowPrior", "IAFPosterior"),
    ("DReG", "StandardNormal", "IAFPosterior"),
    ("IWAE", "VampPrior", "IAFPosterior"),
    ("LevelwiseELBO", "StandardNormal", "ResidualLadderPosterior"),
    ("LevelwiseELBO", "StandardNormal", "LadderPosterior"),
    ("IWAE", "StandardNormal", "ResidualLadderPosterior"),
    ("ELBO", "HypersphericalUniform", "VonMisesFisherPosterior"),
    ("IWAE", "VampPrior", "DiagonalNormal"),
    ("IWAE", "WrappedNormalPrior", "WrappedNormalPosterior"),
    ("AdaGVAE", "MixtureOfNormals", "DiagonalNormal"),
    ("WAEMMD", "Uniform", "Deterministic"),
    ("WAEMMD", "MixtureOfNormals", "Deterministic"),
    ("WAEMMD", "FlowPrior", "DiagonalNormal"),
    ("WAEMMD", "VampPrior", "DiagonalNormal"),
    ("InfoVAE", "FlowPrior", "DiagonalNormal"),
    ("InfoVAE, alpha = 1", "StandardNormal", "Deterministic"),
    ("VQVAE", "CodebookPrior", "VectorQuantiser"),
    ("VQVAE", "AutoregressivePrior", "VectorQuantiser"),
    ("VQVAE", "CodebookPrior", "ResidualQuantiser"),
    ("FSQVAE", "LatticePrior", "FiniteScalarQuantiser"),
    ("DiscreteELBO", "BernoulliPrior", "BernoulliPosterior"),
    ("DiscreteELBO", "CategoricalPrior", "CategoricalPosterior"),
    ("DiscreteELBO, relaxed", "CategoricalPrior", "CategoricalPosterior"),
    ("RelaxedELBO", "BernoulliPrior", "BernoulliPosterior"),
    ("RelaxedELBO", "CategoricalPrior", "CategoricalPosterior"),
    ("VIMCO", "BernoulliPrior", "BernoulliPosterior"),
    ("VIMCO", "CategoricalPrior", "CategoricalPosterior"),
    ("GAN", "BernoulliPrior", "none"),
    ("SemiSupervised", "Product", "ClassPosterior"),
    ("SemiSupervised", "ClassConditionalNormal", "ClassPosterior"),
    ("StackedSemiSupervised", "Product of three", "StackedPosterior"),
    ("VAEGAN", "MixtureOfNormals", "DiagonalNormal"),
    ("VAEGAN", "FlowPrior", "FlowPosterior"),
    ("VAEGAN", "VampPrior", "DiagonalNormal"),
    ("BiGAN", "Uniform", "Deterministic"),
    ("BiGAN", "FlowPrior", "FlowPosterior"),
    ("BiGAN", "MixtureOfNormals", "DiagonalNormal"),
    ("GAN", "Product", "none"),
    ("GAN", "Product of learned parts", "none"),
    ("GAN", "MixtureOfNormals", "none"),
    ("GAN", "FlowPrior", "none"),
}


def _others(kind: type, room: str, examples: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return builders of the members of a kind that have no example."""
    found = members.by_name(members.concrete(kind, room))
    return {
        name: partial(members.build, member, dim=d, shape=(D,))
        for name, member in found.items()
        if name not in examples
    }


PRIORS |= _others(Prior, "lsgen.latent", PRIORS)
POSTERIORS |= _others(Posterior, "lsgen.latent", POSTERIORS)
OBJECTIVES |= _others(Objective, "lsgen.models", OBJECTIVES)


def _encoder(posterior: Posterior) -> nn.Module:
    outputs = {"ClassPosterior": 10, "StackedPosterior": 2, "ResidualQuantiser": 2}
    return nn.Linear(D, outputs.get(type(posterior).__name__, posterior.heads * d))


def _decoder(posterior: Posterior, objective: Objective) -> nn.Module:
    if isinstance(posterior, LadderPosterior):
        return LadderDecoder(nn.Linear(3, 2), nn.Linear(1, D), 3, 1)
    if isinstance(posterior, ResidualLadderPosterior):
        return ResidualLadderDecoder((D,), [(1, 3), (1, 1)], 4, 1.0)
    if isinstance(posterior, StackedPosterior):
        return LadderDecoder(nn.Linear(3, 2), nn.Linear(1, D), 3, 1)
    if isinstance(objective, RBFVariance):
        return StagedRBFDecoder(MLPDecoder(d, (D,), [4]), RBFPrecision(d, (D,), 2), 0.5)
    return nn.Sequential(nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, D))


def _batch() -> dict[str, Tensor]:
    x, pair = torch.rand(B, D), torch.rand(B, D)
    return {"x": x, "pair": pair, "observed": torch.rand(B, D) < 0.8, "label": torch.arange(B) % 3 - 1}


def _vae(objective: str, prior: str, posterior: str) -> tuple[nn.Module, Tensor]:
    loss, q = OBJECTIVES[objective](), POSTERIORS[posterior]()
    likelihood = Gaussian((D,)) if isinstance(loss, RBFVariance) else FixedGaussian((D,))
    model = VAE(_encoder(q), _decoder(q, loss), likelihood, PRIORS[prior](), loss, q)
    if isinstance(loss, DataSetObjective):
        loss.prepare(100)
    batch = _batch()
    if isinstance(loss, AdversarialObjective):
        losses, codes = loss.losses_and_codes(model.latent_space, batch, 0)
        return model, losses.loss + loss.adversary_loss(model.latent_space, codes.detach())
    total = model.loss(batch).loss
    if isinstance(loss, RBFVariance):
        model.generator_steps = 1
        total = total + model.loss(batch).loss
    return model, total


def _game(name: str, prior: str, posterior: str) -> tuple[AdversarialModel, Tensor]:
    generator, shape = nn.Sequential(nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, D)), (D,)
    likelihood, p = FixedGaussian(shape), PRIORS[prior]()
    if name == "GAN":
        model: AdversarialModel = GAN(generator, MLPCritic(shape, [4]), likelihood, p, NonSaturating())
    else:
        q = POSTERIORS[posterior]()
        if name == "BiGAN":
            model = BiGAN(_encoder(q), generator, MLPPairCritic(shape, d, [16]), likelihood, p, q)
        else:
            model = VAEGAN(_encoder(q), generator, MLPCritic(shape, [4]), likelihood, p, posterior=q)
    model.critic_terms(_batch(), None)
    terms = model.generator_terms(_batch(), 0)
    return model, torch.stack(list(terms.values())).sum()


def _learns(model: nn.Module, loss: Tensor, parameters: list[nn.Parameter], what: object) -> None:
    assert torch.isfinite(loss), what
    loss.backward()
    for name, parameter in model.named_parameters():
        if any(parameter is one for one in parameters):
            assert parameter.grad is not None, (what, name)
            assert torch.isfinite(parameter.grad).all(), (what, name)
            assert parameter.grad.any(), (what, name)


def _refused(error: Exception, what: object) -> None:
    """Check that parts were refused in one sentence, where they are put together."""
    frames = [frame.name for frame in extract_tb(error.__traceback__)]
    assert "__init__" in frames, (what, frames, str(error))
    assert all(word in str(error) for word in ("expected ", " got ")), (what, str(error))
    assert "\n" not in str(error), (what, str(error))


def _trains(model: str, prior: str, posterior: str, build: Callable[[], tuple[nn.Module, Tensor]]) -> bool:
    """Return whether the three train together; where they do not, they are refused when they are put together."""
    what = (model, prior, posterior)
    torch.manual_seed(0)
    refusal = None
    try:
        built, loss = build()
    except (TypeError, ValueError) as error:
        refusal = error
    if refusal is not None:
        _refused(refusal, what)
        return False
    parameters = list(built.parameters())
    if isinstance(built, AdversarialModel):
        critic, parameters = built.players()
        everything = {id(p) for p in (*critic, *parameters)}
        assert {name for name, p in built.named_parameters() if id(p) not in everything} == set(), what
        assert len({id(p) for p in parameters}) == len(parameters), what
    _learns(built, loss, parameters, what)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_trains_or_refuses_its_parts(objective: str) -> None:
    taken = {
        (objective, prior, posterior)
        for prior, posterior in product(PRIORS, POSTERIORS)
        if _trains(objective, prior, posterior, lambda: _vae(objective, prior, posterior))  # noqa: B023
    }
    assert {pair for pair in ACCEPTED if pair[0] == objective} <= taken
    assert taken


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GAN", "VAEGAN", "BiGAN"])
def test_a_game_trains_or_refuses_its_parts(name: str) -> None:
    posteriors = ["none"] if name == "GAN" else list(POSTERIORS)
    taken = {
        (name, prior, posterior)
        for prior, posterior in product(PRIORS, posteriors)
        if _trains(name, prior, posterior, lambda: _game(name, prior, posterior))  # noqa: B023
    }
    assert {pair for pair in ACCEPTED if pair[0] == name} <= taken
