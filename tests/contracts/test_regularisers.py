"""Every regulariser of the metric keeps its contract with every model. Regularisers enrol themselves: each yaml of
conf/regulariser is built as `lsgen train` builds it.
"""

import warnings
from pathlib import Path
from typing import Any

import members
import pytest
import torch
from hydra import compose, initialize_config_module
from pretended import batch_of, fitting
from pytorch_lightning import Trainer
from test_training_steps import META, B, quiet, train

from lsgen.cli.config.construction import instantiate
from lsgen.latent import Euclidean, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Gaussian
from lsgen.models import FittedModel, LatentModel
from lsgen.models.gan import AdversarialModel
from lsgen.models.regularisers import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Linear

NAMES = [name for name in members.options("regulariser") if name != "none"]
# One model of each kind of decoder, of codes and of training; all of conf/model pass.
MODELS = [
    "vae", "wae_gan", "autoencoder", "conditional_vae", "ladder_vae", "vq_vae", "poincare_vae", "flow_vae", "rbf_vae",
    "dcgan", "cgan", "stylegan", "vae_gan", "bigan", "pca",
]  # fmt: skip
# Every regulariser is trained with one model, and each other kind of training with two of them.
TRAINED = {
    "vae": NAMES,
    "wae_gan": ["isometry", "even_volume"],
    "dcgan": ["flat_metric", "extrinsic_curvature"],
    "vae_gan": ["conformality", "pair_distances"],
    "bigan": ["isometry", "pair_distances"],
}
NOT_FLAT = (
    "expected codes that fill flat space, got those of",
    "expected a model that learns by gradients, got",
    "expected an extrapolation of 0 for codes of",
)
assert quiet  # a fixture


def regulariser(name: str, *overrides: str) -> MetricRegulariser:
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        config = compose("train", [f"regulariser={name}", *overrides])
    one = instantiate(config.regulariser[name], f"regulariser.{name}")
    assert isinstance(one, MetricRegulariser)
    return one


def regularised(model: LatentModel, *names: str, extrapolation: float = 0.2) -> LatentModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of decoders with ReLU
        options = {name: f"regulariser.{name}.sampling.extrapolation={extrapolation}" for name in names}
        return model.regularise(**{name: regulariser(name, option) for name, option in options.items()})


def tensors(model: LatentModel) -> list[torch.Tensor]:
    return [value for value in model.state_dict().values() if torch.is_tensor(value)]


def test_every_class_has_a_yaml() -> None:
    classes = {type(regulariser(name)) for name in NAMES}
    assert classes == set(members.concrete(MetricRegulariser, "lsgen.models"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_regularised_or_refuses(name: str) -> None:
    """The penalty is finite and its gradient reaches the decoder that is trained, and no encoder or critic."""
    model = members.model(name)
    if isinstance(model, FittedModel) or model.latent_space.manifold != Euclidean():
        with pytest.raises((TypeError, ValueError), match="|".join(NOT_FLAT)):
            regularised(model, "isometry")
        return
    regularised(model, "isometry")
    batch = batch_of(model.latent_space)
    modes, state = [part.training for part in model.modules()], [value.clone() for value in tensors(model)]
    (penalty,) = model.penalties(batch).values()
    assert torch.isfinite(penalty.value)
    assert penalty.factor == regulariser("isometry").weight(0)
    assert [part.training for part in model.modules()] == modes
    kept = zip(state, tensors(model), strict=True)  # running statistics too
    assert all(value.equal(other) or value.isnan().any() for value, other in kept)
    penalty.term.backward()
    decoder = {id(p) for p in model.trained_space.decoder.parameters()}
    learning = [id(p) for p in model.parameters() if p.grad is not None and p.grad.any()]
    assert learning
    assert set(learning) <= decoder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "penalties"), TRAINED.items())
