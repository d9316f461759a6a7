"""Every model in conf/model keeps the contract of a model. Models enrol themselves: each yaml is tested on digits.

See `members.config`: a model whose default network is too large for digits, or whose parts depend on their size, brings
an experiment NAME_digits.
"""

from functools import partial
from pathlib import Path
from typing import Any

import members
import pytest
import torch
from hydra.utils import get_class, instantiate
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from lsgen.callbacks import LikelihoodMetrics, PeriodicCallback
from lsgen.data.batches import TensorSource
from lsgen.data.encodings import AsStored, Numbered
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule
from lsgen.geometry import immersion, metric, metric_field
from lsgen.latent import EncodableLatentSpace, FeatureSpace, ItemSpace, LatentSpace, Manifold, PointPosterior
from lsgen.likelihoods import FlatLikelihood
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.models import FittedModel, LatentModel, ScalarLoss
from lsgen.models.contract import PlainNumbers
from lsgen.models.embedding import ContextDecoder
from lsgen.models.gan import AdversarialModel
from lsgen.models.multimodal import CaptionSpace, InfoNCE
from lsgen.models.vae import WAEMMD, AdversarialObjective, RBFVariance
from lsgen.nn import MLPDenoiser
from lsgen.nn.adversarial.attention import SelfAttention
from lsgen.nn.adversarial.critics import MinibatchStd
from lsgen.nn.class_encoder import ClassEncoder

NAMES = members.model_names()
B = 6
quiet = partial(Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False)  # fmt: skip


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def _shape(model: LatentModel) -> tuple[int, ...]:
    """Return the shape of one observation; digits where a model takes any."""
    shape = model.contract().observations.shape
    return (1, 8, 8) if shape is None else shape


def _data(model: LatentModel, n: int = B) -> dict[str, Tensor]:
    """Return all that a batch may hold; some classes are not known, where that is allowed."""
    shape, expected = _shape(model), model.contract().observations
    generator = torch.Generator().manual_seed(0)
    x, pair = (torch.rand(n, *shape, generator=generator).round() for _ in range(2))
    if isinstance(expected, PlainNumbers) and expected.high is not None:
        x, pair = (torch.randint(expected.high + 1, (n, *shape), generator=generator) for _ in range(2))
    if isinstance(expected, TextLikelihood):  # a word, then words or ends
        x, pair = (one.cummin(1).values.index_fill(1, torch.tensor(0), 1.0) for one in (x, pair))
    if isinstance(space := model.latent_space, CaptionSpace):
        columns = space.packing.slices[space.target]
        x[:, columns] = x[:, columns].cummin(1).values.index_fill(1, torch.tensor(0), 1.0)
    observed = torch.rand(n, *shape, generator=generator) < 0.7
    known = isinstance(model, AdversarialModel) or isinstance(model.latent_space, FeatureSpace)
    label = torch.arange(n) // 2 % 10 if known else torch.arange(n) % 11 - 1
    weight = torch.rand(n, generator=generator) + 0.5
    return {"x": x, "pair": pair, "observed": observed, "label": label, "weight": weight}


def _without_gradient(model: torch.nn.Module, parameters: Any) -> list[str]:
    wanted = {id(parameter) for parameter in parameters}
    named = [(key, p) for key, p in model.named_parameters() if id(p) in wanted and p.requires_grad]
    found = {key: None if p.grad is None else p.grad.to_dense() for key, p in named}
    return [key for key, grad in found.items() if grad is None or not grad.any() or not grad.isfinite().all()]


def test_loss_is_finite_and_every_parameter_learns(name: str) -> None:
    model = members.model(name)
    batch = _data(model)
    for part in model.modules():
        if isinstance(part, ClassEncoder):  # whose logits are 0 at the start, whatever the hidden layers say
            torch.nn.init.normal_(part.logits.layers[-1].weight)
        if isinstance(part, ContextDecoder):  # which is 0 at the start
            torch.nn.init.normal_(part.weight)
        if isinstance(part, MLPDenoiser):  # which is 0 at the start
            torch.nn.init.normal_(part.last.weight)
    if isinstance(model, AdversarialModel):
        _check_players(model, batch)
        return
    losses = model.loss(batch)
    assert torch.isfinite(losses.loss)
    if isinstance(losses, ScalarLoss):
        assert all(value.ndim == 0 and not value.requires_grad for value in losses.scalars.values())
        if not isinstance(model, FittedModel):
            losses.loss.backward()
            assert _without_gradient(model, model.parameters()) == []
        return
    assert losses.reconstruction.shape == (B,)
    assert losses.kl.shape[0] == B
    assert all(value.ndim == 0 and not value.requires_grad for value in losses.scalars.values())
    if isinstance(model, FittedModel):
        return
    loss, objective = losses.loss, getattr(model, "objective", None)
    if isinstance(objective, AdversarialObjective):
        played, codes = objective.losses_and_codes(model.latent_space, batch, 0)
        loss = played.loss + objective.adversary_loss(model.latent_space, codes.detach())
    if isinstance(objective, RBFVariance):
        model.generator_steps = 4
        loss = loss + model.loss(batch).loss
    loss.backward()
    assert _without_gradient(model, model.parameters()) == []


