"""Maps of flows while a network is learned: which files there are, and the numbers of places and years."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning import Trainer

from lsgen.callbacks import FlowMaps
from lsgen.data import CosineNetwork, LesMiserables, Links, StochasticBlocks
from lsgen.models.graphs import CosineLinks, SignedCosine


def fitted(place: Path, source: Any, callback: FlowMaps) -> SignedCosine:
    model = SignedCosine(CosineLinks(source.graph().nodes, 3), max_steps=3)
    data = Links(graph=source, split={"kind": "none"}, batch_size=64)
    options = {"accelerator": "cpu", "enable_checkpointing": False, "enable_progress_bar": False, "logger": False}
    Trainer(default_root_dir=place, max_epochs=1, callbacks=[callback], **options).fit(model, data)
    return model


def test_years_are_animated_and_numbers_told(tmp_path: Path) -> None:
    """Each map has a frame for each year; means of weights and movements are those of enumeration."""
    source = CosineNetwork(places=8, dim=3, years=3)
    model = fitted(tmp_path, source, FlowMaps(most=5, named=2))
    flows = tmp_path / "figures" / "graph" / "flows"
    for name in ("links", "attractiveness", "codes"):
        with Image.open(next((flows / f"{name}_by_year").glob("*.gif"))) as frames:
            assert frames.n_frames == 3
        assert len(list((flows / name).glob("*.png"))) == 1
    assert len(list((flows / "changes").glob("*.png"))) == 1
    with next((flows / "places").glob("*.csv")).open() as file:
        rows = list(csv.DictReader(file))
    s = source.graph().adjacency().toarray()
    z = model.latent_space.items().z.astype(float)
    assert [(row["place"], row["year"]) for row in rows] == [
        (str(p), str(y)) for y in (2001, 2002, 2003) for p in range(8)
    ]
    for node, row in enumerate(rows):
        assert float(row["people come"]) == pytest.approx(s[:, node].sum() / 7)
        assert float(row["people leave"]) == pytest.approx(s[node].sum() / 7)
        if node < 8:
            assert not row["moved"]
        else:
            assert float(row["moved"]) == pytest.approx(np.arccos(np.clip(z[node] @ z[node - 8], -1, 1)), abs=1e-4)


def test_one_year_has_no_animation(tmp_path: Path) -> None:
    """A network of one year has maps, and nothing that moves."""
    fitted(tmp_path, CosineNetwork(places=6, dim=3), FlowMaps(links=CosineNetwork(places=6, dim=3, noise=0.5)))
    found = {path.parent.name for path in (tmp_path / "figures" / "graph" / "flows").glob("*/*")}
    assert found == {"links", "attractiveness", "codes", "places"}


def test_what_is_refused(tmp_path: Path) -> None:
    """Networks without places or weights, and links of other nodes are refused before training; numbers at once."""
    for source, links, words in (
        (CosineNetwork(places=6, dim=3), CosineNetwork(places=7, dim=3), "links of the 6 nodes of the data"),
        (CosineNetwork(places=6, dim=3), StochasticBlocks(sizes=(3, 3)), "links with weights"),
    ):
        with pytest.raises(ValueError, match=words):
            fitted(tmp_path, source, FlowMaps(links=links))
    with pytest.raises(ValueError, match="columns latitude and longitude"):
        fitted(tmp_path, LesMiserables(weighted=True), FlowMaps())
    with pytest.raises(ValueError, match="fps above 0"):
        FlowMaps(fps=0)
    with pytest.raises(ValueError, match="named of at least 0"):
        FlowMaps(named=-1)
