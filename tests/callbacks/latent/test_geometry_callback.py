import re

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.callbacks import GeometryDetail
from lsgen.callbacks.latent.geometry import LatentGeometry
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Likelihood

SIGMA = 0.5


class Sphere(nn.Module):
    """The inverse stereographic projection: codes of dimension 2 onto the unit sphere."""

    def forward(self, z):
        square = z.square().sum(-1, keepdim=True)
        return torch.cat([2 * z, square - 1], -1) / (square + 1)


class Circle(nn.Module):
    def forward(self, z):
        return torch.cat([z.cos(), z.sin()], -1)


class Posterior(nn.Module):
    """Encodes observations as their first entries, with standard deviations that are given."""

    def __init__(self, scales, factors):
        super().__init__()
        self.register_buffer("log_variance", 2 * torch.tensor(scales).log())
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, x):
        mean = x[:, : len(self.factors)] * self.factors
        return torch.cat([mean, self.log_variance.expand_as(mean)], -1)


def _linear(dim, data=5, rank=None):
    torch.manual_seed(2)
    layer = nn.Linear(dim, data)
    layer.weight.data[:, dim if rank is None else rank :] = 0
    return layer


def _space(decoder, dim, data, sigma=SIGMA):
    return LatentSpace(decoder, FixedGaussian((data,), sigma), StandardNormal(dim)).double()


def _run(space, tmp_path, toys, probe=None, **kwargs):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 1, [recorder])
    detail = toys.taken(GeometryDetail, kwargs, pairs=3, kl_probes=32)
    LatentGeometry(**{"n": 8, "plane_points": 5, **kwargs}, detail=detail).run(space, probe, sink)
    sink.close()
    ((_, row),) = recorder.rows
    with np.load(tmp_path / "figures" / "geometry" / "measurements" / "00000001.npz") as file:
        arrays = dict(file)
    assert np.isfinite(list(row.values())).all()
    return row, arrays


def _five(row, key):
    return [row[f"{key}/q{q:02d}"] for q in (5, 25, 50, 75, 95)]


@pytest.mark.slow
def test_a_linear_decoder_has_the_constant_metric_of_its_weights_and_no_curvature(tmp_path, toys):
    decoder = _linear(3)
    row, arrays = _run(_space(decoder, 3, 5), tmp_path, toys)
    g = decoder.weight.T @ decoder.weight / SIGMA**2
    expected = torch.linalg.eigvalsh(g).flip(0)
    assert np.allclose(arrays["eigenvalues"], expected.tolist(), rtol=1e-10)
    assert [row[f"geometry/eigenvalue/{i:02d}"] for i in range(3)] == pytest.approx(expected.tolist())
    assert arrays["covariance"].tolist() == np.eye(3).tolist(), "that of the prior"
    assert np.allclose(arrays["eigenvalues_whitened"], expected.tolist())
    assert _five(row, "geometry/log_volume") == pytest.approx([torch.logdet(g).item() / 2] * 5)
    assert _five(row, "geometry/log10_condition_number") == pytest.approx(
        [(expected[0] / expected[-1]).log10().item()] * 5
    )
    assert _five(row, "geometry/rank") == [3] * 5
    for key in ("curvature/scalar", "curvature/active", "curvature/plane"):
        assert _five(row, key) == pytest.approx([0] * 5, abs=1e-9)
        assert row[f"{key}/not_finite"] == 0
    assert _five(row, "geometry/path_ratio") == pytest.approx([1] * 5)
    plane = g[:2, :2]
    assert np.allclose(arrays["plane_log_volume"], torch.logdet(plane).item() / 2)


@pytest.mark.slow
def test_the_sphere_has_its_constant_curvature_everywhere(tmp_path, toys):
    row, arrays = _run(_space(Sphere(), 2, 3), tmp_path, toys)
    for key in ("curvature/scalar", "curvature/active", "curvature/plane"):
        assert _five(row, key) == pytest.approx([2 * SIGMA**2] * 5), "scalar curvature 2 / r^2 with r = 1 / sigma"
    a, b = np.meshgrid(np.linspace(-3, 3, 5), np.linspace(3, -3, 5))
    assert np.allclose(arrays["plane_log_volume"], 2 * np.log(2 / (1 + a**2 + b**2) / SIGMA))


