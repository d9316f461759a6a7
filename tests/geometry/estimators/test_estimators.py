"""Estimates against exact values from full Jacobians and Hessians: their mean within four standard errors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian, jacrev, vmap

from lsgen.geometry import Immersion, immersion, log_volume, metric, scalar_curvature
from lsgen.geometry.estimators import (
    Differential,
    conformal_distortion,
    differential,
    extrinsic_bending,
    flatness_defect,
    relaxed_distortion,
    segment_lengths,
    squared_scalar_curvature,
    stress,
    volume_variance,
)
from lsgen.geometry.estimators.frames import moments, random_frames
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Beta, Categorical, FixedGaussian, Gaussian, Likelihood, NegativeBinomial
from lsgen.likelihoods import Poisson as PoissonFamily

D, M, N = 3, 7, 6


def net(seed: int = 0, dim: int = D, out: int = M) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(dim, 8), nn.Tanh(), nn.Linear(8, out)).double()


def of(fn: Callable[[Tensor], Tensor], dim: int = D) -> Differential:
    return Differential(Immersion(fn, dim))


def codes(n: int = N, dim: int = D) -> Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def full(fn: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Jacobian (N, m, d) and the Hessian (N, m, d, d) by nested reverse and forward mode."""
    return vmap(jacrev(lambda x: fn(x[None])[0]))(z), vmap(hessian(lambda x: fn(x[None])[0]))(z)


def agrees(draw: Callable[[], Tensor], exact: Tensor, draws: int = 40) -> None:
    """Compare the mean of draws, each of which is a mean over many planes, with the exact value."""
    torch.manual_seed(2)
    found = torch.stack([draw() for _ in range(draws)])
    error = found.std() / draws**0.5
    assert (found.mean() - exact).abs() < 4 * error + 1e-12 * exact.abs(), (found.mean(), exact, error)
    assert error < 0.1 * exact.abs()  # the test could tell a wrong formula


def exact_moments(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    trace = g.diagonal(dim1=-2, dim2=-1).sum(-1)
    return trace, trace.square(), g.square().sum((-2, -1))


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_moments_of_random_planes_are_those_of_the_metric(dim: int) -> None:
    a = torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(dim))
    g, n = a @ a.mT, 40_000
    torch.manual_seed(0)
    for k in range(2, dim + 1):
        u = random_frames(k, torch.zeros(n, dim, dtype=torch.float64)).transpose(0, 1)
        assert torch.allclose(u @ u.mT, torch.eye(k, dtype=u.dtype).expand(n, k, k), atol=1e-10)
        for value, exact in zip(moments(u @ g @ u.mT, dim), exact_moments(g), strict=True):
            assert (value.mean() - exact).abs() <= 4 * value.std() / n**0.5 + 1e-10 * exact


@pytest.mark.parametrize("plane", [2, None])
def test_numerators_and_denominators_of_distortion_have_no_bias(plane: int | None) -> None:
    fn, z = net(), codes()
    f, j = of(fn), full(fn, z)[0]
    trace, squared, square = exact_moments(j.mT @ j)
    flat = square.mean() - trace.mean() ** 2 / D
    given = (j.mT @ j - 0.3 * torch.eye(D)).square().sum((-2, -1)).mean()
    if plane is None:
        assert torch.allclose(relaxed_distortion(f, z), D * square.mean() / trace.mean() ** 2 - 1)
        assert torch.allclose(conformal_distortion(f, z), D * square.mean() / squared.mean() - 1)
        assert torch.allclose(flatness_defect(f, z), flat)
        assert torch.allclose(flatness_defect(f, z, scale=0.3), given)
    else:
        many = z.repeat(50, 1)
        agrees(lambda: flatness_defect(f, many, plane), flat)
        agrees(lambda: flatness_defect(f, many, plane, scale=0.3), given)
        few = z.repeat(3, 1)  # the squared mean has a bias of 1/N, unless it is taken off
        agrees(lambda: flatness_defect(f, few, plane), flat, 600)
        many = z.repeat(3000, 1)  # quotients are consistent
        assert torch.allclose(relaxed_distortion(f, many, plane), relaxed_distortion(f, z), rtol=0.05)
        assert torch.allclose(conformal_distortion(f, many, plane), conformal_distortion(f, z), rtol=0.05)


