import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch.distributions import Normal, kl_divergence

from lsgen.callbacks import Decoding, GeodesicSearch, TraversalFigures, Turns
from lsgen.callbacks.latent.geodesics import LatentGeodesics
from lsgen.callbacks.latent.probe_codes import encode_probes, probe_table
from lsgen.callbacks.latent.traversal import LatentTraversal
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import Codes, EncodableLatentSpace, HypersphericalUniform, StandardNormal, VonMisesFisherPosterior
from lsgen.models.gan import Directions

KEYS = ("traversal/axes", "traversal/animation", "traversal/plane", "interpolation/linear", "interpolation/spherical")


def _pictures(space, probe, tmp_path, toys, **kwargs):
    decoding, turns = toys.taken(Decoding, kwargs), toys.taken(Turns, kwargs)
    figures = toys.taken(TraversalFigures, kwargs, decoding=decoding)
    LatentTraversal(**kwargs, figures=figures, turns=turns).run(space, probe, Sink(tmp_path, 1))
    return {
        key: np.asarray(Image.open(tmp_path / "figures" / key / "00000001.png"))
        for key in KEYS
        if (tmp_path / "figures" / key / "00000001.png").exists()
    }


def _posterior(space, x):
    mean, log_variance = space.encoder(x).detach().chunk(2, -1)
    return Normal(mean, (log_variance / 2).exp())


def _decoded(space, z):
    with torch.no_grad():
        return space.decoder(z).sigmoid()


def test_every_firing_writes_every_picture_and_logs_its_cost(tmp_path, toys):
    _, recorder, _ = toys.fit(tmp_path, [LatentTraversal(3, figures=TraversalFigures(kl_probes=16, frames=4))])
    for key in KEYS:
        suffix = "gif" if key == "traversal/animation" else "png"
        names = sorted(path.name for path in (tmp_path / "figures" / key).iterdir())
        assert names == [f"{step:08d}.{suffix}" for step in (3, 6, 9, 10)]
    assert recorder.steps("traversal/seconds") == [3, 6, 9, 10]
    assert recorder.keys() >= {"traversal/seconds", "traversal/share_of_training"}


def test_rows_are_axes_by_decreasing_kl_and_columns_their_values_around_the_encodings(tmp_path, toys):
    space, x = toys.space(), toys.images(30)
    picture = _pictures(space, Probe(x), tmp_path, toys, points=5, sigmas=2.0, anchors=2, grid_anchors=2)[
        "traversal/axes"
    ]
    q = _posterior(space, x)
    kl = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
    assert len(set(kl.tolist())) == toys.DIM
    rows, columns = [], []
    for axis in kl.argsort(descending=True).tolist():
        for anchor in range(2):
            z = q.mean[anchor].repeat(5, 1)
            z[:, axis] = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
            found = [toys.places(picture, toys.enlarged(image)) for image in _decoded(space, z)]
            assert [len(place) for place in found] == [1] * 5
            rows.append({place[0][0] for place in found})
            columns.append([place[0][1] for place in found])
    assert all(len(row) == 1 for row in rows)
    heights = [min(row) for row in rows]
    assert heights[::2] == heights[1::2] == sorted(set(heights))
    assert columns[0::2] == columns[:1] * 3
    assert columns[0] == sorted(columns[0])
    assert max(columns[0]) < min(columns[1])
    for anchor in range(2):
        assert len(toys.places(picture, toys.enlarged(x[anchor]))) == toys.DIM, "each row begins with the observation"


class _Offset(torch.nn.Module):
    """Eight times the first three pixels less 1/2, and three zeros."""

    def forward(self, x):
        return torch.cat([8 * x.flatten(1)[:, :3] - 4, torch.zeros(len(x), 3)], 1)


def _observations_with_an_opposite_pair(toys):
    x = (toys.images(8) * 8).round() / 8
    x[1] = 1 - x[0]
    return x