def test_two_steps_read_nothing_from_the_device(name: str, penalties: list[str], tmp_path: Path, quiet: None) -> None:
    walls = {"bigan": 0.0}
    model = regularised(
        instantiate(fitting(f"model={name}").model, "model"), *penalties, extrapolation=walls.get(name, 0.2)
    )
    train(model, [], tmp_path)
    assert {p.device for p in model.parameters()} == {META}
    assert model.generator_steps == 2
    losses: Any = model.last_losses
    player = "generator/" if isinstance(model, AdversarialModel) else "regulariser/"
    assert {f"{player}{one}" for one in penalties} <= set(losses.scalars)


@pytest.mark.parametrize("name", NAMES)
def test_a_penalty_falls_when_it_is_minimised(name: str) -> None:
    """That of one draw of codes and planes."""
    torch.manual_seed(0)
    model = members.model("vae").double()
    one = regulariser(name)
    model.regularise(one=one)
    z = torch.randn(16, model.latent_space.dim, dtype=torch.float64)
    optimizer = torch.optim.Adam(model.latent_space.decoder.parameters(), lr=2e-2)
    model.eval()
    values = []
    for _ in range(12):
        torch.manual_seed(0)
        value = one.at(model.latent_space, z, z)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.detach())
    assert values[-1] < 0.8 * values[0]


class Unmoved(MetricRegulariser):
    """A penalty of 1."""

    least_codes = 3

    def __init__(self, weight: float = 2.0, sampling: MetricSampling | None = None) -> None:
        super().__init__(weight, sampling or MetricSampling())
        self.at_codes: list[torch.Tensor] = []

    def penalty(self, f: Any, z: torch.Tensor) -> torch.Tensor:
        self.at_codes.append(z)
        return torch.ones((), dtype=z.dtype)


@pytest.mark.parametrize("name", ["vae", "wae_gan"])
def test_the_loss_grows_by_the_weighted_penalties_that_are_due(name: str) -> None:
    model, lazy = members.model(name), Unmoved(2.0, MetricSampling(every=4, codes=4, extrapolation=None))
    batch = batch_of(model.latent_space)
    torch.manual_seed(0)
    plain = model.loss(batch)
    model.regularise(lazy=lazy, each=Unmoved(0.5))
    for step, expected in ((0, 8.5), (1, 0.5), (4, 8.5)):
        model.generator_steps = step
        torch.manual_seed(0)
        found = model.loss(batch)
        assert torch.allclose(found.loss - plain.loss, torch.tensor(expected), atol=1e-3)
        assert torch.equal(found.reconstruction, plain.reconstruction)
        assert found.scalars["regulariser/lazy"] == 1
        assert found.weights["regulariser/each_weight"] == 0.5
    model.eval()
    model.generator_steps = 1
    torch.manual_seed(0)
    assert torch.allclose(model.loss(batch).loss - plain.loss, torch.tensor(2.5), atol=1.0)
    assert [len(z) for z in lazy.at_codes] == [4, 4, 4]
    assert not any(z.requires_grad for z in lazy.at_codes)
    assert model.least_batch(True) == 3


def test_what_is_missing_is_not_encoded() -> None:
    model = regularised(members.model("missing_data_iwae"), "isometry")
    batch = batch_of(model.latent_space)
    batch["x"] = torch.where(batch["observed"], batch["x"], torch.nan)
    assert all(torch.isfinite(one.value) for one in model.penalties(batch).values())


def test_a_gan_regularises_the_generator_that_is_trained() -> None:
    model = members.model("dcgan")
    model.separate()
    regularised(model, "isometry")
    (penalty,) = model.penalties(batch_of(model.latent_space)).values()
    penalty.term.backward()
    assert all(p.grad is None for p in model.latent_space.decoder.parameters())
    assert any(p.grad is not None for p in model.generator.parameters())
    assert model.trained_space is model.trained_space