def test_distortion_of_isometries_and_of_conformal_maps() -> None:
    z, turn = codes(), torch.linalg.qr(torch.randn(M, D, dtype=torch.float64))[0]
    scaled = of(lambda z: 2.5 * z @ turn.mT)
    inversion = of(lambda z: z / z.square().sum(-1, keepdim=True))
    for plane in (2, None):
        for distortion in (relaxed_distortion, conformal_distortion):
            assert distortion(scaled, z, plane).abs() < 1e-10
        assert flatness_defect(scaled, z, plane).abs() < 1e-9
        assert flatness_defect(scaled, z, plane, scale=6.25).abs() < 1e-9
    assert conformal_distortion(inversion, z).abs() < 1e-10
    assert relaxed_distortion(inversion, z) > 0.1


def test_volume_variance() -> None:
    fn, z = net(), codes()
    f, im = of(fn), Immersion(fn, D)
    assert torch.allclose(volume_variance(f, z), log_volume(im, z).var())
    g = metric(im, z)
    lines = torch.nn.functional.normalize(torch.randn(20_000, D, dtype=z.dtype), dim=-1)
    speeds = torch.einsum("nij,li,lj->ln", g, lines, lines)
    agrees(lambda: volume_variance(f, z, 1), (speeds.log() / 2).var(1).mean(), 500)
    assert volume_variance(of(lambda z: torch.cat([z[:, :1].exp(), z[:, 1:]], 1)), z, 3) > 0
    assert torch.isnan(volume_variance(of(lambda z: z[:, :1]), z))


@pytest.mark.parametrize("plane", [1, 2, None])
def test_extrinsic_bending(plane: int | None) -> None:
    fn, z = net(), codes()
    j, h = full(fn, z)
    f, k = of(fn), plane or D
    if plane is None:
        pulled = torch.einsum("nmi,nmjk->nijk", j, h)
        normal = h - torch.einsum("nmi,nil,nljk->nmjk", j, torch.linalg.inv(j.mT @ j), pulled)
        frame = torch.linalg.inv(torch.linalg.cholesky(j.mT @ j)).mT
        second = torch.einsum("nia,nmij,njb->nmab", frame, normal, frame)
        mean = second.diagonal(dim1=-2, dim2=-1).sum(-1)
        agrees(
            lambda: extrinsic_bending(f, z.repeat(50, 1)),
            ((2 * second.square().sum((1, 2, 3)) + mean.square().sum(1)) / (D * (D + 2))).mean(),
        )
    elif plane == 1:
        u = torch.nn.functional.normalize(torch.randn(20_000, D, dtype=z.dtype), dim=-1)
        speed, bend = torch.einsum("nmi,li->lnm", j, u), torch.einsum("nmij,li,lj->lnm", h, u, u)
        square = speed.square().sum(-1)
        across = bend.square().sum(-1) - (speed * bend).sum(-1) ** 2 / square
        agrees(lambda: extrinsic_bending(f, z.repeat(100, 1), 1), (across / square**2).mean())
    else:
        assert extrinsic_bending(f, z, k) >= 0


def sphere(z: Tensor) -> Tensor:
    """Stereographic coordinates of the sphere of radius 2."""
    square = z.square().sum(-1, keepdim=True)
    return 2 * torch.cat([2 * z, square - 1], -1) / (1 + square)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_curvature_of_a_sphere_of_radius_2(dim: int) -> None:
    """In every direction |II(v, v)| = 1/2 and K = 1/4, so that no draw differs from the mean."""
    f, z = of(sphere, dim), codes(dim=dim)
    assert torch.allclose(extrinsic_bending(f, z), torch.tensor(0.25, dtype=z.dtype))
    if dim > 1:
        exact = torch.tensor((dim * (dim - 1) / 4) ** 2, dtype=z.dtype)
        assert torch.allclose(squared_scalar_curvature(f, z), exact)
    else:
        with pytest.raises(ValueError, match="expected a latent dimension of at least 2"):
            squared_scalar_curvature(f, z)


@pytest.mark.parametrize("dim", [2, 3])
def test_squared_scalar_curvature(dim: int) -> None:
    fn, z = net(dim=dim), codes(dim=dim)
    exact = scalar_curvature(Immersion(fn, dim), z).square().mean()
    f = of(fn, dim)
    if dim == 2:
        assert torch.allclose(squared_scalar_curvature(f, z), exact)
    else:
        agrees(lambda: squared_scalar_curvature(f, z.repeat(200, 1)), exact)