@pytest.mark.parametrize("callback", [LatentTraversal, LatentGeodesics])
def test_opposite_codes_of_flat_space_are_named_as_joined_by_a_straight_path(tmp_path, toys, monkeypatch, callback):
    labels = []

    def spy(draw, x, ends, title, rows):
        labels.append(rows)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(f"{callback.__module__}.interpolated", spy)
    flat = toys.space()
    space = EncodableLatentSpace(_Offset(), flat.decoder, flat.likelihood, StandardNormal(3)).eval()
    options = {
        LatentTraversal: {"figures": TraversalFigures(pairs=2, kl_probes=8)},
        LatentGeodesics: {"pairs": 2, "search": GeodesicSearch(kl_probes=8)},
    }
    callback(**options[callback]).run(space, Probe(_observations_with_an_opposite_pair(toys)), Sink(tmp_path, 1))
    said = [label for rows in labels for label in rows or [] if "straight" in label]
    assert len(said) == 1


def test_pairs_without_a_geodesic_are_said_and_cost_the_others_nothing(tmp_path, toys):
    flat = toys.space()
    space = EncodableLatentSpace(
        _Offset(), flat.decoder, flat.likelihood, HypersphericalUniform(3), VonMisesFisherPosterior()
    ).eval()
    x = _observations_with_an_opposite_pair(toys)
    turn = LatentTraversal(anchors=1, figures=TraversalFigures(pairs=2, path_points=5, kl_probes=8, frames=4))
    with pytest.warns(UserWarning, match="1 of 2 geodesic interpolations do not exist on the Sphere in float32"):
        turn.run(space, Probe(x), Sink(tmp_path, 1))
    picture = np.asarray(Image.open(tmp_path / "figures/interpolation/geodesic/00000001.png").convert("RGB"))
    a, b = space.encode(x[2:4]).mean
    middle = _decoded(space, torch.nn.functional.normalize(a + b, dim=0)[None])[0]
    assert len(toys.places(picture, toys.enlarged(middle))) == 1
    assert (picture == (214, 0, 147)).all(-1).sum() == 5 * toys.enlarged(middle)[..., 0].size