def _check_watched(name: str, model: LatentModel) -> None:
    """Check that what its config has watch it takes it, or says why it is left out."""
    for part in members.config(name).callbacks.values():
        hook = instantiate(part) if issubclass(get_class(part._target_), PeriodicCallback) else None
        if hook is not None and hook.left_out(model.latent_space) is None:
            hook.check(model)


def _check_players(model: AdversarialModel, batch: dict[str, Tensor]) -> None:
    """Check that either player learns by all of its parameters, and that nobody's are left over or shared."""
    critic, generator = model.players()
    for part in model.modules():
        if isinstance(part, SelfAttention):  # behind a gate that is closed at the start
            torch.nn.init.ones_(part.gamma)
    assert len({id(p) for p in (*critic, *generator)}) == len(critic) + len(generator)
    assert {id(p) for p in model.parameters() if p.requires_grad} <= {id(p) for p in (*critic, *generator)}
    for parameters, terms in ((critic, model.critic_terms(batch, 0)), (generator, model.generator_terms(batch, 0))):
        model.zero_grad()
        total = torch.stack(list(terms.values())).sum()
        assert torch.isfinite(total)
        total.backward()
        idle = _without_gradient(model, parameters)
        offset = idle == ["critic.score.bias"] and parameters is critic and _ignores_offsets(model)
        assert idle == [] or offset


def _ignores_offsets(model: AdversarialModel) -> bool:
    """Tell whether scores that are small may all be raised by one number without any change of the critic's loss."""
    real, fake, offset = 0.1 * torch.randn(B), 0.1 * torch.randn(B), torch.zeros((), requires_grad=True)
    loss: Tensor = model.adversarial.critic(real + offset, fake + offset)
    return bool(torch.autograd.grad(loss, offset)[0].abs() < 1e-6)


def test_codes_are_decoded_into_observations_and_watched(name: str) -> None:
    model = members.model(name).eval()
    _check_watched(name, model)
    space = model.latent_space
    x = _data(model)["x"]
    if isinstance(space, ItemSpace):
        assert (space.items().dim, space.items().manifold) == (space.dim, space.manifold)
    if isinstance(space, FeatureSpace):
        codes = space.encode(x).mean
        assert codes.shape == (B, space.dim)
        assert bool(space.manifold.contains(codes).all())
    if not isinstance(space, LatentSpace):
        return
    shape = space.likelihood.shape
    z = space.prior().sample((B,))
    if isinstance(space, EncodableLatentSpace):
        z = space.encode(x).mean
        assert model(x).shape == x.shape
    assert z.shape == (B, space.dim)
    assert space.decode(z).mean.shape == (B, *shape)
    assert space.sample(3).shape == (3, *shape)


def test_its_geometry_is_the_information_pulled_back(name: str) -> None:
    model = members.model(name).double().eval()
    space = model.latent_space
    if not isinstance(space, LatentSpace):  # which has no geometry but that of its manifold
        return
    z = space.prior().sample((2,)).double()
    if isinstance(space, EncodableLatentSpace):
        z = space.encode(_data(model)["x"].double()[:2]).mean
    z = space.manifold.onto(z.detach())  # codes of single precision are a rounding error off a sphere
    flat = isinstance(space.likelihood, FlatLikelihood)
    found = metric(immersion(space) if flat else metric_field(space), z)
    assert torch.isfinite(found).all()
    for code, g in zip(z, found, strict=True):
        jacobian = torch.func.jacrev(lambda one: space.likelihood.split(space.raw(one)))(code)
        information = space.likelihood.fisher(space.raw(code))
        blocks = jacobian.flatten(0, -3)
        expected = torch.einsum("nai,nab,nbj->ij", blocks, information.flatten(0, -3), blocks)
        tangents = _tangents(space.manifold, code)
        assert not flat or tangents.shape[1] == space.dim - immersion(space).normals
        torch.testing.assert_close(tangents.mT @ g @ tangents, tangents.mT @ expected @ tangents, rtol=1e-8, atol=1e-10)