@pytest.mark.slow
def test_eigenfunctions_of_a_linear_decoder_are_those_of_a_parallelogram(tmp_path, toys):
    """Of a rectangle (pi m / a)^2 + (pi n / b)^2; of a skewed one the lowest varies along the long diagonal."""
    decoder = nn.Linear(2, 5, dtype=torch.float64)
    decoder.weight.data = torch.zeros(5, 2, dtype=torch.float64)
    decoder.weight.data[0, 0], decoder.weight.data[1, 1] = 1.0, 0.6
    row, arrays = _run(_space(decoder, 2, 5), tmp_path / "a", toys, plane_points=25)
    a, b = 6 / SIGMA, 0.6 * 6 / SIGMA
    exact = sorted((np.pi * m / a) ** 2 + (np.pi * n / b) ** 2 for m in range(4) for n in range(4))[1:4]
    assert [row[f"geometry/laplacian/{i:02d}"] for i in (1, 2, 3)] == pytest.approx(exact, rel=0.01)
    wave = np.cos(np.pi * np.linspace(0, 1, 25)) * 2**0.5
    first = arrays["plane_eigenfunctions"][0]
    assert np.allclose(np.abs(first), np.abs(wave), atol=0.02)
    decoder.weight.data[0, 1] = 0.8
    _, arrays = _run(_space(decoder, 2, 5), tmp_path / "b", toys, plane_points=15)
    x, y = np.meshgrid(np.linspace(-3, 3, 15), np.linspace(3, -3, 15))
    along, across = ((arrays["plane_eigenfunctions"][0] * side).sum() for side in (x + y, x - y))
    assert abs(along) > 20 * abs(across)


def test_a_plane_without_length_along_an_axis_has_no_eigenfunctions(tmp_path, toys):
    row, arrays = _run(_space(_linear(2, rank=1), 2, 5), tmp_path, toys)
    assert not [key for key in row if key.startswith("geometry/laplacian")]
    assert np.isnan(arrays["plane_eigenvalues"]).all()
    assert not (tmp_path / "figures" / "geometry" / "eigenfunctions").exists()


def test_segments_of_the_circle_are_arcs_over_chords(tmp_path, toys):
    row, arrays = _run(_space(Circle(), 1, 2), tmp_path, toys, pairs=4)
    z = np.random.default_rng(0)
    assert np.allclose(arrays["eigenvalues"], 1 / SIGMA**2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = torch.randn(32, 1, dtype=torch.float64)
    angles = (z[0:8:2] - z[1:8:2]).abs()[:, 0]
    assert np.allclose(arrays["path_length"], (angles / SIGMA).tolist())
    assert np.allclose(arrays["path_distance"], (2 * (angles / 2).sin().abs() / SIGMA).tolist())
    assert "curvature/plane/q50" not in row, "one dimension has no plane"


@pytest.mark.slow
def test_collapsed_axes_are_counted_and_left_out_of_the_active_subspace(tmp_path, toys):
    decoder = nn.Sequential(_linear(3, rank=2), nn.Tanh())
    encoder = Posterior(scales=[0.2, 0.3, 1.0], factors=[1.0, 1.0, 0.0])
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((5,), SIGMA), StandardNormal(3)).double()
    torch.manual_seed(4)
    x = torch.randn(32, 5)
    row, arrays = _run(space, tmp_path, toys, Probe(x))
    kl = (x[:, :2].double().square().mean(0) + torch.tensor([0.04, 0.09]) - 1) / 2 - torch.tensor([0.2, 0.3]).log()
    assert np.allclose(arrays["kl"], [*kl.tolist(), 0], atol=1e-6)
    assert arrays["active"].tolist() == [0, 1]
    assert row["geometry/active_axes"] == 2
    assert _five(row, "geometry/rank") == [2] * 5
    for key in ("geometry/log_volume", "geometry/log10_condition_number", "curvature/scalar"):
        assert row[f"{key}/not_finite"] == 8
        assert f"{key}/q50" not in row
    for key in ("geometry/log_volume_active", "curvature/active", "curvature/plane"):
        assert row[f"{key}/not_finite"] == 0
        assert len(set(_five(row, key))) == 5
    centred = x[:, :2].double() - x[:, :2].double().mean(0)
    covariance = centred.T @ centred / 32 + torch.diag(torch.tensor([0.04, 0.09]))
    assert np.allclose(arrays["covariance"][:2, :2], covariance.tolist(), atol=1e-6)
    g = torch.func.vmap(torch.func.jacrev(decoder))(torch.tensor(arrays["z"])).detach() / SIGMA
    product = g.mT @ g @ torch.tensor(arrays["covariance"])
    expected = torch.linalg.eigvals(product).real.sort(descending=True).values
    assert np.allclose(arrays["eigenvalues_whitened"], expected.tolist(), atol=1e-9)
    sub = (g.mT @ g)[:, :2, :2]
    assert np.allclose(arrays["log_volume_active"], (torch.logdet(sub) / 2).tolist())


