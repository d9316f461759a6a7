"""Windows over sequences against brute force, and draws against their closed forms."""

import pytest
import torch

from lsgen.models.embedding.windows import ContextWindows, keep_probabilities

ALL = torch.ones(50)


def brute_force(rows, size):
    """Return the pairs (item, context) of rows."""
    found = []
    for row in rows.tolist():
        documents, document = [], []
        for item in [*row, -1]:
            if item >= 0:
                document.append(item)
            else:
                documents.append(document)
                document = []
        for words in documents:
            for i, item in enumerate(words):
                found += [(item, other) for j, other in enumerate(words) if j != i and abs(i - j) <= size]
    return sorted(found)


def pairs_of(windows, rows, kept=ALL):
    contexts = windows.contexts(rows, kept)
    around, inside = contexts.pairs(windows.reach(rows.shape[1]))
    item = contexts.items[:, None].expand_as(around)
    return sorted(zip(item[inside].tolist(), around[inside].tolist(), strict=True))


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    found = torch.randint(50, (6, 20), generator=generator)
    return found.masked_fill(torch.rand(6, 20, generator=generator) < 0.2, -1)


@pytest.mark.parametrize("size", [1, 3, 19, 40, None])
def test_pairs_are_those_within_a_document(rows, size):
    windows = ContextWindows(size, shrink=False, subsample=None)
    assert pairs_of(windows, rows) == brute_force(rows, 10**6 if size is None else size)


def test_documents_of_one_word_and_rows_without_any_make_no_pairs():
    rows = torch.tensor([[3, -1, 4, -1], [-1, -1, -1, -1], [5, -1, -1, 6]])
    assert pairs_of(ContextWindows(), rows, ALL) == []


def test_a_shrinking_window_reaches_a_neighbour_with_the_probability_of_its_distance():
    torch.manual_seed(0)
    contexts = ContextWindows(4, subsample=None).contexts(torch.zeros(40, 500, dtype=torch.int64), torch.ones(1))
    _, inside = contexts.pairs(4)
    inner = inside.reshape(40, 501, 8)[:, 4:-5]
    n = inner[..., 0].numel()
    for o in range(1, 5):
        expected = (4 - o + 1) / 4
        for side in (0, 4):
            found = float(inner[..., side + o - 1].double().mean())
            assert found == pytest.approx(expected, abs=5 * (expected * (1 - expected) / n) ** 0.5 + 1e-12)


def test_frequent_items_are_kept_with_their_probability_and_leave_no_gap():
    counts, t = torch.tensor([9000, 900, 90, 10]), 1e-2
    f = counts / counts.sum()
    kept = keep_probabilities(counts, t)
    torch.testing.assert_close(kept, ((t / f).sqrt() + t / f).clamp(max=1), rtol=1e-6, atol=0)
    torch.manual_seed(1)
    rows = torch.multinomial(f, 40 * 500, replacement=True).reshape(40, 500)
    contexts = ContextWindows(2, shrink=False, subsample=t).contexts(rows, kept)
    for item in range(4):
        n, p = int((rows == item).sum()), float(kept[item])
        assert int((contexts.items == item).sum()) == pytest.approx(n * p, abs=5 * (n * p * (1 - p)) ** 0.5)
    total = int((contexts.items >= 0).sum())
    assert int((contexts.left + contexts.right).sum()) == 4 * total - 6 * 40  # but for the ends of 40 documents
    assert bool((keep_probabilities(counts, None) == 1).all())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "expected windows of a size of at least 1, got 0"),
        ({"size": None}, "expected shrink=False with windows over whole documents"),
        ({"subsample": 0.0}, "expected a positive subsample, or None to keep all items, got 0.0"),
        ({"width": 3}, "expected windows to be a mapping with some of size, shrink, subsample, got"),
    ],
)
def test_windows_that_there_are_not(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ContextWindows.of(options)
