"""Losses against their formulas pair by pair; what a metric model takes, learns and refuses."""

from functools import partial
from itertools import combinations
from math import exp, log

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from lsgen.data import AffineDistortion, Digits, Loading
from lsgen.latent import Sphere
from lsgen.metrics.retrieval import LabelRelevance, query_values
from lsgen.models.embedding.similarity import MarginContrastive, MetricLearning, WeightedL1
from lsgen.nn import BlockEncoder, MLPEncoder

quiet = partial(
    Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, num_sanity_val_steps=0,
)  # fmt: skip


def _codes(n: int = 7, d: int = 3) -> tuple[Tensor, Tensor]:
    codes = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return codes.requires_grad_(), torch.tensor([0, 1, 0, 2, 1, 0, 3])[:n]


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def test_the_margin_loss_is_that_of_its_pairs() -> None:
    codes, labels = _codes()
    same, other = [], []
    for i, j in combinations(range(7), 2):
        distance = float((codes[i] - codes[j]).detach().norm())
        (same if labels[i] == labels[j] else other).append((i, j, distance))
    assert same
    expected = (_mean([d * d / 2 for *_, d in same]) + _mean([max(0.0, 2.5 - d) ** 2 / 2 for *_, d in other])) / 2
    loss = MarginContrastive(2.5)
    assert float(loss(codes, labels)) == pytest.approx(expected)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), codes)


def test_the_siamese_loss_is_the_cross_entropy_of_its_pairs() -> None:
    codes, labels = _codes()
    loss = WeightedL1(3).double()
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    same, other = [], []
    for i, j in combinations(range(7), 2):
        apart = (codes[i] - codes[j]).detach().abs() @ torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        p = 1 / (1 + exp(float(apart) - 1.0))
        (same if labels[i] == labels[j] else other).append(-log(p if labels[i] == labels[j] else 1 - p))
    assert float(loss(codes, labels)) == pytest.approx((_mean(same) + _mean(other)) / 2)


def test_collapsed_codes_and_batches_without_pairs_have_finite_losses() -> None:
    for loss in (MarginContrastive(2.0), WeightedL1(3)):
        codes = torch.ones(4, 3, requires_grad=True)
        value = loss(codes, torch.tensor([0, 0, 1, 1]))
        value.backward()
        assert value.isfinite()
        assert codes.grad is not None
        assert codes.grad.isfinite().all()
    collapsed = float(MarginContrastive(2.0)(torch.ones(4, 3), torch.tensor([0, 0, 1, 1])))
    assert collapsed == pytest.approx(1.0)  # half of m^2/2 of pairs that repel
    assert float(MarginContrastive()(torch.zeros(2, 3), torch.tensor([5, 5]))) == 0.0
    far = torch.tensor([[0.0], [9.0]])
    assert float(MarginContrastive()(far, torch.tensor([0, 1]))) == 0.0


def _model(loss: nn.Module, **options: object) -> MetricLearning:
    torch.manual_seed(0)
    encoder = MLPEncoder((1, 8, 8), 6, (64,), nn.SiLU, heads=1)
    return MetricLearning(encoder, 6, loss, shape=(1, 8, 8), **options)  # type: ignore[arg-type]


def _found(model: MetricLearning, data: Digits) -> tuple[float, float]:
    """Return MAP@R of held-out digits and what it is by chance."""
    batch = data.probe(200, "test")
    with torch.no_grad():
        codes = model.eval()(batch["x"])
    found = query_values(codes, None, LabelRelevance(batch["label"]))
    column = found.names.index("map_at_r")
    return float(found.values[:, column].mean()), float(found.chance[:, column].mean())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["margin", "weighted", "triplet", "views"])
def test_held_out_digits_are_found_better_than_by_an_untrained_network(kind: str) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    miners = pytest.importorskip("pytorch_metric_learning.miners")
    loading, options = Loading(per_class=4), dict[str, object]()
    if kind in ("margin", "weighted"):
        loss = MarginContrastive(2.0) if kind == "margin" else WeightedL1(6)
    elif kind == "triplet":
        loss = losses.TripletMarginLoss(0.2)
        options = {"manifold": Sphere(), "miner": miners.TripletMarginMiner(0.2, "semihard")}
    else:
        loss = losses.NTXentLoss(0.2)
        options, loading = (
            {"manifold": Sphere(), "pairs": True},
            Loading(augment=[AffineDistortion(shift=0.1)], views=2),
        )
    model, data = _model(loss, **options), Digits(batch_size=64, loading=loading)
    before, chance = _found(model, data)
    quiet(max_steps=20 if kind == "views" else 60, limit_val_batches=1).fit(model.train(), data)
    after, _ = _found(model, data)
    assert after > before + 0.02 > chance


def test_what_cannot_be_learned_from_is_refused_in_a_sentence() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    for make in (lambda: MarginContrastive(0.0), lambda: _model(losses.TripletMarginLoss(margin=-1.0))):
        with pytest.raises(ValueError, match=r"expected a margin .*above 0, got"):
            make()
    with pytest.raises(ValueError, match="expected a neg_margin of ContrastiveLoss above 0, got 0"):
        _model(losses.ContrastiveLoss(neg_margin=0))
    with pytest.raises(TypeError, match="expected a loss that can be called, got float"):
        _model(0.5)  # type: ignore[arg-type]
    model = _model(MarginContrastive())
    with pytest.raises(ValueError, match='MetricLearning expected batches with "x", "label", got "x"'):
        model.contract().take({"x": torch.zeros(2, 1, 8, 8)}, torch.float32)
    hidden = Digits(batch_size=64, labelled=100)
    with pytest.raises(ValueError, match=r"expected labels that are known, integers of at least 0, got -1 in"):
        quiet(max_steps=1).fit(model, hidden)
    with pytest.raises(ValueError, match=r"images .C, H, W. with sides of at least 16, got .1, 8, 8."):
        BlockEncoder((1, 8, 8), 4)
    with pytest.raises(ValueError, match="expected a dimension of at least 1"):
        WeightedL1(0)
