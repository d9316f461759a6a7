"""Every fitted model keeps the contract of fitted models; expectation maximisation keeps it in several passes."""

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import members
import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lsgen.models import FittedModel, LatentModel, LinearModel
from lsgen.models.contract import PlainNumbers
from lsgen.models.vae import VAE

quiet = partial(Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False)  # fmt: skip


class EMPrincipalComponents(LinearModel):
    """Probabilistic principal components by expectation maximisation (Tipping & Bishop 1999, appendix B).

    With u = (z, 1), each pass sums E[u u^T], x E[u]^T and |x|^2 under the posterior of the last one.
    """

    def __init__(self, shape: Sequence[int], dim: int, passes: int) -> None:
        super().__init__(shape, dim)
        self.passes = passes
        start = torch.randn(
            self.latent_space.decoder.layers[0].weight.shape, generator=torch.Generator().manual_seed(3)
        )
        self.register_buffer("W", start.double())
        self.register_buffer("mu", torch.zeros(len(start), dtype=torch.float64))
        self.register_buffer("noise", torch.ones((), dtype=torch.float64))

    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        flat, eye = x.flatten(1).double(), torch.eye(self.W.shape[1], dtype=torch.float64)
        inverse = torch.linalg.inv(self.W.T @ self.W + self.noise * eye)
        mean = torch.nn.functional.pad((flat - self.mu) @ self.W @ inverse, (0, 1), value=1.0)
        spread = torch.nn.functional.pad(len(x) * self.noise * inverse, (0, 1, 0, 1))
        return mean.T @ mean + spread, flat.T @ mean, flat.square().sum()

    def solve(self, count: Tensor, *sums: Tensor) -> None:
        second, cross, square = sums
        both = torch.linalg.solve(second, cross, left=False)
        self.noise.copy_((square - (both * cross).sum()) / (count * len(both)))
        self.W.copy_(both[:, :-1])
        self.mu.copy_(both[:, -1])

    def covariance(self) -> Tensor:
        return self.W @ self.W.T + self.noise * torch.eye(len(self.mu), dtype=torch.float64)


KINDS = members.by_name(members.concrete(FittedModel, "lsgen.models"))


def _variants() -> dict[str, tuple[type, dict[str, bool]]]:
    """Return every fitted model, and every one with an option the other way round, by name."""
    found: dict[str, tuple[type, dict[str, bool]]] = {name: (kind, {}) for name, kind in KINDS.items()}
    for name, kind in KINDS.items():
        options = inspect.signature(kind).parameters.values()
        found |= {f"{name}-{o.name}": (kind, {o.name: not o.default}) for o in options if isinstance(o.default, bool)}
    return found


MODELS = _variants()


def _model(name: str) -> Any:
    kind, options = MODELS[name]
    torch.manual_seed(0)
    return members.build(kind, **options)


def _shape(model: LatentModel) -> tuple[int, ...]:
    return model.contract().observations.shape or (1, 8, 8)


def _rows(model: LatentModel, n: int) -> Tensor:
    generator, expected = torch.Generator().manual_seed(0), model.contract().observations
    if isinstance(expected, PlainNumbers) and expected.high is not None:
        return torch.randint(expected.high + 1, (n, *_shape(model)), generator=generator)
    x = torch.rand(n, *_shape(model), generator=generator)
    return (4 * x).ceil() if getattr(expected, "discrete", False) else x


