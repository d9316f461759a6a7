"""The page "Your own data": its code runs as it stands, and its data set keeps its promises on the command line too."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

import lsgen
from lsgen.cli import main

ROOT = Path(lsgen.__file__).parents[1]
PAGE = ROOT / "docs" / "pages" / "own_data.md"


@pytest.fixture
def names(tmp_path):
    if not PAGE.exists():
        pytest.skip("lsgen runs from a wheel, which has no documentation")
    path = ROOT / "scripts" / "tutorial.py"
    spec = importlib.util.spec_from_file_location("tutorial", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.execute(PAGE, tmp_path)


def test_the_page_runs_and_its_data_set_trains(names, tmp_path, monkeypatch, capfd):
    assert names["model"].generator_steps == 4
    assert names["model"].latent_space.sample(3).shape == (3, 1, 8, 8)
    data = names["data"]
    rows = torch.cat([data.dataset(split).rows for split in ("train", "val", "test")])
    assert sorted(rows.tolist()) == list(range(500))
    assert {len(batch["x"]) for batch in data.train_dataloader()} == {50}
    ring = names["network"]
    assert (ring.nodes, len(ring.whole), int(ring.graph.components().max())) == (40, 80, 0)
    assert next(iter(ring.train_dataloader()))["x"].shape == (8, 2)
    code = next(
        text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "class Waves" in text
    )
    body = [line for line in code[code.index("class Waves") :].splitlines() if line.strip()][:-1]
    assert len(body) <= 15
    (tmp_path / "mine.py").write_text(f"import torch\n{code}")
    (tmp_path / "conf" / "data").mkdir(parents=True)
    text = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    (tmp_path / "conf" / "data" / "waves.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LSGEN_TARGETS", "mine")
    small = ["model=vae", "model.max_steps=2", "callbacks=engine", "logger=csv", "report=false", "test=false"]
    monkeypatch.setattr(sys, "argv", ["lsgen", "train", "data=waves", *small, "run_dir=run"])
    assert main() == 0, capfd.readouterr().err
    assert yaml.safe_load(Path("run/config.yaml").read_text())["data"]["shape"] == [32]