@pytest.mark.slow
def test_no_active_axis_is_said_and_nothing_made_up(tmp_path, toys):
    encoder = Posterior(scales=[1.0, 1.0], factors=[0.0, 0.0])
    space = EncodableLatentSpace(encoder, _linear(2), FixedGaussian((5,)), StandardNormal(2)).double()
    row, _ = _run(space, tmp_path, toys, Probe(torch.randn(16, 5)))
    assert row["geometry/active_axes"] == 0
    assert not [key for key in row if "active/" in key]
    assert row["geometry/path_ratio/not_finite"] == 3, "segments of no length have no ratio"
    assert "geometry/path_ratio/q50" not in row


@pytest.mark.slow
def test_the_closed_form_distance_is_that_of_the_likelihood(tmp_path, toys):
    space = toys.space().double()
    x = toys.images(16).double()
    _, arrays = _run(space, tmp_path, toys, Probe(x))
    with torch.no_grad():
        z = space.encoder(x)[:, : toys.DIM]
        p = space.decoder(z).sigmoid().flatten(1)
    angle = 2 * torch.arcsin(p.sqrt())
    expected = torch.linalg.vector_norm(angle[0:6:2] - angle[1:6:2], dim=-1)
    assert np.allclose(arrays["path_distance"], expected.tolist())
    assert (arrays["path_length"] >= arrays["path_distance"] * (1 - 1e-6)).all()
    t = torch.linspace(0, 1, 20001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        fine = 2 * torch.arcsin(space.decoder(z[0] + t * (z[1] - z[0])).sigmoid().flatten(1).sqrt())
    length = torch.linalg.vector_norm(fine.diff(dim=0), dim=-1).sum().item()
    assert arrays["path_length"][0] == pytest.approx(length, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "flag"), [(nn.ReLU, 1.0), (nn.SiLU, 0.0)])
def test_piecewise_linear_decoders_are_flagged_and_flat(tmp_path, toys, activation, flag):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), activation(), nn.Linear(8, 5))
    row, _ = _run(_space(decoder, 2, 5), tmp_path, toys)
    assert row["curvature/piecewise_linear"] == flag
    assert (max(map(abs, _five(row, "curvature/scalar"))) < 1e-9) == bool(flag)


