"""Dual encoders of two and of three views: what they minimise, learn and refuse."""

from functools import partial
from itertools import combinations
from math import log

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.metrics.multimodal import CrossRetrieval
from lsgen.models.multimodal import DualEncoder, InfoNCE, SigLIP
from lsgen.models.multimodal.contrastive import ContrastiveLoss

quiet = partial(
    Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
)  # fmt: skip
SHAPES = {"image": (1, 3, 3), "text": (4,), "sound": (5,)}


def _model(views: int = 2, loss: ContrastiveLoss | None = None, **options: object) -> DualEncoder:
    torch.manual_seed(0)
    shapes = dict(list(SHAPES.items())[:views])
    encoders = {name: nn.Sequential(nn.Flatten(), nn.LazyLinear(32), nn.SiLU(), nn.Linear(32, 6)) for name in shapes}
    model = DualEncoder(encoders, shapes, 6, loss or InfoNCE(), **options)  # type: ignore[arg-type]
    model(_observations(3, views))
    return model


def _observations(n: int, views: int = 2, seed: int = 0) -> Tensor:
    """Return views that are linear in the same hidden numbers."""
    hidden = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    mixing = torch.randn(3, 18, generator=torch.Generator().manual_seed(7))
    return (hidden @ mixing)[:, : [9, 13, 18][views - 1]]


def test_the_loss_is_the_mean_over_pairs_of_views() -> None:
    model, x = _model(3).eval(), _observations(8, 3)
    found = model.loss({"x": x})
    codes = model.latent_space.codes(x)
    terms = [model.objective(codes[a], codes[b]) for a, b in combinations(SHAPES, 2)]
    torch.testing.assert_close(found.loss, torch.stack(terms).mean())
    assert float(found.scalars["temperature"]) == pytest.approx(0.07)
    torch.testing.assert_close(model(x), model.latent_space.encode(x).mean)


def test_at_chance_the_loss_is_the_logarithm_of_the_batch() -> None:
    model = _model()
    for view in model.latent_space.views.values():
        for last in [part for part in view.encoder if isinstance(part, nn.Linear)][-1:]:
            nn.init.zeros_(last.weight)
    assert float(model.loss({"x": _observations(16)}).loss.detach()) == pytest.approx(log(16), abs=1e-4)


@pytest.mark.parametrize("loss", [InfoNCE(), SigLIP()])
def test_views_find_one_another_after_training(loss: ContrastiveLoss) -> None:
    model, rows = _model(loss=loss, optimizer=partial(torch.optim.Adam, lr=0.02)), _observations(256)
    held_out = _observations(64, seed=1)

    def recall() -> float:
        with torch.no_grad():
            codes = model.eval().latent_space.codes(held_out)
        metric = CrossRetrieval(64, (1,), 1, draws=1)
        metric.update(codes["image"], codes["text"], torch.arange(64)[:, None].expand(64, 2))
        return float(metric.compute()["first_to_second/recall_at_1"]["value"])

    before = recall()
    batches = DataLoader([{"x": row} for row in rows], batch_size=64, shuffle=True)
    quiet(max_epochs=10, limit_val_batches=0).fit(model.train(), batches)
    assert before < 0.2
    assert recall() > 0.7
    learned = model.objective.scalars()["temperature"]
    assert float(learned) != pytest.approx(0.07 if isinstance(loss, InfoNCE) else 0.1)
    torch.testing.assert_close(model.temperature, learned)


def test_the_scale_is_put_back_after_a_step() -> None:
    model = _model(loss=InfoNCE(0.0101), optimizer=partial(torch.optim.SGD, lr=0.0))
    with torch.no_grad():
        model.objective.log_scale.fill_(6.0)
    batches = DataLoader([{"x": row} for row in _observations(8)], batch_size=8)
    quiet(max_epochs=1).fit(model, batches)
    assert float(model.temperature) == pytest.approx(0.01)


def test_what_it_cannot_compare_is_refused_in_a_sentence() -> None:
    rows = [{"x": row} for row in _observations(5)]
    with pytest.raises(
        ValueError, match="expected batches of at least 2 observations, and 5 training observations in batches of 1"
    ):
        quiet(max_epochs=1).fit(_model(), DataLoader(rows, batch_size=1))
    quiet(max_epochs=1).fit(_model(loss=SigLIP()), DataLoader(rows[:2], batch_size=1))
    absent = [{**row, "present": torch.tensor([True, False])} for row in rows]
    with pytest.raises(ValueError, match='DualEncoder expected whole observations, got a batch with "present"'):
        quiet(max_epochs=1).fit(_model(), DataLoader(absent, batch_size=5))
    with pytest.raises(TypeError, match="expected a loss of two views, a ContrastiveLoss, got Linear"):
        _model(loss=nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected encoders of two views or more"):
        _model(1)
