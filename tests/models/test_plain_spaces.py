"""Models whose space has no decoder, or no encoder: any space will do."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import Checkpoint, LikelihoodMetrics
from lsgen.latent import Codes, FeatureSpace, ItemSpace, Manifold, Space, Sphere
from lsgen.models import LatentModel, ScalarLoss
from lsgen.models.contract import Contract, PlainNumbers
from lsgen.models.optimised import OptimisedModel
from lsgen.models.regularisers import FlatMetric

nan = float("nan")
quiet = partial(Trainer, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)


class Twins(OptimisedModel):
    """Codes of pairs that are pulled together."""

    def __init__(self, shape: tuple[int, ...] | None = (4,)) -> None:
        torch.manual_seed(0)
        super().__init__(FeatureSpace(nn.Linear(4, 3), 3, Sphere(), shape), max_steps=4)

    def contract(self) -> Contract:
        base = super().contract()
        return Contract(base.owner, base.observations, ("pair",))

    def loss(self, batch: dict[str, Tensor]) -> ScalarLoss:  # type: ignore[override]
        assert isinstance(self.latent_space, FeatureSpace)
        a, b = (self.latent_space.encode(batch[name]).mean for name in ("x", "pair"))
        loss = (a - b).square().sum(-1).mean()
        return ScalarLoss(loss, {"margin": 0.5}, {"distance": loss.detach().sqrt()})


class Table(ItemSpace):
    """Trained codes of five items."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 2)

    @property
    def dim(self) -> int:
        return 2

    @property
    def manifold(self) -> Manifold:
        return Codes(torch.zeros(1, 2)).manifold

    def items(self) -> Codes:
        return Codes(self.table.weight)


class Words(OptimisedModel):
    """Pairs of items that are pulled together."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(Table(), max_steps=4)

    def contract(self) -> Contract:
        return Contract("Words", PlainNumbers("Words", (2,), 4))

    def loss(self, batch: dict[str, Tensor]) -> ScalarLoss:  # type: ignore[override]
        assert isinstance(self.latent_space, Table)
        a, b = self.latent_space.table(batch["x"]).unbind(1)
        return ScalarLoss((a - b).square().sum(-1).mean())


def _fit(model: LatentModel, path: Path, rows: list[dict[str, Tensor]]) -> Trainer:
    trainer = quiet(max_epochs=2, default_root_dir=path, callbacks=[LikelihoodMetrics(), Checkpoint()], logger=False)
    trainer.fit(model, DataLoader(rows, batch_size=4), DataLoader(rows, batch_size=4))  # type: ignore[arg-type]
    return trainer


def _pairs(n: int = 8) -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    return [{"x": torch.randn(4), "pair": torch.randn(4)} for _ in range(n)]


@pytest.mark.parametrize("shape", [(4,), None])
def test_a_feature_space_is_trained_and_its_best_weights_are_those_of_the_least_loss(
    shape: tuple[int, ...] | None, tmp_path: Path
) -> None:
    model = Twins(shape)
    before = model.loss({key: torch.stack([row[key] for row in _pairs()]) for key in ("x", "pair")}).loss.item()
    trainer = _fit(model, tmp_path, _pairs())
    assert (model.generator_steps, model.images_seen) == (4, 16)
    assert model.criterion == ("val/loss", "min")
    assert trainer.callback_metrics["val/loss"].item() < before
    assert "val/distance" in trainer.callback_metrics
    assert "val/elbo" not in trainer.callback_metrics


def test_items_are_trained_by_their_numbers(tmp_path: Path) -> None:
    model, rows = Words(), [{"x": torch.tensor([i % 5, (i + 1) % 5], dtype=torch.int32)} for i in range(8)]
    before = model.latent_space.items()
    _fit(model, tmp_path, rows)
    assert model.generator_steps == 4
    assert not (model.latent_space.items().z == before.z).all()


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        ({"x": torch.zeros(2, 5), "pair": torch.zeros(2, 4)}, r"Twins expected observations of shape \(B, 4\), got"),
        ({"x": torch.zeros(2, 4)}, 'Twins expected batches with "x", "pair", got "x"'),
        ({"x": torch.zeros(0, 4), "pair": torch.zeros(0, 4)}, r"of shape \(B, 4\), got \(0, 4\)"),
        (torch.zeros(2, 4, dtype=torch.int64), "scale whole numbers first"),
    ],
    ids=str,
)
def test_batches_of_another_form_are_refused(batch: object, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        Twins().contract().take(batch if isinstance(batch, dict) else {"x": batch, "pair": batch}, torch.float32)


def test_numbers_that_are_not_finite_or_no_items_are_refused_with_their_place(tmp_path: Path) -> None:
    rows = _pairs()
    rows[5]["x"] = torch.tensor([0.0, nan, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"Twins expected observations that are finite numbers, got nan in obs.*mend"):
        _fit(Twins(), tmp_path, rows)
    words = [{"x": torch.tensor([i % 5, 5 * (i == 6)])} for i in range(8)]
    with pytest.raises(ValueError, match="Words expected observations that are whole numbers from 0 to 4, got 5 in"):
        _fit(Words(), tmp_path, words)
    with pytest.raises(TypeError, match=r'Words expected "x" of torch.int64, got torch.float32$'):
        Words().contract().take(torch.zeros(3, 2), torch.float32)
    any_shape = Twins(None).contract()
    with pytest.raises(ValueError, match=r'Twins expected "pair" of shape \(B, 3\), got \(2, 4\)'):
        any_shape.take({"x": torch.zeros(2, 3), "pair": torch.zeros(2, 4)}, torch.float32)


def test_images_of_bytes_are_scaled_for_an_encoder() -> None:
    contract = Contract("Features", PlainNumbers("Features"))
    x = contract.take(torch.full((2, 1, 3, 3), 255, dtype=torch.uint8), torch.float32)["x"]
    torch.testing.assert_close(x, torch.ones(2, 1, 3, 3))


@pytest.mark.parametrize("model", [Twins(), Words()], ids=lambda model: type(model).__name__)
def test_a_metric_is_not_regularised_where_there_is_no_decoder(model: LatentModel) -> None:
    assert isinstance(model.latent_space, Space)
    kind = type(model.latent_space).__name__
    with pytest.raises(
        TypeError, match=f"expected a latent space with a decoder, .* got a {kind} of {model.__class__.__name__}"
    ):
        model.regularise(flat=FlatMetric(1.0))
    assert model.regularise() is model
    assert model.penalties({}) == {}
