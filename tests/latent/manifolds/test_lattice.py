"""Lattices of bits and levels against all of their points."""

from itertools import product

import pytest
import torch
from torch import Tensor

from lsgen.latent import Lattice

VALUES = [(0.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, -0.5, 0.0, 0.5)]
LATTICE = Lattice(VALUES)
POINTS = torch.tensor(list(product(*VALUES)))


def _steps(z: Tensor, other: Tensor) -> int:
    """Return the number of steps between two points, by their places in the lists of values."""
    pairs = zip(VALUES, z.tolist(), other.tolist(), strict=True)
    return sum(abs(own.index(a) - own.index(b)) for own, a, b in pairs)


def test_points_near_a_code_are_moved_onto_it() -> None:
    assert bool(LATTICE.contains(POINTS).all())
    noise = 0.2 * (2 * torch.rand(POINTS.shape, generator=torch.Generator().manual_seed(0)) - 1)
    assert torch.equal(LATTICE.onto(POINTS + noise), POINTS)
    assert not bool(LATTICE.contains(POINTS + 0.2).any())
    assert torch.equal(LATTICE.shift(POINTS + noise, torch.ones_like(noise)), POINTS)


def test_distances_count_steps_and_those_of_bits_are_of_hamming() -> None:
    i, j = torch.cartesian_prod(*[torch.arange(len(POINTS))] * 2).unbind(1)
    expected = torch.tensor([_steps(a, b) for a, b in zip(POINTS[i], POINTS[j], strict=True)])
    torch.testing.assert_close(LATTICE.distance(POINTS[i], POINTS[j]), expected.float())
    bits = torch.tensor(list(product([0.0, 1.0], repeat=3)))
    hamming = (bits[:, None] != bits).sum(-1).float()
    torch.testing.assert_close(Lattice.of_bits(3).distance(bits[:, None], bits), hamming)


def test_a_path_takes_one_step_at_a_time_and_none_too_many() -> None:
    i, j = torch.cartesian_prod(*[torch.arange(len(POINTS))] * 2)[::11].unbind(1)
    for start, end in zip(POINTS[i], POINTS[j], strict=True):
        steps = _steps(start, end)
        path = LATTICE.geodesic(start, end, steps + 1 if steps else 2)
        assert torch.equal(path[0], start)
        assert torch.equal(path[-1], end)
        assert bool(LATTICE.contains(path).all())
        expected = torch.ones(steps) if steps else torch.zeros(1)
        torch.testing.assert_close(LATTICE.distance(path[1:], path[:-1]), expected)


def test_a_traversal_shows_every_value_of_a_coordinate_and_moves_no_other() -> None:
    anchor = torch.tensor([0.9, 0.1, -0.6])
    moved = LATTICE.traversal(anchor, torch.tensor([2, 0]), torch.tensor([-1.0, -0.4, 0.1, 0.9]))
    assert moved.shape == (2, 4, 3)
    assert moved[0, :, 2].tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert moved[1, :, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert torch.equal(moved[0, :, :2], torch.tensor([[1.0, 0.0]]).expand(4, 2))
    assert torch.equal(moved[1, :, 1:], torch.tensor([[0.0, -0.5]]).expand(4, 2))


def test_an_intervention_flips_a_bit_or_moves_a_level_and_turns_back_at_the_end() -> None:
    z = torch.tensor([[0.0, 1.0, -1.0], [1.0, 0.0, 0.5]])
    for step in (torch.tensor(1.0), torch.tensor(-1.0)):
        assert LATTICE.intervene(z, 0, step)[:, 0].tolist() == [1.0, 0.0]
    assert LATTICE.intervene(z, 1, torch.tensor(1.0))[:, 1].tolist() == [0.0, 1.0]
    assert LATTICE.intervene(z, 2, torch.tensor(1.0))[:, 2].tolist() == [-0.5, 0.0]
    assert LATTICE.intervene(z, 2, torch.tensor(-1.0))[:, 2].tolist() == [-0.5, 0.0]
    assert Lattice([(3.0,)]).intervene(torch.tensor([[3.0]]), 0, torch.tensor(1.0)).item() == 3.0


def test_what_a_lattice_lacks_is_refused() -> None:
    assert not LATTICE.continuous
    assert not LATTICE.tangent(POINTS, torch.ones_like(POINTS)).any()
    with pytest.raises(TypeError, match="expected codes that can move continuously, got those of Lattice"):
        LATTICE.check_continuous()
    with pytest.raises(TypeError, match="expected codes that can move continuously, got the points of a lattice"):
        LATTICE.log(POINTS, POINTS)
    for values in ([], [(1.0, 0.0)], [(0.0, 0.0)], [()]):
        with pytest.raises(ValueError, match="expected ascending values for at least one coordinate, got"):
            Lattice(values)
