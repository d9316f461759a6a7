"""Closed sets of items: the table, and the prior that puts a mass at each. Truth are sums over the items."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import Atoms, Codes, ItemSpace, ItemTable, LatentSpace, PoincareBall, Sphere
from lsgen.latent.densities import check_density
from lsgen.likelihoods import FixedGaussian

POINTS = torch.tensor([[0.0, 1.0], [2.0, -1.0], [2.0, -1.0], [3.0, 4.0]])
COUNTS = [1, 2, 3, 0]


class Table(LatentSpace, ItemSpace):
    """Trained codes of four items."""

    def __init__(self) -> None:
        prior = Atoms(2, COUNTS)
        super().__init__(nn.Linear(2, 3), FixedGaussian((3,)), prior)
        self.table = nn.Embedding(4, 2)
        self.table.weight.data.copy_(POINTS)
        prior.bind(self.codes)

    def codes(self) -> Tensor:
        return self.table.weight

    def items(self) -> Codes:
        return Codes(self.table.weight, list("abcd"), self.manifold, {"count": COUNTS})


def test_a_table_of_codes_is_a_space_of_items() -> None:
    codes = Codes(np.eye(3), ["x", "y", "z"], Sphere(), {"count": [3, 2, 1]})
    space = ItemTable(codes)
    assert space.items() is codes
    assert (space.dim, space.manifold) == (3, Sphere())
    assert not isinstance(space, LatentSpace)
    assert deepcopy(space).items() == codes
    with pytest.raises(TypeError, match="expected the items as a table of Codes, got ndarray"):
        ItemTable(codes.z)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected at least one item, got an empty table"):
        ItemTable(codes.select([]))


def test_masses_of_points_add_up_where_they_coincide() -> None:
    p = Table().prior()
    torch.testing.assert_close(p.log_prob(POINTS).exp(), torch.tensor([1 / 6, 5 / 6, 5 / 6, 0.0]))
    torch.testing.assert_close(p.log_prob(POINTS[[0, 1]]).exp().sum(), torch.tensor(1.0))
    assert p.log_prob(POINTS.view(2, 2, 2)).shape == (2, 2)
    assert p.log_prob(POINTS[0] + 1e-6) == -torch.inf


def test_moments_are_those_of_a_sum_over_items() -> None:
    p, w = Table().double().prior(), torch.tensor(COUNTS, dtype=torch.float64) / 6
    mean = sum(share * z for share, z in zip(w, POINTS.double(), strict=True))
    spread = sum(share * (z - mean) ** 2 for share, z in zip(w, POINTS.double(), strict=True))
    torch.testing.assert_close(p.mean.detach(), mean)
    torch.testing.assert_close(p.stddev.detach(), spread.sqrt())


def test_draws_are_items_by_weight_and_carry_their_gradient() -> None:
    torch.manual_seed(0)
    space, n = Table(), 6000
    draws = space.prior().sample((n,))
    share = (draws == POINTS[0]).all(1).double().mean().item()
    assert abs(share - 1 / 6) < 5 * (5 / 36 / n) ** 0.5
    assert not bool((draws == POINTS[3]).all(1).any())
    space.prior.draw(10).sum().backward()
    torch.testing.assert_close(space.table.weight.grad[:3].sum(), torch.tensor(20.0))
    assert space.table.weight.grad[3].tolist() == [0, 0]


def test_the_prior_follows_the_table_and_copies_have_their_own() -> None:
    space = Table()
    copied = deepcopy(space)
    with torch.no_grad():
        space.table.weight.add_(1)
    assert space.prior().log_prob(POINTS[0] + 1) > -2
    assert copied.prior().log_prob(POINTS[0]) > -2
    assert copied.prior().log_prob(POINTS[0] + 1) == -torch.inf


def test_what_is_no_prior_of_items_is_refused() -> None:
    for weights, sentence in (
        ([], r"expected weights of at least one item, \(V,\), got \(0,\)"),
        ([1.0, -1.0], "not negative and not all 0"),
        ([0.0, 0.0], "not negative and not all 0"),
        ([float("nan"), 1.0], "not negative and not all 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Atoms(2, weights)
    with pytest.raises(RuntimeError, match="Atoms expected to be bound to the codes of its items"):
        Atoms(2, [1.0])()
    prior = Atoms(2, [1.0, 1.0])
    prior.bind(lambda: POINTS, PoincareBall(0.01))
    assert prior.manifold == PoincareBall(0.01)
    with pytest.raises(ValueError, match=r"expected codes of items \(2, 2\), got \(4, 2\)"):
        prior()
    with pytest.raises(TypeError, match="expected a prior with a density, got Atoms, which can only be sampled"):
        check_density(prior)