def _tangents(manifold: Manifold, code: Tensor) -> Tensor:
    """Return an orthonormal basis (d, k) of the vectors tangent to a manifold at a code (d,)."""
    normals = torch.func.jacrev(lambda one: manifold.normal_coordinates(one[None])[0])(code)
    _, values, rows = torch.linalg.svd(normals)
    return rows[int((values > 1e-9).sum()) :].mT


class _SeededSteps(Callback):
    """Random numbers of a batch that depend on its number alone."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(1000 * trainer.current_epoch + batch_idx)


def _fit(model: LatentModel, epochs: int, ckpt_path: Path | None = None) -> Trainer:
    """Train for epochs of two generator steps, with what is measured of every model."""
    updates = model.updates.n_critic * model.updates.accumulate if isinstance(model, AdversarialModel) else 1
    data = _data(model, 2 * B * updates)
    rows = [{key: value[i] for key, value in data.items()} for i in range(len(data["x"]))]
    trainer = quiet(max_epochs=epochs, callbacks=[_SeededSteps(), LikelihoodMetrics()])
    held_out = DataLoader(rows[: 2 * B], batch_size=B)
    trainer.fit(model, DataLoader(rows, batch_size=B), held_out, ckpt_path=ckpt_path, weights_only=False)
    measured = dict(trainer.callback_metrics)
    measured |= trainer.test(model, held_out, verbose=False)[0]
    assert {"val/loss", "test/loss"} <= set(measured)
    if model.bounds_evidence:
        assert {"val/elbo", "val/reconstruction", "test/elbo"} <= set(measured)
    unknown = {key for key, value in measured.items() if not torch.isfinite(torch.as_tensor(value))}
    if isinstance(getattr(model.latent_space, "posterior", None), PointPosterior):  # it has no density, and no bound
        bound = ("elbo", "kl", "nats_per_dimension", "bits_per_dimension")
        unknown = {key for key in unknown if key.rpartition("/")[2].removesuffix("_epoch") not in bound}
    assert unknown == set()
    return trainer


@pytest.mark.slow
def test_it_is_measured_and_a_resumed_run_is_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    start, whole, cut, resumed = (members.model(name) for _ in range(4))
    _fit(whole, 2)
    _fit(cut, 1).save_checkpoint(tmp_path / "cut.ckpt")
    if isinstance(whole, FittedModel):  # it is fitted at once; there is nothing to go on with
        content = torch.load(tmp_path / "cut.ckpt", weights_only=False)
        resumed.load_state_dict(content["state_dict"])
        resumed.on_load_checkpoint(content)
    else:
        _fit(resumed, 2, tmp_path / "cut.ckpt")
    steps, images = whole.generator_steps, whole.images_seen
    assert (resumed.generator_steps, resumed.images_seen) == (steps, images)
    moved = 0
    for key, value in whole.state_dict().items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(resumed.state_dict()[key], value, rtol=0, atol=0)
            moved += not torch.equal(start.state_dict()[key], value)
    assert moved > 0
    assert steps == (2 if isinstance(whole, FittedModel) else 4)


class Few(DataModule):
    """Random observations with everything that a model may ask for."""

    def __init__(self, model: LatentModel, batch_size: int, train: int, held_out: int) -> None:
        whole = not _data(model)["x"].is_floating_point()
        super().__init__(_shape(model), _shape(model), Numbered() if whole else AsStored(2), batch_size, 0, Loading())
        self.model = model
        self.numbers = {"train": train, "val": held_out, "test": held_out}

    def build(self, split: Any) -> Any:
        n = self.numbers[split]
        parts = {**_data(self.model, n), "label": torch.arange(n) % 10}
        return self.subset(TensorSource(**parts), torch.arange(n), split)


def _fit_few(name: str, batch_size: int, train: int, held_out: int) -> LatentModel:
    model = members.model(name)
    model.max_steps = None
    data = Few(model, batch_size, train, held_out)
    trainer = quiet(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    return model


@pytest.mark.slow
def test_a_left_over_of_one_is_learned_from(name: str) -> None:
    model = _fit_few(name, 6, 13, 7)
    assert model.images_seen == 13
    compares = any(isinstance(part, _BatchNorm | MinibatchStd | WAEMMD | InfoNCE) for part in model.modules())
    assert model.least_batch(training=True) == (2 if compares else 1)


@pytest.mark.slow
def test_batches_of_one_are_learned_from_or_refused_before_the_first_step(name: str) -> None:
    if members.model(name).least_batch(training=True) == 1:
        assert _fit_few(name, 1, 13, 1).images_seen == 13
        return
    with pytest.raises(ValueError, match="expected a batch_size of at least 2, the smallest batch that the model can"):
        _fit_few(name, 1, 13, 1)
