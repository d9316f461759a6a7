"""Spaces of items, and spaces without decoder, under the callbacks of every run."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.analysis.trajectories import PathJudge, paths_between
from lsgen.callbacks import (
    ClassComparison,
    FactorMetrics,
    Imputations,
    LatentGeodesics,
    LatentGeometry,
    LatentTraversal,
    LikelihoodMetrics,
    ReconstructionQuality,
    Reconstructions,
    Samples,
    TraversalFigures,
    TwoSampleTests,
)
from lsgen.callbacks.latent.options import GeometryDetail, RetrievedItems
from lsgen.callbacks.latent.probe_codes import as_means
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import Digits
from lsgen.latent import Atoms, Codes, FeatureSpace, ItemSpace, ItemTable, LatentSpace, Sphere, StandardNormal, paths
from lsgen.likelihoods import Categorical, Multinomial
from lsgen.metrics.quality import Pixels
from lsgen.models import ScalarLoss
from lsgen.models.gan import Directions
from lsgen.models.optimised import OptimisedModel

SMALL = {"points": 3, "figures": TraversalFigures(pairs=2, path_points=3, grid_anchors=1)}


class Twins(OptimisedModel):
    """Codes of digits that are pulled to their mean."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(FeatureSpace(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), 3), max_steps=2)

    def loss(self, batch):
        z = self.latent_space.encode(batch["x"]).mean
        return ScalarLoss((z - z.mean(0)).square().mean())


def _rows(path):
    (file,) = path.glob("*.csv")
    with file.open() as text:
        return list(csv.DictReader(text))


def test_a_feature_space_trains_under_the_callbacks_of_every_run(tmp_path, toys, monkeypatch):
    looks = [LatentTraversal(**SMALL), Reconstructions(), Samples(), LatentGeodesics(), FactorMetrics()]
    model = Twins()
    data = Digits(batch_size=64)
    told = []
    monkeypatch.setattr("lsgen.callbacks.base.rank_zero_info", told.append)
    _, recorder, _ = toys.fit(tmp_path, [*looks, LikelihoodMetrics()], module=model, data=data)
    idle = ("Reconstructions", "Samples", "LatentGeodesics")
    assert told == [f"{name} is left out: FeatureSpace has no decoder." for name in idle]
    drawn = sorted(path.parent.relative_to(tmp_path / "figures").as_posix() for path in tmp_path.rglob("*.png"))
    assert drawn == ["interpolation/linear", "interpolation/spherical", "traversal/axes"]
    keys = recorder.keys()
    assert "traversal/axes_off_manifold" in keys
    assert not any(key.startswith(("sample/", "geodesic/", "reconstruction/")) for key in keys)
    codes = model.eval().latent_space.encode(data.probe(1257, "train")["x"]).mean.detach()
    for row in _rows(tmp_path / "figures/interpolation/retrieved"):
        if row["rank"] == "1" and row["t"] in ("0.0", "1.0"):
            name = row["from"] if row["t"] == "0.0" else row["to"]
            place = model.latent_space.encode(data.probe(4, "val")["x"]).mean[int(name.split()[1])].detach()
            far = (codes - place).norm(dim=1)
            assert int(row["item"]) == int(far.argmin())
            assert float(row["distance"]) == pytest.approx(float(far.min()), rel=1e-4)


def test_what_needs_a_decoder_is_left_out_before_data_are_judged(monkeypatch):
    told, pixels = [], Pixels((1, 8, 8))
    monkeypatch.setattr("lsgen.callbacks.base.rank_zero_info", told.append)
    looks = [ClassComparison(pixels), Imputations(), ReconstructionQuality(), TwoSampleTests(pixels)]
    for look in looks:
        look.setup(SimpleNamespace(datamodule=None), Twins(), "fit")
    assert told == [f"{type(look).__name__} is left out: FeatureSpace has no decoder." for look in looks]


def _words():
    torch.manual_seed(0)
    z = nn.functional.normalize(torch.randn(40, 4), dim=1)
    return Codes(z, [f"w{i}" for i in range(40)], Sphere(), {"count": np.arange(40)[::-1]})


def test_words_are_traversed_by_the_words_on_the_way(tmp_path):
    words, t = _words(), torch.tensor([-3.0, 0.0, 3.0])
    shown = TraversalFigures(pairs=1, path_points=3, grid_anchors=2, retrieval=RetrievedItems(2, items=("w7", "w3")))
    sink = Sink(tmp_path, 0)
    LatentTraversal(points=3, figures=shown).run(ItemTable(words), None, sink)
    rows = _rows(tmp_path / "figures/traversal/retrieved")
    assert {row["start"] for row in rows} == {"w7", "w3"}
    assert len(rows) == 2 * 4 * 3 * 2
    z = words.tensor()
    steps = t * z[:, 2].std(correction=0)
    place = Sphere().traversal(z[7], torch.tensor([2]), steps)[0, 2]
    angles = (z @ place).clamp(-1, 1).acos()
    (row,) = (r for r in rows if (r["start"], r["line"], r["value"], r["rank"]) == ("w7", "z2", "+3σ", "1"))
    assert row["item"] == f"w{int(angles.argmin())}"
    assert float(row["distance"]) == pytest.approx(float(angles.min()), rel=1e-4)
    between = _rows(tmp_path / "figures/interpolation/retrieved")
    assert {(r["from"], r["to"], r["path"]) for r in between} == {("w7", "w3", "geodesic")}
    middle = nn.functional.normalize(z[7] + z[3], dim=0)
    (row,) = (r for r in between if (r["t"], r["rank"]) == ("0.5", "1"))
    assert row["item"] == f"w{int((z @ middle).argmax())}"


