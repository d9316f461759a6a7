"""The geometry of noise: flat as a whole, curved on slices, and what callbacks say of it. The denoiser is exact."""

from functools import cache

import pytest
import torch

from lsgen.callbacks import GeometryDetail
from lsgen.callbacks.latent.geometry import LatentGeometry
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.geometry import geodesic, immersion, metric, scalar_curvature
from lsgen.geometry.curvature import fills_flat_space
from lsgen.latent import Deterministic, StandardNormal
from lsgen.latent.wrapping import slice_space
from lsgen.likelihoods import FixedGaussian
from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.samplers import Heun
from lsgen.models.diffusion.space import NoiseDecoder, NoiseEncoder, NoiseSpace

f64 = torch.float64
MEANS = torch.tensor([[-1.5, 0.5, 0.2], [1.0, -0.5, 1.1], [0.3, 1.4, -0.8]], dtype=f64)


@cache
def noise_space(dim=3, steps=2, scale=0.5):
    path = LinearLogSNR(log_snr_max=3.0, log_snr_min=-3.0)
    denoiser = MixtureDenoiser(path, MEANS[:, :dim], scale)
    decoder = NoiseDecoder(denoiser, Heun(steps, "log_snr", False), Guidance())
    likelihood = FixedGaussian((dim,), 0.5)
    space = NoiseSpace(NoiseEncoder(decoder), decoder, likelihood, StandardNormal(dim), Deterministic())
    return space.double().eval()


def codes(n, dim=3):
    return torch.randn(n, dim, dtype=f64, generator=torch.Generator().manual_seed(0))


def gauss_curvature(g, a, h=3e-4):
    """Return the Gaussian curvature (N,) at points a (N, 2) by Brioschi's formula from differences of the metric."""
    steps = torch.tensor([-h, 0.0, h], dtype=f64)
    grid = a[:, None, None] + torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    values = g(grid.reshape(-1, 2)).reshape(len(a), 3, 3, 2, 2)
    e, f, c = values[..., 0, 0], values[..., 0, 1], values[..., 1, 1]
    du = lambda x: (x[:, 2, 1] - x[:, 0, 1]) / (2 * h)
    dv = lambda x: (x[:, 1, 2] - x[:, 1, 0]) / (2 * h)
    duu = lambda x: (x[:, 2, 1] - 2 * x[:, 1, 1] + x[:, 0, 1]) / h**2
    dvv = lambda x: (x[:, 1, 2] - 2 * x[:, 1, 1] + x[:, 1, 0]) / h**2
    duv = lambda x: (x[:, 2, 2] - x[:, 2, 0] - x[:, 0, 2] + x[:, 0, 0]) / (4 * h**2)
    rows = lambda *r: torch.linalg.det(torch.stack([torch.stack(row, -1) for row in r], -2))
    at, zero = (lambda x: x[:, 1, 1]), torch.zeros(len(a), dtype=f64)
    first = rows(
        (-dvv(e) / 2 + duv(f) - duu(c) / 2, du(e) / 2, du(f) - dv(e) / 2),
        (dv(f) - du(c) / 2, at(e), at(f)),
        (dv(c) / 2, at(f), at(c)),
    )
    second = rows((zero, dv(e) / 2, du(c) / 2), (dv(e) / 2, at(e), at(f)), (du(c) / 2, at(f), at(c)))
    return (first - second) / (at(e) * at(c) - at(f) ** 2) ** 2


@pytest.mark.slow
def test_the_whole_way_of_a_sampler_is_flat_though_its_metric_varies():
    im, z = immersion(noise_space(2), "euclidean"), codes(5, 2)
    g = metric(im, z)
    assert (g - g.mean(0)).norm() > 0.3 * g.mean(0).norm()
    assert fills_flat_space(im, z)
    assert scalar_curvature(im, z).abs().max() < 1e-9
    assert gauss_curvature(lambda z: metric(im, z), z).abs().max() < 1e-4  # which knows nothing of data space


@pytest.mark.slow
def test_geodesics_decode_to_straight_lines():
    im, (start, end) = immersion(noise_space(2), "euclidean"), codes(2, 2)[:, None]
    found = geodesic(im, start, end, 17)
    assert found.converged.all()
    decoded, share = im(found.points)[0], torch.linspace(0, 1, 17, dtype=f64)[:, None]
    straight = torch.lerp(decoded[0], decoded[-1], share)
    assert (decoded - straight).norm(dim=1).max() < 1e-3 * (decoded[-1] - decoded[0]).norm()
    bent = found.points[0] - torch.lerp(start, end, share)
    assert bent.norm(dim=1).max() > 0.05  # while the path through noise is not straight


@pytest.mark.slow
def test_a_slice_is_curved_as_the_surface_that_it_becomes():
    space, basis = noise_space(), torch.eye(3, dtype=f64)[:2]
    origin = torch.tensor([0.0, 0.0, 0.4], dtype=f64)
    sliced, a = slice_space(space, origin, basis), codes(4, 2)
    surface = immersion(sliced, "euclidean")
    assert not fills_flat_space(surface, a)
    found = scalar_curvature(surface, a)
    assert found.abs().max() > 0.02
    torch.testing.assert_close(found / 2, gauss_curvature(lambda a: metric(surface, a), a), rtol=1e-3, atol=2e-5)
    assert sliced.sample(5).shape == (5, 3)


def test_features_of_the_data_are_curved_as_well():
    features = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh()).double()
    assert not fills_flat_space(immersion(noise_space(), "euclidean", features=features), codes(1))


@pytest.mark.slow
def test_the_callback_says_that_it_is_flat_and_logs_no_rounding(tmp_path, toys):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 1, [recorder])
    callback = LatentGeometry(n=2, plane_points=3, detail=GeometryDetail(pairs=1, kl_probes=2, intervals=2))
    callback.run(noise_space(2), Probe(codes(2, 2)), sink)
    sink.close()
    keys = recorder.keys()
    assert recorder.values("curvature/flat") == [1]
    assert not {"curvature/scalar/q50", "curvature/active/q50", "curvature/plane/q50"} & keys
    assert {"geometry/log_volume/q50", "geometry/laplacian/01"} <= keys


def test_slices_that_are_none_are_refused():
    space, eye = noise_space(), torch.eye(3, dtype=f64)
    for origin, basis, said in (
        (torch.zeros(2, dtype=f64), eye[:2], r"an origin \(3,\) and fewer than 3 directions"),
        (torch.zeros(3, dtype=f64), eye, "fewer than 3 directions"),
        (torch.zeros(3, dtype=f64), eye[[0, 0]], "independent directions, got 2 of rank 1"),
        (torch.full((3,), torch.nan, dtype=f64), eye[:1], "finite origin"),
    ):
        with pytest.raises(ValueError, match=said):
            slice_space(space, origin, basis)
