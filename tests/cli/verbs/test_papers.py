"""Every paper in experiments/: the preset `smoke` runs all of its arms, measures, comparisons and figures."""

from pathlib import Path

import pytest

from lsgen.reproduction.paper import Paper
from lsgen.reproduction.verdicts import NOT_RUN

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
PAPERS = sorted(file.parent.name for file in EXPERIMENTS.glob("*/target.yaml"))


@pytest.mark.parametrize("name", PAPERS)
def test_everything_of_a_paper_runs(lsgen, name):
    outcome = lsgen("reproduce", name, "--preset", "smoke", "sweep_dir=smoke")
    assert outcome.code == 0, outcome.err
    page = Path("smoke/results.md").read_text()
    assert f"| {NOT_RUN} |" not in page
    assert "was not drawn" not in outcome.err
    for figure in Paper.read(EXPERIMENTS / name).figures:
        assert Path(f"smoke/figures/{figure.name}.pdf").exists()


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_says_what_it_examines_and_how(name):
    paper = Paper.read(EXPERIMENTS / name)
    text = (EXPERIMENTS / name / "README.md").read_text()
    assert text.startswith("# ")
    assert paper.document.claim
    assert f"lsgen reproduce {name}" in text