def _wide(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _parameters(model: FittedModel) -> list[Tensor]:
    return [value for value in model.state_dict().values() if isinstance(value, Tensor)]


def _trained(model: Any, x: Tensor, batch_size: int, epochs: int = 9, **kwargs: Any) -> Trainer:
    trainer = quiet(max_epochs=epochs)
    trainer.fit(model, DataLoader([{"x": row} for row in x], batch_size), **kwargs)
    return trainer


def _loss(model: FittedModel, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return model.loss({"x": x}).loss


def test_members_enrol_themselves() -> None:
    assert {"LinearModel", "LinearModel-probabilistic"} <= MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_by_batches_is_that_of_all_observations_at_once(name: str) -> None:
    whole, few, many = (_model(name).double() for _ in range(3))
    x = _wide(_rows(whole, whole.least_observations + 9))
    whole.fit(x)
    for model, batch_size in ((few, 7), (many, len(x))):
        _trained(model, x, batch_size)
        assert model.passes_made == model.passes
        assert model.images_seen == model.passes * len(x)
        torch.testing.assert_close(_loss(model, x), _loss(whole, x), rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(model(x), whole(x), rtol=1e-6, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in whole.parameters())
    assert whole.configure_optimizers() == []


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_that_is_done_is_not_made_again(name: str, tmp_path: Path) -> None:
    model, resumed = _model(name), _model(name)
    x = _rows(model, model.least_observations + 3)
    _trained(model, x, 8).save_checkpoint(tmp_path / "done.ckpt")
    _trained(resumed, x, 8, ckpt_path=tmp_path / "done.ckpt", weights_only=False)
    assert (resumed.generator_steps, resumed.passes_made) == (model.generator_steps, model.passes)
    for a, b in zip(_parameters(resumed), _parameters(model), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", MODELS)
def test_observations_that_do_not_determine_the_parameters_are_refused(name: str) -> None:
    model = _model(name)
    least = model.least_observations
    x = _rows(model, least)
    with pytest.raises(ValueError, match=f"expected at least {least} observations, got {least - 1}"):
        model.fit(x[1:])
    with pytest.raises(ValueError, match=f"expected at least {least} observations, got {least - 1}"):
        _trained(model, x[1:], 4)
    assert (model.images_seen, model.passes_made) == (0, 0)
    bad = torch.nan if x.is_floating_point() else -1
    with pytest.raises(ValueError, match=f"got {bad} in observation 1"):
        model.fit(torch.where(torch.arange(least).reshape(-1, *[1] * (x.ndim - 1)) == 1, bad, x))
    with pytest.raises(ValueError, match=r"expected observations of shape \(B, "):
        model.fit(x.flatten())
    if not model.joined:
        with pytest.raises(ValueError, match="expected observations with finite statistics, got others"):
            model.double().fit(x.double() * 1e200)


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_observations_does_not_matter(name: str) -> None:
    one, other = _model(name).double(), _model(name).double()
    x = _wide(_rows(one, one.least_observations + 9))
    one.fit(x)
    other.fit(x.flip(0))
    torch.testing.assert_close(other(x), one(x), rtol=1e-6, atol=1e-6)


def test_several_passes_of_expectation_maximisation_reach_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(80, 2, dtype=torch.float64, generator=generator) @ torch.randn(
        2, 5, dtype=torch.float64, generator=generator
    )
    x = 3 + x + 0.3 * torch.randn(80, 5, dtype=torch.float64, generator=generator)
    closed = LinearModel((5,), 2).double().fit(x)
    decoder, sigma = closed.latent_space.decoder.layers[0], closed.latent_space.likelihood.log_sigma.exp()
    expected = decoder.weight @ decoder.weight.T + sigma**2 * torch.eye(5, dtype=torch.float64)
    fitted = EMPrincipalComponents((5,), 2, passes=1200).double().fit(x)
    assert fitted.passes_made == 1200
    torch.testing.assert_close(fitted.covariance(), expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(fitted.mu, x.mean(0), rtol=1e-6, atol=1e-8)


def test_passes_are_epochs_and_a_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(2))
    alone = EMPrincipalComponents((4,), 2, passes=5).fit(x)
    whole, cut, resumed = (EMPrincipalComponents((4,), 2, passes=5) for _ in range(3))
    assert _trained(whole, x, 6).current_epoch == 5
    assert whole.generator_steps == 5 * 4
    _trained(cut, x, 6, epochs=2).save_checkpoint(tmp_path / "cut.ckpt")
    assert cut.passes_made == 2
    _trained(resumed, x, 6, ckpt_path=tmp_path / "cut.ckpt", weights_only=False)
    for a, b, c in zip(_parameters(resumed), _parameters(whole), _parameters(alone), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(b, c)


def test_sums_of_half_a_pass_are_kept() -> None:
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(2))
    half, resumed, whole = (LinearModel((4,), 2) for _ in range(3))
    half.accumulate(x[:9])
    checkpoint: dict[str, Any] = {}
    half.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    resumed.accumulate(x[9:])
    resumed._finish_pass()
    whole.fit(x)
    torch.testing.assert_close(resumed(x), whole(x))
    with pytest.raises(ValueError, match="LinearModel expected a checkpoint of a fitted model, got one without 'fit'"):
        resumed.on_load_checkpoint({"clocks": checkpoint["clocks"]})
    with pytest.raises(ValueError, match="expected at least 1 pass over the training data, got 0"):
        FittedModel.__init__(resumed, resumed.latent_space, passes=0)
    assert not issubclass(VAE, FittedModel)