@pytest.mark.slow
def test_it_fires_as_promised_with_finite_values_only(tmp_path, toys):
    callback = LatentGeometry(4, n=4, plane_points=4, detail=GeometryDetail(pairs=2, kl_probes=20))
    _, recorder, _ = toys.fit(tmp_path, [callback])
    drawn = ("plane", "eigenfunctions", "spectrum")
    for key, suffix in (("geometry/measurements", "npz"), *((f"geometry/{x}", "png") for x in drawn)):
        names = sorted(path.name for path in (tmp_path / "figures" / key).iterdir())
        assert names == [f"{step:08d}.{suffix}" for step in (4, 8, 10)]
    assert len(recorder.rows) == 3
    assert recorder.steps("geometry/log_volume/q50") == [4, 8, 10]
    promised = {"geometry/rank/q50", "geometry/active_axes", "geometry/eigenvalue/00", "geometry/eigenvalue_cov/02"}
    promised |= {"geometry/path_ratio/q95", "curvature/plane/q05", "curvature/piecewise_linear", "geometry/seconds"}
    promised |= {f"geometry/laplacian/{i:02d}" for i in (1, 2, 3)}
    for _, row in recorder.rows:
        assert promised <= set(row)
        assert np.isfinite(list(row.values())).all()


@pytest.mark.slow
def test_training_is_bitwise_the_same_with_and_without_it(tmp_path, toys):
    ends = []
    for name, callbacks in (
        ("with", [LatentGeometry(3, n=4, plane_points=4, detail=GeometryDetail(kl_probes=20))]),
        ("without", []),
    ):
        module, _, _ = toys.fit(tmp_path / name, callbacks)
        ends.append((module.losses, {k: v.tolist() for k, v in module.state_dict().items()}, torch.rand(2).tolist()))
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_many_axes_leave_out_the_curvature_of_all_of_them_only(tmp_path, toys):
    row, _ = _run(_space(nn.Sequential(_linear(4), nn.Tanh()), 4, 5), tmp_path, toys, max_curvature_axes=3)
    assert not [key for key in row if key.startswith(("curvature/scalar", "curvature/active"))]
    assert "curvature/plane/q50" in row
    assert "geometry/log_volume/q50" in row


class NoEmbedding(Likelihood):
    def forward(self, h):
        return torch.distributions.Independent(torch.distributions.Normal(h, 1.0), 3)

    def fisher(self, h):
        return torch.ones_like(h)[..., None, None]

    def in_support(self, x):
        return x == x


@pytest.mark.slow
def test_a_likelihood_without_the_immersion_is_refused_before_training(tmp_path, toys):
    module = toys.ThirdParty()
    module.latent_space.likelihood = NoEmbedding(toys.SHAPE)
    with pytest.raises(TypeError, match="expected a likelihood with a flat embedding"):
        toys.fit(tmp_path, [LatentGeometry()], module=module)
    toys.fit(tmp_path, [LatentGeometry(kind="euclidean", n=2, plane_points=2)], module=module, max_epochs=1)
    assert (tmp_path / "figures" / "geometry" / "plane").exists()


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"n": 0}, "LatentGeometry expected n of at least 1, got 0"),
        ({"plane_points": 1}, "LatentGeometry expected plane_points of at least 2, got 1"),
        ({"detail": GeometryDetail(intervals=1)}, "LatentGeometry expected intervals of at least 2, got 1"),
        ({"sigmas": 0.0}, "LatentGeometry expected sigmas > 0 and kl_threshold >= 0, got 0.0 and 0.1"),
    ],
)
def test_impossible_options_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LatentGeometry(**kwargs)


@pytest.mark.slow
def test_bernoulli_pixels_have_the_metric_of_their_fisher_information(tmp_path, toys):
    decoder = _linear(2)
    space = LatentSpace(decoder, Bernoulli((5,)), StandardNormal(2)).double()
    _, arrays = _run(space, tmp_path, toys)
    p = decoder(torch.tensor(arrays["z"])).sigmoid().detach()
    w = decoder.weight.detach()
    g = torch.einsum("ki,nk,kj->nij", w, p * (1 - p), w)
    assert np.allclose(arrays["eigenvalues"], torch.linalg.eigvalsh(g).flip(-1).tolist())
