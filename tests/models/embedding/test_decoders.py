"""Losses and probabilities of contexts: enumeration, dense formulas, the factorisation of Levy and Goldberg."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from lsgen.models.embedding import FullSoftmax, HierarchicalSoftmax, NegativeSampling

COUNTS = torch.tensor([50, 30, 20, 9, 5, 3, 1])
V, D = len(COUNTS), 4


def trained(kind, **options):
    torch.manual_seed(0)
    decoder = kind(V, D, **options).double()
    decoder.count(COUNTS)
    nn.init.normal_(decoder.weight)
    return decoder


@pytest.mark.parametrize("kind", [FullSoftmax, HierarchicalSoftmax, NegativeSampling])
def test_scores_are_those_of_the_probabilities(kind):
    decoder, z = trained(kind), torch.randn(3, 2, D, dtype=torch.float64)
    context = torch.tensor([6, 0, 3])
    torch.testing.assert_close(decoder.scores(z, context), decoder(z)[torch.arange(3), :, context])
    if kind is not NegativeSampling:
        log_p = decoder(z).log_softmax(-1)[torch.arange(3), :, context]
        torch.testing.assert_close(decoder.losses(z, context), -log_p)


def test_the_hierarchical_softmax_sums_to_one_and_its_tree_is_huffmans():
    decoder = trained(HierarchicalSoftmax)
    z = torch.randn(5, D, dtype=torch.float64)
    torch.testing.assert_close(decoder(z).exp().sum(-1), torch.ones(5, dtype=torch.float64))
    lengths = (decoder.signs != 0).sum(1)
    assert float((0.5**lengths).sum()) == 1  # Kraft: a full tree
    assert int((lengths * COUNTS).sum()) == shortest(COUNTS.tolist())


def shortest(counts):
    """Return the least sum of lengths: that of the merged weights, two smallest at a time."""
    total, counts = 0, sorted(counts)
    while len(counts) > 1:
        total += counts[0] + counts[1]
        counts = sorted([counts[0] + counts[1], *counts[2:]])
    return total


def test_the_noise_is_proportional_to_a_power_of_the_counts():
    decoder = trained(NegativeSampling, negatives=8)
    q = COUNTS.double() ** 0.75
    q /= q.sum()
    torch.testing.assert_close(decoder.noise, q)
    rows, signs = decoder.targets(torch.full((5000,), 2))
    assert bool((rows[:, 0] == 2).all())
    assert (signs[:, 0].unique().tolist(), signs[:, 1:].unique().tolist()) == ([1], [-1])
    found = rows[:, 1:].flatten().bincount(minlength=V)
    n = int(found.sum())
    assert float(((found - n * q) ** 2 / (n * q)).sum()) < 30  # chi squared of 6 degrees of freedom


def test_the_noise_has_the_precision_of_the_weights():
    decoder = trained(NegativeSampling)
    expected = (COUNTS.double() ** 0.75 / (COUNTS.double() ** 0.75).sum()).log()
    torch.testing.assert_close(decoder.double().bias, expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(decoder.float().double().cumulative[-1], 1 - expected[-1].exp(), rtol=1e-14, atol=0)


def test_an_item_that_never_occurs_is_no_noise_and_can_be_decoded():
    decoder = NegativeSampling(3, 2)
    decoder.count(torch.tensor([3, 0, 1]))
    assert 1 not in decoder.targets(torch.zeros(2000, dtype=torch.int64))[0]
    p = decoder(torch.zeros(1, 2)).softmax(-1)
    assert p[0].tolist() == pytest.approx([3**0.75 / (3**0.75 + 1), 0, 1 / (3**0.75 + 1)])


def dense(decoder, codes, item, around, targets, average):
    """Return the loss of windows by sums over all items, without sparse gradients or batches."""
    total = 0
    for i, context, rows, signs in zip(item, around, *targets, strict=True):
        vectors = codes[context].mean(0, keepdim=True) if average else codes[context]
        for z in vectors:
            for row, sign in zip(rows.tolist(), signs.tolist(), strict=True):
                total = total - abs(sign) * logsigmoid(sign * (decoder.weight @ z)[row])
        assert i >= 0
    return total


@pytest.mark.parametrize("kind", [HierarchicalSoftmax, NegativeSampling])
@pytest.mark.parametrize("average", [False, True])
def test_a_pass_over_windows_descends_along_the_gradient_of_the_dense_loss(kind, average):
    decoder, codes = trained(kind), torch.randn(V, D, dtype=torch.float64).requires_grad_()
    items = torch.tensor([0, 5, 2, -1, 1, 0, -1, 6, -1])
    left, right = torch.tensor([0, 1, 2, 0, 0, 1, 0, 0, 0]), torch.tensor([1, 1, 0, 0, 1, 0, 0, 0, 0])
    targets = decoder.targets(items.clamp(min=0))
    rows = [0, 1, 2, 4, 5]
    around = [[5], [0, 2], [0, 5], [0], [1]]
    loss = dense(decoder, codes, items[rows], around, [part[rows] for part in targets], average)
    gradients = torch.autograd.grad(loss, [codes, decoder.weight])
    rate = 1e-7
    tables = [codes.detach().clone(), decoder.weight.detach().clone()]
    descend = pytest.importorskip("lsgen.models.embedding.descent", reason="needs numba").descend
    found, pairs = descend(
        tuple(part.numpy() for part in (items, left, right)), tuple(part.numpy() for part in targets),
        tuple(table.numpy() for table in tables), rate, average,
    )  # fmt: skip
    assert pairs == (5 if average else 7)
    assert found == pytest.approx(float(loss), rel=1e-5)
    for table, old, gradient in zip(tables, (codes, decoder.weight), gradients, strict=True):
        torch.testing.assert_close((old.detach() - table) / rate, gradient, rtol=1e-4, atol=1e-5)


def test_far_scores_have_finite_losses():
    tables = torch.full((1, 1), 1e3, dtype=torch.float64), torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    one, none = torch.tensor([0, 0]).numpy(), torch.tensor([0, 1]).numpy()
    targets = torch.tensor([[0, 1], [0, 1]]).numpy(), torch.tensor([[-1, 1], [1, -1]], dtype=torch.int8).numpy()
    descend = pytest.importorskip("lsgen.models.embedding.descent", reason="needs numba").descend
    loss, pairs = descend((one, none, none[::-1].copy()), targets, tuple(t.numpy() for t in tables), 0.0, False)
    assert (loss, pairs) == (pytest.approx(2000.0), 2)


@pytest.mark.parametrize("power", [1.0, 0.75])
def test_the_optimum_of_negative_sampling_is_the_shifted_pmi(power):
    """Levy & Goldberg (2014), equation 12, with d = V and pairs of every kind; the noise is that of the decoder."""
    k, generator = 3, torch.Generator().manual_seed(0)
    together = torch.randint(1, 40, (V, V), generator=generator).double()
    together = together + together.mT
    decoder = NegativeSampling(V, V, negatives=k, power=power).double()
    decoder.count(together.sum(0).long())
    codes = nn.Parameter(torch.randn(V, V, dtype=torch.float64, generator=generator))
    nn.init.normal_(decoder.weight, generator=generator)
    q, rows = decoder.noise, together.sum(1, keepdim=True)
    optimiser = torch.optim.LBFGS([codes, decoder.weight], max_iter=3000, tolerance_grad=1e-10, tolerance_change=0,
                                  history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def expected():
        """Return the expectation of `losses` over all pairs and their noise."""
        optimiser.zero_grad()
        scores = codes @ decoder.weight.mT
        loss = -(together * logsigmoid(scores) + k * rows * q * logsigmoid(-scores)).sum() / together.sum()
        loss.backward()
        return loss

    optimiser.step(expected)
    pmi = (together * together.sum() / (rows * together.sum(0))).log()
    smoothed = (together / rows / q).log()
    if power == 1:
        torch.testing.assert_close(smoothed, pmi)
    torch.testing.assert_close((codes @ decoder.weight.mT).detach(), smoothed - math.log(k), rtol=0, atol=1e-4)
    torch.testing.assert_close(decoder(codes).softmax(-1).detach(), together / rows, rtol=0, atol=1e-5)


def test_losses_average_to_the_expectation_that_was_minimised():
    decoder, z = trained(NegativeSampling, negatives=3), torch.randn(1, 1, D, dtype=torch.float64)
    torch.manual_seed(2)
    context = torch.full((20000,), 4)
    found = decoder.losses(z.expand(20000, 1, D), context)[:, 0].detach()
    scores = (z[0] @ decoder.weight.mT)[0].detach()
    expected = -logsigmoid(scores[4]) - 3 * (decoder.noise * logsigmoid(-scores)).sum()
    assert float(found.mean()) == pytest.approx(float(expected), abs=5 * float(found.std()) / 20000**0.5)


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (FullSoftmax, {"items": 1}, "expected a vocabulary of 2 to 16777216 items, got 1"),
        (HierarchicalSoftmax, {"dim": 0}, "expected a latent dimension of at least 1, got 0"),
        (NegativeSampling, {"negatives": 0}, "expected at least 1 negative and a finite power, got 0 and 0.75"),
        (NegativeSampling, {"power": math.nan}, "expected at least 1 negative and a finite power, got 5 and nan"),
    ],
)
def test_decoders_that_there_are_not(kind, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(**{"items": 5, "dim": 2, **options})
    with pytest.raises(ValueError, match=r"expected counts \(7,\) of items"):
        trained(FullSoftmax).count(torch.zeros(7))