def test_quantiles_are_those_of_the_aggregate_posterior(tmp_path, toys):
    space, x = toys.space(), toys.images(400)
    options = {"points": 2, "anchors": 1, "kl_probes": 400}
    low, high = (
        _pictures(space, Probe(x), tmp_path / str(q), toys, quantile=q, **options)["traversal/axes"] for q in (0.1, 0.4)
    )
    assert (low != high).any()
    turn = LatentTraversal(points=2, quantile=0.1, anchors=1, figures=TraversalFigures(kl_probes=400))
    levels = {}

    class Spying(Sink):
        def table(self, key, columns, rows):
            levels.update({int(row[0]): row[2:] for row in rows})

    turn.run(space, Probe(x), Spying(tmp_path, 2))
    q = _posterior(space, x)
    for axis, (mean, spread) in levels.items():
        assert mean == pytest.approx(q.mean[:, axis].mean().item(), rel=1e-5)
        assert spread == pytest.approx(q.mean[:, axis].std(correction=0).item(), rel=1e-5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = q.sample()
    edges = torch.quantile(draws, torch.tensor([0.1, 0.9]), dim=0)
    kl = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
    axis = int(kl.argmax())
    z = q.mean[0].repeat(2, 1)
    z[:, axis] = edges[:, axis]
    assert all(toys.places(low, toys.enlarged(image)) for image in _decoded(space, z))


@pytest.mark.slow
def test_the_animation_runs_to_and_fro_over_every_axis(tmp_path, toys):
    space, x = toys.space(), toys.images(20)
    LatentTraversal(anchors=3, sigmas=2.0, figures=TraversalFigures(frames=4, fps=10)).run(
        space, Probe(x), Sink(tmp_path, 1)
    )
    image = Image.open(tmp_path / "figures" / "traversal" / "animation" / "00000001.gif")
    frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 6
    assert np.abs(frames[1] - frames[5]).max() <= 4
    assert np.abs(frames[2] - frames[4]).max() <= 4
    assert np.abs(frames[0] - frames[3]).max() > 20
    q = _posterior(space, x)
    axis = int(kl_divergence(q, Normal(0.0, 1.0)).mean(0).argmax())
    z = q.mean[:1].clone()
    z[:, axis] = 2.0
    expected = toys.enlarged(_decoded(space, z)[0]).astype(int)
    h, w = expected.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(frames[3][..., 0], (h, w))[::1, ::1]
    errors = np.abs(windows - expected[..., 0]).max((-1, -2))
    assert (errors <= 4).sum() == 1, "the farthest frame shows the anchor moved to +2"


def test_interpolations_join_the_encodings_and_end_in_the_observations(tmp_path, toys):
    space, x = toys.space(), toys.images(12)
    pictures = _pictures(space, Probe(x), tmp_path, toys, pairs=3, path_points=3)
    means = _posterior(space, x).mean
    straight, spherical = pictures["interpolation/linear"], pictures["interpolation/spherical"]
    for i in range(3):
        a, b = means[2 * i], means[2 * i + 1]
        middle = _decoded(space, ((a + b) / 2)[None])[0]
        (place,) = toys.places(straight, toys.enlarged(middle))
        (first,), (last,) = (toys.places(straight, toys.enlarged(x[2 * i + j])) for j in range(2))
        assert first[0] == place[0] == last[0]
        assert first[1] < place[1] < last[1]
        direction = a / a.norm() + b / b.norm()
        round_ = direction / direction.norm() * (a.norm() + b.norm()) / 2
        assert toys.places(spherical, toys.enlarged(_decoded(space, round_[None])[0]))[0][0] == place[0]


def test_the_plane_spans_the_two_most_active_axes_with_the_others_at_their_mean(tmp_path, toys):
    space, x = toys.space(), toys.images(25)
    picture = _pictures(space, Probe(x), tmp_path, toys, plane_points=3, sigmas=1.0, kl_probes=25)["traversal/plane"]
    q = _posterior(space, x)
    across, up = kl_divergence(q, Normal(0.0, 1.0)).mean(0).argsort(descending=True)[:2].tolist()
    found = {}
    for a in (-1.0, 0.0, 1.0):
        for b in (-1.0, 0.0, 1.0):
            z = q.mean.mean(0)
            z[across], z[up] = a, b
            (found[a, b],) = toys.places(picture, toys.enlarged(_decoded(space, z[None])[0]))
    assert found[-1, 0][1] < found[0, 0][1] < found[1, 0][1]
    assert found[0, 1][0] < found[0, 0][0] < found[0, -1][0], "upwards is up"


def test_a_space_without_encoder_is_traversed_around_the_same_prior_draws(tmp_path, toys):
    space = toys.ThirdParty(encodable=False).latent_space
    first = _pictures(space, None, tmp_path / "a", toys, value_range=(-2, 2))
    torch.rand(100)
    second = _pictures(space, None, tmp_path / "b", toys, value_range=(-2, 2))
    assert set(first) == set(KEYS) - {"traversal/animation"}
    assert all((first[key] == second[key]).all() for key in first)
    other = _pictures(space, None, tmp_path / "c", toys, value_range=(-2, 2), seed=1)
    assert (other["traversal/axes"] != first["traversal/axes"]).any()


def test_one_latent_dimension_has_no_plane_and_many_show_the_most_active(tmp_path, toys):
    assert "traversal/plane" not in _pictures(toys.space(dim=1), Probe(toys.images(8)), tmp_path / "1", toys)
    few = _pictures(toys.space(dim=5), Probe(toys.images(8)), tmp_path / "2", toys, max_axes=2)["traversal/axes"]
    all_ = _pictures(toys.space(dim=5), Probe(toys.images(8)), tmp_path / "5", toys)["traversal/axes"]
    assert len(all_) - len(few) == 3 * 50, "three rows of 48 pixels and their padding"


def test_images_in_colour_and_vectors_are_drawn(tmp_path, toys):
    for shape in ((3, 5, 5), (7,)):
        probe = Probe(torch.rand(8, *shape))
        pictures = _pictures(toys.space(shape=shape), probe, tmp_path / str(len(shape)), toys)
        assert set(pictures) == set(KEYS) - {"traversal/animation"}
    assert np.ptp(pictures["traversal/axes"], axis=-1).max() < 60
    coloured = np.asarray(Image.open(tmp_path / "3" / "figures" / "traversal" / "axes" / "00000001.png"))
    assert np.ptp(coloured, axis=-1).max() > 100


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"points": 1}, "LatentTraversal expected points of at least 2, got 1"),
        ({"anchors": 0}, "LatentTraversal expected anchors of at least 1, got 0"),
        ({"sigmas": 1.0, "quantile": 0.1}, "LatentTraversal expected sigmas or quantile, got both"),
        ({"sigmas": -1.0}, "LatentTraversal expected sigmas > 0, in standard deviations of the prior, got -1.0"),
        ({"quantile": 0.7}, "LatentTraversal expected quantile in (0, 1/2), got 0.7"),
    ],
)
def test_impossible_options_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LatentTraversal(**kwargs)


