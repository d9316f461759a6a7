"""Every paper in experiments/: the preset `smoke` runs all of its arms, measures, comparisons and figures."""

import json
from contextlib import chdir
from pathlib import Path

import pytest

from lsgen.cli import main
from lsgen.reproduction.paper import Paper
from lsgen.reproduction.verdicts import NOT_RUN

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
PAPERS = sorted(file.parent.name for file in EXPERIMENTS.glob("*/target.yaml"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a sweep with the jobs of all papers, which one process has trained; a paper finds its own among them."""
    place = tmp_path_factory.mktemp("papers")
    papers = [Paper.read(EXPERIMENTS / name) for name in PAPERS]
    jobs = {job.overrides: None for paper in papers for job in paper.jobs("smoke", paper.document.arms)}
    (place / "jobs.json").write_text(json.dumps([list(overrides) for overrides in jobs]))
    with chdir(place):
        main(["train", "-m", "hydra/sweeper=listed", "hydra.sweeper.file=jobs.json", "sweep_dir=sweep"])
    return place / "sweep"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_everything_of_a_paper_runs(lsgen, trained, name):
    outcome = lsgen("reproduce", name, "--preset", "smoke", f"sweep_dir={trained}")
    assert outcome.code == 0, outcome.err
    assert "step " not in outcome.out, "a paper's jobs are those of the sweep"
    page = (trained / "results.md").read_text()
    paper = Paper.read(EXPERIMENTS / name)
    left_out = {what for what, side in paper.sides_by_name() if side.arm not in (None, *paper.arms("smoke"))}
    assert page.count(f"| {NOT_RUN} |") == len(left_out)
    assert "was not drawn" not in outcome.err
    for figure in paper.figures:
        assert (trained / "figures" / f"{figure.name}.pdf").exists()


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_says_what_it_examines_and_how(name):
    paper = Paper.read(EXPERIMENTS / name)
    text = (EXPERIMENTS / name / "README.md").read_text()
    assert text.startswith("# ")
    assert paper.document.claim
    assert f"lsgen reproduce {name}" in text
