"""The PixelCNN sees the past and nothing else, and is a distribution over grids."""

from itertools import product

import pytest
import torch

from lsgen.nn import PixelCNN


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_cell_depends_on_every_earlier_cell_and_on_no_other(kernel: int) -> None:
    torch.manual_seed(0)
    net = PixelCNN(3, width=8, layers=6, kernel=kernel).double()
    h, w = 4, 5
    embedded = torch.randn(1, h, w, 8, dtype=torch.float64, requires_grad=True)
    net.embed.forward = lambda indices: embedded  # type: ignore[method-assign]
    logits = net(torch.zeros(1, h, w, dtype=torch.int64))
    for row, column in product(range(h), range(w)):
        (gradient,) = torch.autograd.grad(logits[0, :, row, column].square().sum(), embedded, retain_graph=True)
        seen = gradient[0].abs().sum(-1) > 0
        before = torch.arange(h * w).reshape(h, w) < row * w + column
        assert torch.equal(seen, before), (row, column)


def test_probabilities_of_all_grids_sum_to_one_and_samples_follow_them() -> None:
    torch.manual_seed(0)
    net = PixelCNN(2, width=6, layers=2).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2.0)
    grids = torch.tensor(list(product([0, 1], repeat=4))).reshape(-1, 2, 2)
    log_p = net(grids).log_softmax(1).gather(1, grids.unsqueeze(1)).sum((1, 2, 3))
    p = log_p.exp()
    torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.float64))
    n = 20_000
    drawn = net.sample(n, 2, 2).flatten(1) @ torch.tensor([8, 4, 2, 1])
    counts = torch.bincount(drawn, minlength=16).double()
    assert ((counts - n * p).square() / (n * p)).sum().item() < 15 + 6 * 30**0.5


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected an odd kernel of at least 3, got 4"):
        PixelCNN(3, kernel=4)
    with pytest.raises(ValueError, match="expected entries, width and layers of at least 1, got 0, 64 and 8"):
        PixelCNN(0)
