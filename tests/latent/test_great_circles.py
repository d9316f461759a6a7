"""Great circles between close, nearly opposite and opposite directions, in both precisions."""

import pytest
import torch
from torch import Tensor

from lsgen.latent import Sphere, StandardNormal, great_circles, paths
from lsgen.latent.space import LatentSpace
from lsgen.likelihoods import Gaussian
from lsgen.metrics.quality import path_length


def _directions(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return unit vectors (n, d) and, at each, a unit tangent vector."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(n, d, 2, dtype=torch.float64, generator=generator))[0]
    return frame.unbind(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", [1, -1], ids=["close", "opposite"])
def test_logarithms_keep_their_precision_next_to_a_code_and_next_to_its_antipode(dtype, side) -> None:
    u, across = _directions(50, 4)
    eps = torch.finfo(dtype).eps
    for gap in (1e-1, 1e-3, 1e2 * eps):
        turn = gap if side > 0 else torch.pi - gap
        w = side * (u + across * torch.tan(torch.tensor(turn, dtype=torch.float64)))
        u_, w_ = u.to(dtype), torch.nn.functional.normalize(w, dim=-1).to(dtype)
        assert (Sphere().log(u_, w_) - turn * across).norm(dim=-1).max().item() < 8 * eps * turn / gap
        arrived = Sphere().geodesic(u_, w_, 5)[:, -1]
        assert (arrived - w_).abs().max().item() < 8 * eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_antipodes_are_said_to_have_no_geodesic_and_cost_the_others_nothing(dtype) -> None:
    u, across = (x.to(dtype) for x in _directions(40, 3))
    w = torch.where(torch.arange(40)[:, None] % 2 == 0, -u, across)
    path = Sphere().geodesic(u, w, 7)
    assert bool(path[0::2].isnan().all())
    torch.testing.assert_close(path[1::2, -1], w[1::2])
    assert bool(Sphere().log(u, w)[0::2].isnan().all())
    torch.testing.assert_close(Sphere().distance(u, -u), torch.full((40,), torch.pi, dtype=dtype))
    once_rounded = torch.nn.functional.normalize(-3 * u, dim=-1)
    assert bool(Sphere().log(u, once_rounded).isnan().all())


def test_codes_that_coincide_are_joined_by_a_point() -> None:
    u = _directions(5, 3)[0].requires_grad_()
    path = Sphere().geodesic(u, u.detach(), 4)
    torch.testing.assert_close(path, u.unsqueeze(1).expand(5, 4, 3))
    (slope,) = torch.autograd.grad(path.sum(), u)
    assert bool(torch.isfinite(slope).all())


def test_exponentials_and_logarithms_have_exact_gradients() -> None:
    u, across = _directions(4, 3)
    w, _ = _directions(4, 3, seed=1)
    inputs = [x.clone().requires_grad_() for x in (u, w, across)]
    assert torch.autograd.gradcheck(lambda a, b, _: great_circles.log(a, b), inputs)
    assert torch.autograd.gradcheck(lambda a, _, v: great_circles.exp(a, v), inputs)
    at_rest = torch.zeros(3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: great_circles.exp(u[0], v), at_rest)
    torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64) - torch.outer(u[0], u[0]))


@pytest.mark.parametrize("size", [1e-30, 1e-41, 1e30])
def test_unit_vectors_are_found_at_every_length(size: float) -> None:
    x = torch.tensor([3.0, 4.0]) * size
    torch.testing.assert_close(great_circles.unit_vector(x), torch.tensor([0.6, 0.8]), rtol=1e-4, atol=0)
    torch.testing.assert_close(great_circles.unit_vector(torch.zeros(2)), torch.zeros(2))


@pytest.mark.parametrize("scale", [2.0, -0.5, 0.0])
def test_spherical_interpolation_of_dependent_codes_is_straight(scale: float) -> None:
    a = _directions(6, 3)[0].float()
    torch.testing.assert_close(paths.slerp(a, scale * a, 5), paths.linear(a, scale * a, 5))


def test_spherical_path_length_of_a_line_is_that_of_straight_paths() -> None:
    """In one dimension all codes are parallel or antipodal."""
    space = LatentSpace(torch.nn.Linear(1, 6).double(), Gaussian((3,)), StandardNormal(1).double())
    straight, spherical = (path_length(space, n=200, path=path, ends=True) for path in ("linear", "slerp"))
    assert spherical.mean.item() == pytest.approx(straight.mean.item(), rel=1e-6)