def test_distances_of_observations_teach_the_encoder_too() -> None:
    target = "{_target_: lsgen.models.regularisers.euclidean_distances, _partial_: true}"
    off = "regulariser.pair_distances.sampling.extrapolation=null"
    one = regulariser("pair_distances", f"regulariser.pair_distances.target={target}", off)
    model = members.model("vae")
    model.regularise(distances=one)
    (penalty,) = model.penalties(batch_of(model.latent_space)).values()
    penalty.term.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.latent_space.encoder.parameters())
    with pytest.raises(TypeError, match="PairDistances expected a model with an encoder, got one without"):
        members.model("dcgan").regularise(distances=one)
    with pytest.raises(ValueError, match=r"expected sampling.extrapolation = null with a target, got 0.2"):
        type(one)(target=torch.dist)


@pytest.mark.filterwarnings("ignore")
def test_mixed_precision_and_inference_mode() -> None:
    model = regularised(members.model("vae"), *NAMES)
    batch = batch_of(model.latent_space)
    with torch.autocast("cpu", torch.bfloat16):
        assert {one.value.dtype for one in model.penalties(batch).values()} == {torch.float32}
    with torch.inference_mode():
        assert all(torch.isfinite(one.value) for one in model.penalties(batch).values())


def test_training_is_repeated_exactly_and_a_compiled_decoder_is_regularised(tmp_path: Path) -> None:
    found = []
    for compiled in (False, False, True):
        model = regularised(members.model("vae"), "isometry")
        if compiled:
            model.latent_space.decoder = torch.compile(model.latent_space.decoder, backend="eager")  # type: ignore[assignment]
        torch.manual_seed(0)
        batches = torch.utils.data.DataLoader(batch_of(model.latent_space)["x"], batch_size=B)  # type: ignore[arg-type]
        Trainer(accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, default_root_dir=tmp_path).fit(model, batches)  # fmt: skip
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(found[0], found[1])
    assert torch.allclose(found[0], found[2], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Unmoved(-1.0), "expected a weight of at least 0, got -1.0"),
        (lambda: Unmoved(Linear(0, -1, 10)).factor(5), "at least 0, got -0.5 after 5 generator steps"),  # type: ignore[arg-type]
        (lambda: Unmoved(1.0, MetricSampling(codes=2)), "Unmoved expected at least 3 codes of each batch, got 2"),
        (lambda: MetricSampling(kind="expected"), 'expected kind "fisher" or "euclidean", got \'expected\''),
        (lambda: MetricSampling(codes=0), "expected at least 1 code of each batch, got codes = 0"),
        (lambda: MetricSampling(extrapolation=-0.1), "expected an extrapolation of at least 0, got -0.1"),
        (lambda: MetricSampling(every=2.5), r"expected a whole number as every, got 2\.5"),  # type: ignore[arg-type]
        (lambda: MetricSampling(codes=2.5), r"expected a whole number as codes, got 2\.5"),  # type: ignore[arg-type]
        (lambda: MetricSampling(every=0), "expected a regulariser at every 1st or later step, got every = 0"),
        (lambda: members.model("vae").regularise(a=torch.nn.Linear(1, 1)), "expected a to be a MetricRegulariser"),
        (lambda: members.model("vae").regularise(a=Unmoved()).regularise(a=Unmoved()), "expected a new name"),
        (lambda: regulariser("isometry", "regulariser.isometry.plane=1"), "expected random planes of at least 2"),
        (lambda: members.model("pca").regularise(a=Unmoved()), "expected a model that learns by gradients, got"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_sentence(make: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError, Exception), match=sentence):
        make()


def test_curvature_needs_a_flat_target_and_second_derivatives() -> None:
    one = regulariser("extrinsic_curvature")
    decoder = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 6))
    with pytest.warns(UserWarning, match="ExtrinsicCurvature learns nothing from ReLU"):
        one.check(LatentSpace(decoder, Bernoulli((6,)), StandardNormal(2)))
    with pytest.raises(TypeError, match='expected kind "euclidean" for a likelihood like Gaussian, got "fisher"'):
        one.check(LatentSpace(decoder, Gaussian((3,)), StandardNormal(2)))
