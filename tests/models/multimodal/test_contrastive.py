"""Contrastive losses against their formulas term by term, against another library, at chance and at their limits."""

from math import exp, log

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lsgen.models.multimodal.contrastive import ContrastiveLoss, InfoNCE, SigLIP, identical_rows


def _views(n: int = 6, d: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x, y = normalize(draws, dim=-1)
    return x, y


def _value(loss: ContrastiveLoss, *views: Tensor) -> float:
    with torch.no_grad():
        return loss(*views).item()


def _identical() -> Tensor:
    """Return that 0 and 3 are identical, and 1, 2 and 5."""
    groups = torch.tensor([0, 1, 1, 0, 2, 1])
    return groups[:, None] == groups


@pytest.mark.parametrize("partners", [False, True])
def test_info_nce_is_the_cross_entropy_of_partners_both_ways(partners: bool) -> None:
    x, y = _views()
    loss = InfoNCE(0.2, identical_positives=partners).double()
    s = [[float(x[i] @ y[j]) / 0.2 for j in range(6)] for i in range(6)]
    same, total = _identical() if partners else torch.eye(6, dtype=torch.bool), 0.0
    for i in range(6):
        row, column = (log(sum(exp(s[i][k]) for k in range(6))), log(sum(exp(s[k][i]) for k in range(6))))
        of = [j for j in range(6) if same[i, j]]
        total -= sum(s[i][j] - row for j in of) / len(of) + sum(s[j][i] - column for j in of) / len(of)
    assert _value(loss, x, y, _identical()) == pytest.approx(total / 12, rel=1e-6)


def test_info_nce_is_the_ntxent_of_another_library() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    x, y = _views(9, 5)
    labels = torch.arange(9)
    other = losses.NTXentLoss(temperature=0.3)
    ways = [other(a, labels, ref_emb=b, ref_labels=labels.clone()) for a, b in ((x, y), (y, x))]
    assert _value(InfoNCE(0.3).double(), x, y) == pytest.approx(float(sum(ways)) / 2, rel=1e-6)


@pytest.mark.parametrize("partners", [False, True])
def test_sig_lip_is_a_double_loop_over_pairs(partners: bool) -> None:
    x, y = _views()
    loss = SigLIP(7.0, -3.0, identical_positives=partners).double()
    same, total = _identical() if partners else torch.eye(6, dtype=torch.bool), 0.0
    for i in range(6):
        for j in range(6):
            z = 1 if same[i, j] else -1
            total -= log(1 / (1 + exp(-z * (7.0 * float(x[i] @ y[j]) - 3.0))))
    assert _value(loss, x, y, _identical()) == pytest.approx(total / 6, rel=1e-6)


def test_they_begin_as_published() -> None:
    assert float(InfoNCE().scalars()["temperature"]) == pytest.approx(0.07)
    begun = SigLIP().scalars()
    assert (float(begun["temperature"]), float(begun["bias"])) == (pytest.approx(0.1), -10.0)
    assert not InfoNCE(learned=False).log_scale.requires_grad


@pytest.mark.parametrize("n", [2, 7, 64])
def test_at_chance_info_nce_is_the_logarithm_of_the_batch(n: int) -> None:
    same = torch.ones(n, 3) / 3**0.5
    groups = torch.arange(n) // 2
    for partners in (False, True):
        loss = InfoNCE(identical_positives=partners)
        assert _value(loss, same, same, groups[:, None] == groups) == pytest.approx(log(n), rel=1e-6)


def test_perfect_codes_have_no_loss_but_the_entropy_of_their_partners() -> None:
    groups = torch.tensor([0, 0, 1, 2])
    x = torch.eye(4)[groups]
    same = groups[:, None] == groups
    assert _value(InfoNCE(0.01, identical_positives=True), x, x, same) == pytest.approx(log(2) / 2, rel=1e-5)
    assert _value(InfoNCE(0.01), x, x, same) == pytest.approx(log(2) / 2, rel=1e-5)  # repelled in vain
    assert _value(SigLIP(100.0, -50.0, identical_positives=True), x, x, same) == pytest.approx(0, abs=1e-6)
    assert _value(SigLIP(100.0, -50.0), x, x, same) == pytest.approx(2 * 50 / 4, rel=1e-6)


@pytest.mark.parametrize("loss", [InfoNCE(0.3), SigLIP(5.0, -2.0), InfoNCE(0.3, identical_positives=True)])
def test_gradients_are_those_of_differences(loss: ContrastiveLoss) -> None:
    loss = loss.double()
    x, y = (view.requires_grad_() for view in _views(5, 3))
    same = _identical()[:5, :5]
    learned = tuple(loss.parameters())

    def value(x: Tensor, y: Tensor, *_: Tensor) -> Tensor:
        return loss(x, y, same)

    assert torch.autograd.gradcheck(value, (x, y, *learned))


def test_a_scale_at_its_limit_goes_back_if_the_loss_asks_for_it() -> None:
    loss = InfoNCE(0.01)
    x = torch.eye(4)
    wrong = x.roll(1, 0)  # partners at right angles, and another code in their place
    descent = torch.optim.SGD(loss.parameters(), lr=0.001)
    value = loss(x, wrong)
    value.backward()
    assert loss.log_scale.grad.item() > 1  # confident and wrong: the temperature is to rise
    descent.step()
    loss.project()
    assert loss.log_scale.item() < log(100)
    loss = InfoNCE(0.01)
    mixed = torch.nn.functional.normalize(x + 0.9 * wrong, dim=-1)
    descent = torch.optim.SGD(loss.parameters(), lr=10.0)
    loss(x, mixed).backward()
    assert loss.log_scale.grad.item() < 0  # right: the temperature is to fall, and stays
    descent.step()
    assert loss.log_scale.item() > log(100)
    loss.project()
    assert loss.log_scale.item() == pytest.approx(log(100))
    assert float(loss.scalars()["temperature"]) == pytest.approx(0.01)


def test_half_precision_does_not_reach_the_logits() -> None:
    x, y = (view.float() for view in _views(16, 8))
    loss = InfoNCE(0.01)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(x, y)
    assert inside.dtype == torch.float32
    exact = _value(InfoNCE(0.01).double(), x.double(), y.double())
    assert inside.item() == pytest.approx(exact, rel=1e-5)


def test_identical_rows_are_those_that_are_equal_in_a_view() -> None:
    draws = torch.Generator().manual_seed(0)
    words = torch.randint(3, (300, 4), generator=draws).float()
    pictures = torch.randint(2, (300, 1, 2, 3), generator=draws).float() - 0.5
    pictures[pictures == 0.5] = 0.0
    pictures[5] = -pictures[7] * 1.0  # zeros of either sign are equal
    expected = (words[:, None] == words).all(-1) | (pictures[:, None] == pictures).flatten(2).all(-1)
    assert 0 < int(expected.sum()) - 300 < 300 * 299
    assert torch.equal(identical_rows(words, pictures), expected)
    assert torch.equal(identical_rows(torch.tensor([[0.0], [-0.0], [1.0]]))[0], torch.tensor([True, True, False]))
    moved = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    assert int(identical_rows(moved).sum()) == 3


def test_what_is_no_pair_of_views_or_no_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected two views of codes \(B, d\), got \(3, 2\) and \(4, 2\)"):
        InfoNCE()(torch.ones(3, 2), torch.ones(4, 2))
    for temperature in (0.0, -1.0, 0.001, float("nan")):
        with pytest.raises(ValueError, match=r"expected a temperature of at least 1/most = 0.01, got"):
            InfoNCE(temperature)
    with pytest.raises(ValueError, match="expected a scale above 0, got 0"):
        SigLIP(0)