def test_quantiles_of_a_space_without_encoder_are_refused_before_training(tmp_path, toys):
    with pytest.raises(TypeError, match=r"expected ThirdParty.latent_space to be a lsgen.latent.EncodableLatentSpace"):
        toys.fit(tmp_path, [LatentTraversal(quantile=0.1)], module=toys.ThirdParty(encodable=False))


@pytest.mark.parametrize("found_anew", [False, True])
def test_directions_are_rows_of_a_picture_and_are_kept(tmp_path, toys, found_anew):
    space, x = toys.space(), toys.images(30)
    vectors = torch.linalg.qr(torch.randn(toys.DIM, toys.DIM)).Q[:2]
    directions = Directions(("sefa 0", "sefa 1"), vectors, torch.tensor([3.0, 1.0]), layers=(0, 0))
    given = (lambda space: directions) if found_anew else directions
    LatentTraversal(points=3, sigmas=2.0, directions=given, figures=TraversalFigures(grid_anchors=2)).run(
        space, Probe(x), Sink(tmp_path, 1)
    )
    picture = np.asarray(Image.open(tmp_path / "figures/traversal/directions/00000001.png"))
    anchors = _posterior(space, x).mean[:2]
    rows = []
    for vector in vectors:
        z = torch.cat([anchor + torch.tensor([-2.0, 0, 2])[:, None] * vector for anchor in anchors])
        found = [toys.places(picture, toys.enlarged(image)) for image in _decoded(space, z)]
        assert all(found)
        rows.append({place[0][0] for i, place in enumerate(found) if i % 3 != 1})
    assert [len(row) for row in rows] == [1, 1]
    assert min(rows[0]) < min(rows[1])
    kept = Directions.load(tmp_path / "figures/traversal/directions/00000001.npz")
    assert (kept.names, kept.layers) == (directions.names, (0, 0))
    assert torch.equal(kept.vectors, vectors)


def test_values_along_a_direction_are_standard_deviations_of_the_prior():
    vectors = torch.tensor([[1.0, 0, 0], [0, 0.6, 0.8]])
    z = Directions(("a", "b"), vectors, torch.ones(2)).traverse(torch.zeros(1, 3), [2.0], torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(z[0, 0, 0], torch.tensor([2.0, 0, 0]))
    torch.testing.assert_close(z[0, 1, 0], 2 * (1.44 + 5.76) ** 0.5 * vectors[1])


def test_directions_of_another_space_are_refused(tmp_path, toys):
    directions = Directions(("a",), torch.eye(7)[:1], torch.ones(1))
    with pytest.raises(ValueError, match=rf"expected directions of dimension {toys.DIM}, got vectors \(1, 7\)"):
        LatentTraversal(directions=directions).run(toys.space(), Probe(toys.images(30)), Sink(tmp_path, 1))


def test_the_codes_of_the_probes_are_kept_as_a_table(tmp_path, toys):
    space, x = toys.space(), toys.images(30)
    label = torch.arange(30) % 4
    _pictures(space, Probe(x, label), tmp_path, toys, kl_probes=30)
    table, q = Codes.load(next((tmp_path / "figures/traversal/codes").iterdir())), _posterior(space, x)
    torch.testing.assert_close(table.tensor(), q.mean)
    torch.testing.assert_close(torch.from_numpy(np.array(table.scale)), q.stddev)
    assert table.ids.tolist() == list(range(30))
    assert table.select(where={"label": 3}).ids.tolist() == list(range(3, 30, 4))


def test_codes_that_are_no_numbers_are_left_out_of_the_table(toys):
    space, x = toys.space(), toys.images(6)
    known = encode_probes(space, Probe(x), 6)
    known.z[2] = torch.nan
    table = probe_table(space.eval(), Probe(x), known)
    assert table.ids.tolist() == [0, 1, 3, 4, 5]
    torch.testing.assert_close(table.tensor(), _posterior(space, x).mean[[0, 1, 3, 4, 5]])
    known.z[:] = torch.nan
    assert len(probe_table(space, Probe(x), known)) == 0
