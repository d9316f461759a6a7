"""The code of every tutorial runs as it stands, and the pictures it shows are those it draws."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lsgen

ROOT = Path(lsgen.__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "pages" / "tutorials").glob("*.md"))
LARGEST = 150_000


@pytest.fixture
def tutorial():
    path = ROOT / "scripts" / "tutorial.py"
    spec = importlib.util.spec_from_file_location("tutorial", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_tutorials():
    if not (ROOT / "docs").exists():
        pytest.skip("lsgen runs from a wheel, which has no documentation")
    assert PAGES


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_and_draws_what_it_shows(page, tutorial, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tutorial.execute(page, tmp_path)
    shown = tutorial.pictures(page)
    assert shown
    for name in shown:
        kept = tutorial.ASSETS / page.stem / name
        assert kept.stat().st_size < LARGEST
        drawn, committed = (np.asarray(Image.open(path).convert("RGB")) for path in (tmp_path / name, kept))
        assert drawn.shape[:2] == pytest.approx(committed.shape[:2], rel=0.1), name
    assert {path.name for path in (tutorial.ASSETS / page.stem).iterdir()} == set(shown)


def test_every_block_of_code_runs_and_an_error_names_its_line(tutorial, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\na = 1\n```\n\n```text\nnot run\n```\n\n```python\nb = a + 1\nb / 0\n```\n")
    assert [(language, line) for language, _, line in tutorial.blocks(page)] == [("python", 4), ("python", 12)]
    with pytest.raises(ZeroDivisionError) as caught:
        tutorial.execute(page, tmp_path)
    assert caught.traceback[-1].lineno + 1 == 13


def test_a_command_that_fails_is_an_error(tutorial, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nlsgen evaluate nothing\n```\n")
    with pytest.raises(RuntimeError, match=r"page.md:2: lsgen evaluate nothing failed"):
        tutorial.execute(page, tmp_path)