def test_lengths_and_stress() -> None:
    fn, z = net(), codes()
    f, start, end = of(fn), z, z.roll(1, 0)
    t = (torch.arange(4000, dtype=z.dtype) + 0.5) / 4000
    curve = fn(start[:, None] + t[:, None] * (end - start)[:, None])
    exact = curve.diff(dim=1).norm(dim=-1).sum(1) * 4000 / 3999
    torch.manual_seed(0)
    for points in (1, 3):
        found = segment_lengths(f, start.repeat(1000, 1), end.repeat(1000, 1), points).unflatten(0, (1000, N))
        assert ((found.mean(0) - exact).abs() < 4 * found.std(0) / 1000**0.5 + 1e-3 * exact).all()
    wanted = (end - start).norm(dim=-1)
    s, many = 0.7, [x.repeat(2000, 1) for x in (start, end)]
    least = 1 - (exact * wanted).sum() ** 2 / (exact.square().sum() * wanted.square().sum())
    assert torch.allclose(stress(f, *many, wanted.repeat(2000)), least, atol=3e-3)
    given = (exact - s * wanted).square().sum() / (s * wanted).square().sum()
    many = [x.repeat(50, 1) for x in (start, end)]
    agrees(lambda: stress(f, *many, wanted.repeat(50), scale=s), given)
    straight = of(lambda z: 3 * z)
    assert stress(straight, start, end, wanted).abs() < 1e-12
    assert stress(straight, start, start, wanted * 0 + 1, scale=2.0) == 1


FAMILIES = [Bernoulli, FixedGaussian, Gaussian, PoissonFamily, Beta, NegativeBinomial, Categorical]


def space(kind: type[Likelihood]) -> LatentSpace:
    likelihood = kind((M,), 3) if kind is Categorical else kind((M,))  # type: ignore[call-arg]
    return LatentSpace(net(out=likelihood.raw_shape[0]), likelihood, StandardNormal(D)).double().eval()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda c: c.__name__)
def test_every_family_has_its_fisher_metric(family: type[Likelihood]) -> None:
    """Both routes, the flat embedding and the information itself, give J_h^T F J_h."""
    made, z = space(family), codes()
    j = vmap(jacrev(lambda x: made.raw(x[None])[0]))(z)
    rows = made.likelihood.split(j.movedim(-1, 1)).flatten(2, -2)
    fisher = made.likelihood.fisher(made.raw(z)).flatten(1, -3)
    g = torch.einsum("nimh,nmhk,njmk->nij", rows, fisher, rows)
    f = differential(made)
    assert torch.allclose(f.gram(z, random_frames(D, z)), g, rtol=1e-6, atol=1e-12)
    f = differential(made, "euclidean")
    mean = vmap(jacrev(lambda x: made.decode(x[None]).mean[0].flatten()))(z)
    assert torch.allclose(f.gram(z, random_frames(D, z)), mean.mT @ mean, rtol=1e-6)


QUANTITIES: dict[str, Callable[[Differential, Tensor], Tensor]] = {
    "relaxed": lambda f, z: relaxed_distortion(f, z, 2),
    "flatness": lambda f, z: flatness_defect(f, z, 2),
    "conformal": lambda f, z: conformal_distortion(f, z, 2),
    "volume": lambda f, z: volume_variance(f, z, 2),
    "extrinsic": lambda f, z: extrinsic_bending(f, z),
    "intrinsic": lambda f, z: squared_scalar_curvature(f, z),
    "stress": lambda f, z: stress(f, z, z.roll(1, 0), (z - z.roll(1, 0)).norm(dim=-1)),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    """In weights and codes, for one draw: also through the vectors, which depend on the metric."""
    made, z = net(), codes().requires_grad_()
    weights = {key: value.detach().clone() for key, value in made.named_parameters()}
    ways = {key: torch.randn_like(value) for key, value in weights.items()}
    way = torch.randn_like(z)

    def value(t: Tensor) -> Tensor:
        torch.manual_seed(5)
        moved = {key: weights[key] + t * ways[key] for key in weights}
        return QUANTITIES[name](of(lambda x: functional_call(made, moved, (x,))), z + t * way)

    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value(t), t)
    step = 1e-5
    with torch.no_grad():
        difference = (value(torch.tensor(step)) - value(torch.tensor(-step))) / (2 * step)
    assert torch.allclose(slope, difference, rtol=1e-5), (slope, difference)
    assert slope.abs() > 1e-6


