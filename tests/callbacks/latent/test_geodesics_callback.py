import re
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lsgen import viz
from lsgen.callbacks import GeodesicSearch, PlaneGrid, Turns
from lsgen.callbacks.latent.geodesics import NOT_CONVERGED, LatentGeodesics
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal, Uniform
from lsgen.likelihoods import FixedGaussian

SIGMA = 0.5
IMAGES = ("interpolation/geodesic", "interpolation/speed")


class Sphere(nn.Module):
    """The inverse stereographic projection: codes of dimension 2 onto the unit sphere."""

    def forward(self, z):
        square = z.square().sum(-1, keepdim=True)
        return torch.cat([2 * z, square - 1], -1) / (square + 1)


def _linear(dim, data=5):
    torch.manual_seed(2)
    return nn.Linear(dim, data)


def _space(decoder, dim, data):
    return LatentSpace(decoder, FixedGaussian((data,), SIGMA), StandardNormal(dim)).double()


def _run(space, tmp_path, toys, probe=None, **kwargs):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 1, [recorder])
    search = toys.taken(GeodesicSearch, kwargs, kl_probes=16)
    LatentGeodesics(**{"pairs": 3, **kwargs}, search=search).run(space, probe, sink)
    sink.close()
    ((_, row),) = recorder.rows
    assert np.isfinite(list(row.values())).all()
    file = tmp_path / "figures" / "geodesic" / "measurements" / "00000001.npz"
    if not file.exists():
        return row, None
    with np.load(file) as found:
        return row, dict(found)


def _five(row, key):
    return [row[f"{key}/q{q:02d}"] for q in (5, 25, 50, 75, 95)]


def test_a_linear_decoder_has_straight_geodesics_of_even_speed(tmp_path, toys):
    decoder = _linear(3)
    row, arrays = _run(_space(decoder, 3, 5), tmp_path, toys, points=7)
    ends = torch.tensor(arrays["z"][:, [0, -1]])
    t = np.linspace(0, 1, 7)[:, None]
    assert np.allclose(arrays["z"], (1 - t) * arrays["z"][:, :1] + t * arrays["z"][:, -1:], atol=1e-9)
    length = ((ends[:, 1] - ends[:, 0]) @ decoder.weight.detach().T).norm(dim=-1) / SIGMA
    assert np.allclose(arrays["length"], length.tolist())
    assert np.allclose(arrays["energy"], length.square().tolist())
    assert np.allclose(arrays["geodesic_speed"], length[:, None].expand(3, 6).tolist())
    assert row["geodesic/pairs"] == row["geodesic/converged"] == 3
    assert _five(row, "geodesic/linear_ratio") == pytest.approx([1] * 5)
    assert _five(row, "geodesic/speed_variation") == pytest.approx([0] * 5, abs=1e-9)
    assert min(_five(row, "geodesic/spherical_ratio")) > 1


def test_on_the_sphere_lengths_are_angles_and_straight_paths_are_longer(tmp_path, toys):
    row, arrays = _run(_space(Sphere(), 2, 3), tmp_path, toys, points=33, starts=2, tol=1e-4)
    ends = Sphere()(torch.tensor(arrays["z"][:, [0, -1]]))
    angles = torch.arccos((ends[:, 0] * ends[:, 1]).sum(-1)) / SIGMA
    assert np.allclose(arrays["length"], angles.tolist(), rtol=1e-5)
    assert (arrays["linear_length"] > arrays["length"]).all()
    assert max(_five(row, "geodesic/speed_variation")) < 1e-3
    assert row["geodesic/asymmetry/not_finite"] == row["geodesic/spread/not_finite"] == 0


def test_what_did_not_converge_is_named_dashed_and_in_no_quantile(tmp_path, toys, monkeypatch):
    drawn = {}

    def spied(name, draw, *args, **kwargs):
        drawn[name] = (args, kwargs)
        return draw(*args, **kwargs)

    for name in ("profiles", "plane_maps", "grid"):
        monkeypatch.setattr(viz, name, partial(spied, name, getattr(viz, name)))
    monkeypatch.setattr("lsgen.geometry.geodesics.relaxation.NEAR", 0)  # no Newton steps
    kwargs = {"max_iterations": 1, "tol": 1e-9, "plane": PlaneGrid(4)}
    row, arrays = _run(_space(Sphere(), 2, 3), tmp_path, toys, **kwargs)
    assert not arrays["converged"].any()
    assert row["geodesic/converged"] == 0
    for name in ("length", "energy", "speed_variation", "linear_ratio", "spherical_ratio"):
        assert row[f"geodesic/{name}/not_finite"] == 3
        assert f"geodesic/{name}/q50" not in row
    (panels, *_, dashed), _ = drawn["profiles"]
    assert all(set(panel) == {"linear", "spherical", NOT_CONVERGED} for panel in panels.values())
    assert NOT_CONVERGED in dashed
    (_, rows, *_), _ = drawn["grid"]
    assert [label.startswith(NOT_CONVERGED) for label in rows] == [False, False, True] * 3
    _, options = drawn["plane_maps"]
    assert set(options["paths"]) == {"straight", NOT_CONVERGED}
    assert NOT_CONVERGED in options["dashed"]