def test_directions_are_traversed_too_and_the_most_frequent_words_come_first(tmp_path):
    found = Directions(("up",), torch.eye(4)[:1], torch.ones(1))
    sink = Sink(tmp_path, 0)
    figures = TraversalFigures(pairs=2, path_points=3, grid_anchors=2)
    LatentTraversal(points=3, directions=found, figures=figures).run(ItemTable(_words()), None, sink)
    rows = _rows(tmp_path / "figures/traversal/retrieved_directions")
    assert {row["line"] for row in rows} == {"up"}
    nearest = {row["item"] for row in rows if row["value"] == "0" and row["rank"] == "1"}
    assert nearest == {row["start"] for row in rows}


def test_what_is_no_item_and_no_distance_is_refused(tmp_path):
    no_word = LatentTraversal(figures=TraversalFigures(retrieval=RetrievedItems(items=("unicorn",))))
    with pytest.raises(ValueError, match="expected items of the space, got 'unicorn', which is none"):
        no_word.run(ItemTable(_words()), None, Sink(tmp_path, 0))
    with pytest.raises(ValueError, match="LatentTraversal expected distance to be manifold or cosine, got 'taxi'"):
        LatentTraversal(figures=TraversalFigures(retrieval=RetrievedItems(distance="taxi")))
    with pytest.raises(ValueError, match="expected observations for the encoder of FeatureSpace, got none"):
        LatentTraversal().run(Twins().latent_space, None, Sink(tmp_path, 0))
    with pytest.raises(TypeError, match="Samples expected another latent space: FeatureSpace has no decoder"):
        Samples().check(Twins())


def test_observations_that_are_no_pictures_are_named_by_their_numbers(tmp_path):
    space = FeatureSpace(nn.Linear(5, 2), 2)
    probe = Probe(torch.randn(12, 5))
    LatentTraversal(**SMALL).run(space, probe, Sink(tmp_path, 0))
    assert {row["item"] for row in _rows(tmp_path / "figures/interpolation/retrieved")} <= {str(i) for i in range(12)}


class Distributions(LatentSpace, ItemSpace):
    """All distributions of d + 1 outcomes by their natural coordinates: a part of a sphere of radius 2."""

    def __init__(self, dim):
        prior = Atoms(dim, torch.ones(12))
        decoder = nn.Linear(dim, dim + 1, bias=False)
        decoder.weight.data.copy_(torch.eye(dim + 1, dim))
        super().__init__(decoder, Categorical((1,), dim + 1, dim), prior)
        torch.manual_seed(0)
        self.codes = nn.Parameter(torch.randn(12, dim) / 2)
        prior.bind(self.table)

    def table(self):
        return self.codes

    def items(self):
        return Codes(self.codes)


@pytest.mark.slow
def test_the_geometry_of_words_is_in_closed_form_for_many_axes(tmp_path):
    dim = 18
    sink = Sink(tmp_path, 0)
    LatentGeometry(n=4, plane_points=2, detail=GeometryDetail(kl_probes=8, pairs=2)).run(Distributions(dim), None, sink)
    found = sink.values
    assert found["curvature/scalar/q50"] == pytest.approx(dim * (dim - 1) / 4)
    assert found["curvature/scalar/not_finite"] == 0
    assert found["geometry/rank/q50"] == dim
    assert found["geometry/path_ratio/q05"] >= 1


def test_paths_between_words_move_at_the_speed_of_their_distributions():
    """The length is that of 2 sqrt(p), a curve on a sphere, from chords of many short segments."""
    space = Distributions(3).double().eval()
    path = paths.linear(*space.codes.detach()[:2], 401)
    judged = PathJudge(space, space.items(), k=3)(path)
    roots = 2 * space.raw(path).softmax(-1).sqrt().detach()
    assert judged.decoded_length == pytest.approx(float(roots.diff(dim=0).norm(dim=1).sum()), rel=1e-4)
    assert judged.variance is None
    curve = paths_between(PathJudge(space, space.items(), k=3), 0, 1, 33, ["geodesic"])["geodesic"]
    p = space.raw(path[[0, -1]]).softmax(-1).detach()
    shortest = 2 * float(p.prod(0).sqrt().sum().acos())
    assert curve.diagnostics.decoded_length == pytest.approx(shortest, rel=1e-3)


def test_counts_are_shown_in_the_units_of_means():
    torch.manual_seed(0)
    space = LatentSpace(nn.Linear(2, 4), Multinomial((4,), trials=10), StandardNormal(2))
    x = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    shown = as_means(space, Probe(x))
    torch.testing.assert_close(shown.x, torch.tensor([[2.5, 5.0, 0.0, 2.5], [0.0, 0.0, 0.0, 0.0]]))
    assert float(space.decode(torch.zeros(1, 2)).mean.detach().sum()) == pytest.approx(10)
