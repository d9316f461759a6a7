import re

import numpy as np
import pytest
import torch
from torch import nn

from lsgen import viz
from lsgen.callbacks import GeodesicSearch, MeanSets, Turns
from lsgen.callbacks.latent.distances import LatentDistances
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian

SIGMA, DIM = 0.5, 3


class Posterior(nn.Module):
    """Encodes observations as their first entries."""

    def forward(self, x):
        return torch.cat([x[:, :DIM], torch.full_like(x[:, :DIM], -4.0)], -1)


def _decoder():
    torch.manual_seed(2)
    return nn.Linear(DIM, 5)


def _run(space, tmp_path, toys, probe=None, **kwargs):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 1, [recorder])
    search = toys.taken(GeodesicSearch, kwargs, kl_probes=16, max_iterations=100)
    sets = toys.taken(MeanSets, kwargs, members=5)
    LatentDistances(observations=4, points=5, sets=sets, search=search, **kwargs).run(space, probe, sink)
    sink.close()
    ((_, row),) = recorder.rows
    with np.load(tmp_path / "figures" / "geometry" / "distances" / "00000001.npz") as found:
        return row, dict(found)


def test_of_a_linear_decoder_distances_are_norms_and_both_means_are_one(tmp_path, toys):
    decoder = _decoder()
    space = EncodableLatentSpace(Posterior(), decoder, FixedGaussian((5,), SIGMA), StandardNormal(DIM)).double()
    x = torch.randn(16, 5, dtype=torch.float64)
    row, arrays = _run(space, tmp_path, toys, Probe(x))
    z, w = x[:, :DIM], decoder.weight.detach() / SIGMA
    assert arrays["pairs"].tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    step = z[arrays["pairs"][:, 0]] - z[arrays["pairs"][:, 1]]
    assert np.allclose(arrays["euclidean"], step.norm(dim=-1).tolist())
    assert np.allclose(arrays["geodesic"], (step @ w.T).norm(dim=-1).tolist())
    assert row["geometry/distance/geodesic/not_finite"] == 0
    assert -1 <= row["geometry/distance/rank_correlation"] <= 1
    centred = z[:5] - z[:5].mean(0)
    assert row["geometry/frechet/variance/q50"] == pytest.approx((centred @ w.T).square().sum(-1).mean().item())
    assert row["geometry/frechet/shift/q95"] == pytest.approx(0, abs=1e-6)
    for key in ("geometry/distances", "geometry/frechet_mean"):
        assert (tmp_path / "figures" / key / "00000001.png").exists()


def test_sets_are_labels_with_enough_observations(tmp_path, toys, monkeypatch):
    drawn = []
    draw = viz.grid
    monkeypatch.setattr(
        viz, "grid", lambda images, rows, *args, **kw: drawn.append(rows) or draw(images, rows, *args, **kw)
    )
    space = EncodableLatentSpace(Posterior(), _decoder(), FixedGaussian((5,)), StandardNormal(DIM)).double()
    label = torch.tensor([7] * 6 + [3] * 5 + [1] * 5)
    _run(space, tmp_path, toys, Probe(torch.randn(16, 5), label), members=5, most=2)
    ((first, second),) = drawn
    assert first.startswith("label 1  variance")
    assert second.startswith("label 3  variance")
    _run(space, tmp_path, toys, Probe(torch.randn(16, 5), label), members=7)
    assert drawn[1][0].startswith("variance"), "no label has seven observations"


def test_what_did_not_converge_is_blank_and_said(tmp_path, toys, monkeypatch):
    drawn = {}
    draw = viz.matrices
    monkeypatch.setattr(viz, "matrices", lambda tables, *args: drawn.update(tables) or draw(tables, *args))
    decoder = nn.Sequential(_decoder(), nn.Tanh(), nn.Linear(5, 5), nn.Tanh())
    space = LatentSpace(decoder, FixedGaussian((5,)), StandardNormal(DIM)).double()
    monkeypatch.setattr("lsgen.geometry.geodesics.relaxation.NEAR", 0)  # no Newton steps
    row, arrays = _run(space, tmp_path, toys, max_iterations=1, tol=1e-12, most=0)
    assert np.isnan(arrays["geodesic"]).all()
    assert row["geometry/distance/geodesic/not_finite"] == 6
    assert "geometry/distance/rank_correlation" not in row
    table = drawn["geodesic, blank where not converged"]
    assert np.isnan(table[~np.eye(4, dtype=bool)]).all()


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"observations": 1}, "LatentDistances expected observations of at least 2, got 1"),
        ({"sets": MeanSets(most=-1)}, "LatentDistances expected sets of at least 0, got -1"),
        (
            {"search": GeodesicSearch(tol=0.0)},
            "LatentDistances expected tol > 0 and kl_threshold >= 0, got 0.0 and 0.1",
        ),
        (
            {"turns": Turns(at_end=False)},
            "LatentDistances expected a cadence or turns.at_end=True, got neither",
        ),
    ],
)
def test_impossible_options_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LatentDistances(**kwargs)