@pytest.mark.parametrize("name", QUANTITIES)
def test_float32_agrees_with_float64_and_gradients_are_finite(name: str) -> None:
    made = space(Bernoulli)
    single = space(Bernoulli).float()
    torch.manual_seed(3)
    wide = QUANTITIES[name](differential(made), codes())
    torch.manual_seed(3)
    if name in ("volume", "extrinsic", "intrinsic", "stress"):
        found = QUANTITIES[name](differential(single), codes().float())
        found.backward()
        assert found.dtype == torch.float32
        assert torch.isfinite(found)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in single.parameters())
    full_plane: dict[str, Callable[[Differential, Tensor], Tensor]] = {
        "relaxed": relaxed_distortion, "flatness": flatness_defect, "conformal": conformal_distortion,
    }  # fmt: skip
    if name in full_plane:
        exact = full_plane[name](differential(made), codes())
        assert torch.allclose(full_plane[name](differential(single), codes().float()).double(), exact, rtol=1e-4)
    assert wide.dtype == torch.float64


def test_what_cannot_be_had_is_refused() -> None:
    fn, z = net(), codes()
    f = of(fn)
    with pytest.raises(ValueError, match="expected random planes of at least 2 dimensions, got 1"):
        relaxed_distortion(f, z, 1)
    with pytest.raises(ValueError, match="expected at least 2 codes for a variance, got 1"):
        volume_variance(f, z[:1])
    with pytest.raises(ValueError, match="expected at least 1 point on each segment, got 0"):
        segment_lengths(f, z, z, 0)
    with pytest.raises(ValueError, match="expected a scale above 0, got 0"):
        stress(f, z, z, z[:, 0], scale=0.0)
    with pytest.raises(ValueError, match=r"expected codes of shape \(N, d\), got \(3,\)"):
        relaxed_distortion(f, z[0])
    with pytest.raises(ValueError, match=r"expected codes of shape \(N, 3\), got \(6, 2\)"):
        relaxed_distortion(f, z[:, :2])
    with pytest.raises(ValueError, match="expected a map in eval mode, got Dropout in train mode"):
        relaxed_distortion(of(nn.Sequential(nn.Linear(D, M).double(), nn.Dropout())), z)
    with pytest.raises(TypeError, match="expected codes of dtype float64 like the weights, got float32"):
        volume_variance(f, z.float())
    for family in (Gaussian, Beta):
        with pytest.raises(TypeError, match="expected a map into flat space with a positive inner product"):
            extrinsic_bending(differential(space(family)), z)
    with pytest.raises(TypeError, match=r"expected a LatentSpace, or Differential\(f\) of an immersion f, got Linear"):
        differential(nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='expected kind "fisher" or "euclidean", got \'expected\''):
        differential(space(Bernoulli), "expected")  # type: ignore[arg-type]


def test_an_immersion_of_the_user_is_taken() -> None:
    made, z = space(Bernoulli), codes()
    origin, basis = torch.zeros(D, dtype=z.dtype), torch.eye(D, dtype=z.dtype)[:2]
    plane = immersion(made).restrict(origin, basis)
    g = metric(plane, z[:, :2])
    exact = 2 * g.square().sum((1, 2)).mean() / g.diagonal(dim1=1, dim2=2).sum(1).mean() ** 2 - 1
    assert torch.allclose(relaxed_distortion(Differential(plane), z[:, :2]), exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_curvature_of_a_collapsed_image_is_not_a_number(dtype: torch.dtype) -> None:
    """Images of planes are curves, whose tangents are parallel but for rounding; nearly collapsed ones are surfaces."""

    def curve(z: Tensor) -> Tensor:
        x = z @ torch.tensor([[0.3], [0.7], [-1.1]], dtype=dtype)
        return torch.cat([x.sin(), (2 * x).cos(), x.square() / 3, x.exp()], -1)

    z = torch.randn(16, D, dtype=dtype)
    for penalty in (extrinsic_bending, squared_scalar_curvature):
        assert all(bool(penalty(of(curve), z[i : i + 1], 2).isnan()) for i in range(16))
        assert bool(penalty(of(lambda z: torch.cat([curve(z), 1e-3 * z.sin()], -1)), z, 2).isfinite())