def test_a_dashed_line_is_drawn_with_gaps():
    line = {"path": [np.array([[-1.0, 0.0], [1.0, 0.0]])]}
    whole, broken = (
        viz.plane_maps({"f": np.zeros((4, 4))}, (-1.0, 1.0), ("u", "v"), "t", paths=line, dashed=names)
        for names in ([], ["path"])
    )
    bare = viz.plane_maps({"f": np.zeros((4, 4))}, (-1.0, 1.0), ("u", "v"), "t")
    middle = slice(150, 350)  # past the legend
    drawn = lambda picture: int((picture[middle, 100:400] != bare[middle, 100:400]).any(-1).sum())
    assert 0 < drawn(broken) < 0.9 * drawn(whole)


class Posterior(nn.Module):
    """Encodes observations as their first entries, the last of which the decoder ignores."""

    def forward(self, x):
        mean = x[:, :3] * torch.tensor([1.0, 1.0, 0.0]).to(x)
        scale = torch.tensor([0.2, 0.3, 1.0]).log().to(x)
        return torch.cat([mean, 2 * scale.expand_as(mean)], -1)


def test_a_collapsed_axis_is_held_at_its_mean_and_hinders_nothing(tmp_path, toys):
    layer = _linear(3)
    layer.weight.data[:, 2] = 0
    space = EncodableLatentSpace(Posterior(), nn.Sequential(layer, nn.Tanh()), FixedGaussian((5,)), StandardNormal(3))
    _, arrays = _run(space.double(), tmp_path, toys, Probe(torch.randn(32, 5)))
    assert arrays["axes"].tolist() == [0, 1]
    assert arrays["converged"].all()
    assert np.ptp(arrays["z"][..., 2]) == 0
    picture = np.asarray(Image.open(tmp_path / "figures" / "interpolation" / "geodesic" / "00000001.png"))
    assert picture.ndim == 3


def test_the_picture_shows_the_decoded_points_of_every_path_beside_the_inputs(tmp_path, toys):
    space, x = toys.space(), toys.images(12)
    _, arrays = _run(space, tmp_path, toys, Probe(x), pairs=2, points=5, kl_threshold=0.0)
    picture = np.asarray(Image.open(tmp_path / "figures" / "interpolation" / "geodesic" / "00000001.png"))
    with torch.no_grad():
        middles = space.decoder(torch.tensor(arrays["z"][:, 2])).sigmoid()
    heights = [toys.places(picture, toys.enlarged(image))[0][0] for image in middles]
    for pair in range(2):
        rows = {place[0] for place in toys.places(picture, toys.enlarged(x[2 * pair]))}
        assert len(rows) == 3, "one row for each path"
        assert max(rows) == heights[pair], "the geodesic comes last"


def test_it_fires_at_the_end_and_training_does_not_notice(tmp_path, toys):
    ends = []
    for name, callbacks in (
        ("with", [LatentGeodesics(pairs=1, points=3, kl_threshold=0.0, search=GeodesicSearch(kl_probes=8))]),
        ("without", []),
    ):
        module, recorder, _ = toys.fit(tmp_path / name, callbacks)
        ends.append((module.losses, {k: v.tolist() for k, v in module.state_dict().items()}, torch.rand(2).tolist()))
        if callbacks:
            assert recorder.steps("geodesic/converged") == [10]
            assert recorder.keys() >= {"geodesic/seconds", "geodesic/share_of_training"}
            for key in IMAGES:
                assert [p.name for p in (tmp_path / name / "figures" / key).iterdir()] == ["00000010.png"]
    assert ends[0] == ends[1]


def test_bounded_codes_and_too_many_axes_are_left_out(tmp_path, toys):
    cube = LatentSpace(_linear(3), FixedGaussian((5,)), Uniform(3)).double()
    for space, name in ((cube, "cube"), (_space(_linear(3), 3, 5), "many")):
        row, arrays = _run(space, tmp_path / name, toys, max_axes=2)
        assert row == {"geodesic/pairs": 0}
        assert arrays is None


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"points": 2}, "LatentGeodesics expected points of at least 3, got 2"),
        ({"pairs": 0}, "LatentGeodesics expected pairs of at least 1, got 0"),
        ({"search": GeodesicSearch(neighbours=0)}, "LatentGeodesics expected neighbours of at least 1, got 0"),
        (
            {"search": GeodesicSearch(tol=0.0)},
            "LatentGeodesics expected tol > 0 and kl_threshold >= 0, got 0.0 and 0.1",
        ),
        ({"plane": PlaneGrid(sigmas=0.0)}, "LatentGeodesics expected sigmas of the plane > 0, got 0.0"),
        (
            {"turns": Turns(at_end=False)},
            "LatentGeodesics expected a cadence or turns.at_end=True, got neither",
        ),
    ],
)
def test_impossible_options_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LatentGeodesics(**kwargs)
