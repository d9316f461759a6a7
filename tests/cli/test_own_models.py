"""Models of one's own: three lines in Python, one on the command line."""

from __future__ import annotations

import gc
import html
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lsgen
from lsgen.cli import inspecting
from lsgen.cli.errors import UsageError
from lsgen.likelihoods import Bernoulli, FixedGaussian

PAGE = Path(__file__).parents[2] / "docs" / "pages" / "own_model.md"
FEW = {"pairs": 1, "points": 5, "starts": 1, "observations": 2, "plane_points": 3}


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_three_lines_of_the_documentation_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(blocks()[0], space)
    view, page = space["view"], space["view"].report()
    assert view.space is space["space"]
    pictures = view.pictures()
    assert {"traversal/axes", "traversal/plane"} <= set(pictures)
    assert any(key.startswith("sample/") for key in pictures)
    width, height = pictures["traversal/axes"].size
    assert min(width, height) >= 8
    assert pictures._repr_html_().count('src="data:image/') == len(pictures)
    inline = page._repr_html_()
    assert html.escape(page.path.read_text(), quote=True) in inline
    assert inline.startswith("<iframe")
    space.clear()  # a notebook shows the value of a cell when nothing else holds on to where it lies
    del view
    gc.collect()
    assert page._repr_html_() == inline
    assert pictures["traversal/axes"].size == (width, height)
    place = page.path
    del page, pictures
    gc.collect()
    assert not place.parent.exists()


@pytest.mark.slow
def test_geometry_is_that_of_the_map_and_a_notebook_shows_it(tmp_path, monkeypatch):
    """The plane (x, y) -> (x, 2 y, 0) is flat with the metric diag(1, 4) everywhere."""
    every = inspecting.geometry_looks
    monkeypatch.setattr(inspecting, "geometry_looks", lambda settings: dict(list(every(settings).items())[:1]))
    decode = lambda z: torch.stack([z[:, 0], 2 * z[:, 1], torch.zeros_like(z[:, 0])], 1)
    view = lsgen.inspect(lsgen.wrap(decode, dim=2, likelihood=FixedGaussian((3,))), directory=tmp_path / "v")
    found = view.geometry(**FEW)
    assert found["curvature/scalar/q50"] == pytest.approx(0, abs=1e-4)
    assert found["geometry/log_volume/q50"] == pytest.approx(np.log(2), rel=1e-4)
    assert set(found.pictures) <= set(view.pictures())
    assert "<table>" in found._repr_html_()
    assert "0.6931" in found._repr_html_()
    assert (tmp_path / "v" / "geometry" / "last.json").exists()
    with pytest.raises(UsageError, match="expected settings among kind, pairs"):
        view.geometry(pears=1)


@pytest.mark.filterwarnings("ignore")
def test_without_derivatives_pictures_are_drawn_and_geometry_says_what_it_needs():
    decode = lambda z: torch.from_numpy(np.tile(z.numpy(), (1, 8))).float()
    view = lsgen.inspect(lsgen.wrap(decode, dim=2, likelihood=FixedGaussian((1, 4, 4))))
    assert view.traversal(points=3, anchors=1)
    with pytest.raises(UsageError, match="geometry needs derivatives of the decoder"):
        view.geometry()


def test_a_module_of_a_third_party_is_looked_at_with_its_observations(tmp_path):
    class Theirs(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.back = nn.Linear(2, 16), nn.Linear(16, 4)

        @property
        def latent_space(self):
            encode = lambda x: self.back(x.flatten(1))
            return lsgen.wrap(self.net, dim=2, likelihood=Bernoulli((1, 4, 4)), encoder=encode)

    x = torch.rand(12, 1, 4, 4).round()
    view = lsgen.inspect(Theirs(), (x, torch.arange(12)))
    assert any(key.startswith("reconstruction/") for key in view.traversal(points=3))
    with pytest.raises(UsageError, match=r"expected observations \(N, 1, 4, 4\), got \(12, 4\)"):
        lsgen.inspect(Theirs(), x[:, 0, 0])
    for bad, got in ((x[:0], "none among"), (torch.full_like(x, torch.nan), "NaN or infinity")):
        with pytest.raises(UsageError, match=f"finite numbers, got {got}"):
            lsgen.inspect(Theirs(), bad)
    (tmp_path / "notes").touch()
    with pytest.raises(UsageError, match="expected a directory for what is found, got the file"):
        lsgen.inspect(Theirs(), directory=tmp_path / "notes")
    with pytest.raises(UsageError, match="a space without an encoder"):
        lsgen.inspect(lsgen.wrap(nn.Linear(2, 3), dim=2, likelihood=FixedGaussian((3,))), torch.zeros(2, 3))
    with pytest.raises(UsageError, match="a latent space or a model with a latent_space, got Linear"):
        lsgen.inspect(nn.Linear(2, 3))


OWN = """
import torch
import lsgen
from helper import SIZE
from lsgen.likelihoods import FixedGaussian

weight = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
x = torch.randn(6, SIZE)

def space():
    return lsgen.wrap(lambda z: z @ weight, dim=2, likelihood=FixedGaussian((SIZE,)), encoder=lambda x: x @ weight.T)
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "helper.py").write_text("SIZE = 3\n")
    (tmp_path / "model.py").write_text(OWN)


@pytest.mark.slow
def test_the_verbs_look_at_a_space_in_a_file(lsgen, own, tmp_path):
    outcome = lsgen("traverse", "model.py:space", "run_dir=out")
    assert outcome.code == 0, outcome.err
    assert list((tmp_path / "out" / "figures").rglob("*.png"))
    assert (tmp_path / "out" / "report.html").exists()
    settings = [f"{name}={value}" for name, value in FEW.items()]
    outcome = lsgen("geometry", "model.py:space", "x=model.py:x", *settings)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "runs" / "model_space" / "geometry" / "last.json").exists()
    assert "report   runs/model_space/report.html" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("traverse", "none.py:space"), "there is no file none.py"),
        (("traverse", "model.py"), "expected FILE.py:NAME, with the name of an object in the file, got 'model.py'"),
        (("geometry", "model.py:space()"), "expected FILE.py:NAME, with the name of an object"),
        (("traverse", "model.py:space", "x=model.py:"), "expected FILE.py:NAME, with the name of an object"),
        (("traverse", "model.py:spice"), "did you mean space?"),
        (("traverse", "model.py:weight"), "got Tensor"),
        (("traverse", "model.py:space", "x=x.txt"), "expected x=FILE.npy or x=FILE.py:NAME, got 'x.txt'"),
        (("traverse", "model.py:space", "points=3"), "unknown option 'points=3'"),
        (("geometry", "model.py:space", "runs"), "expected FILE.py:NAME alone, got runs beside it"),
        (("geometry", "model.py:space", "kind=round"), "expected kind=fisher"),
    ],
)
def test_what_the_verbs_cannot_look_at_is_told_in_a_sentence(arguments, sentence, lsgen, own):
    outcome = lsgen(*arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1
