import math

import pytest
import torch

from lsgen.latent import paths


def _codes(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("path", [paths.linear, paths.slerp])
def test_paths_join_their_ends_and_reverse(path) -> None:
    a, b = _codes(7, 5, 0), _codes(7, 5, 1)
    z = path(a, b, 9)
    assert z.shape == (7, 9, 5)
    torch.testing.assert_close(z[:, 0], a)
    torch.testing.assert_close(z[:, -1], b)
    torch.testing.assert_close(z.flip(1), path(b, a, 9))


def test_slerp_of_unit_vectors_has_constant_angular_speed() -> None:
    a, b = (torch.nn.functional.normalize(_codes(20, 4, s), dim=-1) for s in (2, 3))
    z = paths.slerp(a, b, 11)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(20, 11, dtype=torch.float64))
    steps = torch.acos((z[:, 1:] * z[:, :-1]).sum(-1).clamp(-1, 1))
    torch.testing.assert_close(steps, (torch.acos((a * b).sum(-1)) / 10)[:, None].expand(20, 10))


def test_slerp_interpolates_the_norm() -> None:
    z = paths.slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), 3)
    torch.testing.assert_close(z[1].norm(), torch.tensor(2.0))
    torch.testing.assert_close(torch.atan2(z[1, 1], z[1, 0]), torch.tensor(math.pi / 4))


@pytest.mark.parametrize("end", [[2.0, 0.0], [0.0, 0.0], [-1.0, 0.0]], ids=["parallel", "zero", "antipodal"])
def test_slerp_without_a_great_circle_is_straight(end: list[float]) -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor(end)
    torch.testing.assert_close(paths.slerp(a, b, 5), paths.linear(a, b, 5))


def test_slerp_of_nearby_directions_keeps_its_precision() -> None:
    a = torch.tensor([1.0, 0.0])
    angle = 1e-4
    b = torch.tensor([math.cos(angle), math.sin(angle)])
    middle = paths.slerp(a, b, 3)[1]
    torch.testing.assert_close(middle[1], torch.tensor(math.sin(angle / 2)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("gap", [1e-2, 1e-3, 1e-4])
def test_slerp_of_nearly_opposite_directions_stays_on_the_sphere(gap: float) -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-math.cos(gap), math.sin(gap)])
    z = paths.slerp(a, b, 9)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(9))
    torch.testing.assert_close(z[4, 1], torch.tensor(math.cos(gap / 2)), rtol=1e-4, atol=0)


def test_axis_traversal_moves_one_coordinate_at_a_time() -> None:
    anchor, values = _codes(3, 5, 4), torch.linspace(-2, 2, 7, dtype=torch.float64)
    z = paths.axis_traversal(anchor, torch.tensor([4, 1]), values)
    assert z.shape == (3, 2, 7, 5)
    for row, axis in enumerate((4, 1)):
        torch.testing.assert_close(z[:, row, :, axis], values.expand(3, 7))
        others = [i for i in range(5) if i != axis]
        torch.testing.assert_close(z[:, row, :, others], anchor[:, None, others].expand(3, 7, 4))


def test_plane_is_affine_and_reads_like_a_map() -> None:
    origin, u, v = _codes(3, 4, 5)
    values = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    z = paths.plane(origin, u, v, values)
    torch.testing.assert_close(z[1, 1], origin)
    torch.testing.assert_close(z[0, 2], origin + u + v)
    torch.testing.assert_close(z[2, 0], origin - u - v)


@pytest.mark.parametrize("path", [paths.linear, paths.slerp])
def test_bad_input_is_refused(path) -> None:
    with pytest.raises(ValueError, match=r"expected two ends of one shape, got \(2,\) and \(3,\)"):
        path(torch.zeros(2), torch.zeros(3), 5)
    with pytest.raises(ValueError, match="expected at least 2 points, got 1"):
        path(torch.zeros(2), torch.zeros(2), 1)


def test_axis_outside_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected axes between 0 and 2, got \[3\]"):
        paths.axis_traversal(torch.zeros(3), torch.tensor([3]), torch.zeros(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda z: paths.linear(z, z, 3),
        lambda z: paths.axis_traversal(z, torch.tensor([0]), torch.tensor([0.5])),
        lambda z: paths.plane(z, z, z, torch.tensor([0.5])),
    ],
    ids=["linear", "axis_traversal", "plane"],
)
def test_integer_codes_are_refused(call) -> None:
    with pytest.raises(TypeError, match=r"expected codes of a floating-point type, got torch\.int64"):
        call(torch.zeros(2, dtype=torch.int64))
