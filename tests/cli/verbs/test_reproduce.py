"""`lsgen reproduce`: one paper from a checkout, from training to recorded verdicts, and the refusals before work."""

import json
import subprocess
from pathlib import Path

import pytest

from lsgen.runs import write_yaml

SMALL = {
    "callbacks": "engine",
    "logger": "csv",
    "report": False,
    "model.max_steps": 3,
    "data.batch_size": 512,
    "trainer.log_every_n_steps": 1,
}
CODE = '''"""What the paper of the test measures."""

from dataclasses import dataclass

import numpy as np

from lsgen import viz
from lsgen.reproduction.runs import Measured


@dataclass(frozen=True)
class Weight:
    n: int = 3

    def __call__(self, run):
        value = float(next(run.model.parameters()).detach().double().abs().sum())
        return Measured({"l1": value}, {"l1": np.full(self.n, value)})


class Seeds:
    def __call__(self, runs):
        return Measured({"sum": sum(run.seed for run in runs["a"])})


class Theory:
    def __call__(self, runs):
        return Measured({"x": -41.0 if not runs else 0.0})


class Picture:
    def __call__(self, results):
        with viz.publication() as (figure, axes):
            axes[0].plot([float(next(run.model.parameters()).detach().sum()) for run in results.runs("a")])
            return figure
'''
PAPER = {
    "title": "A paper",
    "authors": "A. Author",
    "year": 2020,
    "url": "https://example.org",
    "claim": "More is better.",
    "data": {"fidelity": "synthetic", "reason": "digits"},
    "presets": {
        "paper": {"seeds": [0, 1, 2]},
        "cpu": {"seeds": [0, 1], "overrides": SMALL},
        "smoke": {"seeds": [0], "overrides": SMALL},
    },
    "arms": {"a": {"experiment": "vae_digits"}, "b": {"experiment": "vae_digits", "overrides": {"model.prior.dim": 2}}},
    "measures": {"weight": {"_target_": "papers_of_mine.Weight", "arms": ["a"]}},
    "comparisons": {"of_seeds": {"_target_": "papers_of_mine.Seeds", "arms": ["a"]}},
    "targets": {
        "elbo": {
            "arm": "a",
            "metric": "test/elbo",
            "published": -40.0,
            "where": "Table 1",
            "source": "the paper",
            "provenance": "unverified",
            "tolerance": 100.0,
            "reason": "it is a test",
        }
    },
    "claims": {
        "weight": {
            "statement": "Weights are small.",
            "test": "seeds_and_items",
            "reason": "a bound",
            "inequalities": [{"smaller": {"arm": "a", "metric": "weight/l1"}, "larger": 1e9}],
        }
    },
    "figures": {"picture": {"_target_": "papers_of_mine.Picture"}},
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a repository with one paper, and return the folder of the paper."""
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    write_yaml(folder / "target.yaml", PAPER)
    (tmp_path / "papers_of_mine.py").write_text(CODE)
    monkeypatch.setenv("LSGEN_TARGETS", "papers_of_mine")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _commit(tmp_path)
    return folder


def _commit(place):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "targets")):
        subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True)


@pytest.mark.slow
def test_a_second_call_trains_and_measures_nothing_and_records_the_same(lsgen, checkout):
    outcome = lsgen("reproduce", "mine")
    assert outcome.code == 0, outcome.err
    runs = sorted(Path("reproductions/mine/cpu").glob("0*"))
    assert [json.loads((run / "provenance.json").read_text())["seed"] for run in runs] == [0, 1, 0, 1]
    assert outcome.out.count("measure  weight") == 2
    assert "measure  of_seeds" in outcome.out
    trained = [(run / "checkpoints" / "last.ckpt").stat().st_mtime_ns for run in runs]

    outcome = lsgen("reproduce", "mine", "--record")
    assert outcome.code == 0, outcome.err
    assert "measure" not in outcome.out
    assert [(run / "checkpoints" / "last.ckpt").stat().st_mtime_ns for run in runs] == trained
    (record,) = (checkout / "results").glob("*.json")
    found = json.loads(record.read_text())
    assert found["values"] == {"of_seeds/sum": 1}
    assert [(run["arm"], run["seed"], run["state"]) for run in found["runs"]] == [
        ("a", 0, "finished"), ("a", 1, "finished"), ("b", 0, "finished"), ("b", 1, "finished"),
    ]  # fmt: skip
    assert found["runs"][0]["deviations"]["model.max_steps"] == [1000, 3]
    assert "model.prior.dim" not in found["runs"][2]["deviations"]
    page = (checkout / "results" / "results.md").read_text()
    assert "not reproduced (data synthetic, within tolerance; 2 seeds)" in page
    assert "claim shown" in page
    for name in ("targets", "claims", "picture"):
        assert (checkout / "results" / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (checkout / "results" / "figures" / f"{name}.png").stat().st_size > 1000

    target = {**PAPER["targets"]["elbo"], "metric": "test/elbow"}
    write_yaml(checkout / "target.yaml", {**PAPER, "targets": {"elbo": target}})
    outcome = lsgen("reproduce", "mine")
    assert outcome.code == 2
    assert "expected test/elbow of a, which its runs do not have; did you mean test/elbo?" in outcome.err
    write_yaml(checkout / "target.yaml", PAPER)
    outcome = lsgen("reproduce", "--list")
    assert outcome.code == 0
    assert "claim shown" in outcome.out
    write_yaml(checkout / "target.yaml", {**PAPER, "claims": {}})
    outcome = lsgen("reproduce", "mine", "--record")
    assert outcome.code == 2
    assert "to be committed before its results are recorded" in outcome.err
    assert len(list((checkout / "results").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("elsewhere",), "expected a paper among"),
        (("mine", "--preset", "gpu"), "expected --preset paper, cpu, smoke, got 'gpu'"),
        (("mine", "--only", "nll"), "expected a target or claim among elbo, weight, got 'nll'"),
        (("mine", "model.max_steps=4"), "the settings of a reproduction are in its target.yaml"),
        (("mine", "--recrod"), "unknown option '--recrod'; did you mean --record?"),
        (("mine", "--preset", "smoke", "--record"), "expected a whole reproduction to record, got the preset smoke"),
        (("mine", "--only", "elbo", "--record"), "got --only elbo"),
        (("mine", "--list"), "it goes alone"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(lsgen, checkout, arguments, said):
    outcome = lsgen("reproduce", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert not Path("reproductions").exists()


@pytest.mark.parametrize(
    ("content", "said"), [("1", "expected a list of jobs"), ("[[1]]", "such as seed=1"), ("[", "cannot read")]
)
def test_a_list_of_jobs_that_is_none_is_refused(lsgen, tmp_path, content, said):
    (tmp_path / "jobs.yaml").write_text(content)
    outcome = lsgen("train", "-m", "hydra/sweeper=listed", "hydra.sweeper.file=jobs.yaml", "sweep_dir=s")
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.slow
def test_a_paper_without_arms_is_calculated_and_trains_nothing(lsgen, checkout):
    target = {key: value for key, value in PAPER["targets"]["elbo"].items() if key != "arm"}
    write_yaml(
        checkout / "target.yaml",
        {
            **PAPER,
            **{key: {} for key in ("arms", "measures", "claims", "figures")},
            "data": {"fidelity": "exact"},
            "presets": {"paper": {}, "cpu": {"minutes": 1}, "smoke": {}},
            "comparisons": {"theory": {"_target_": "papers_of_mine.Theory"}},
            "targets": {"elbo": {**target, "metric": "theory/x"}},
        },
    )
    _commit(checkout.parents[1])
    assert lsgen("reproduce", "mine").out.count("measure  theory") == 1
    outcome = lsgen("reproduce", "mine", "--record")
    assert outcome.code == 0, outcome.err
    assert "measure  " not in outcome.out
    (record,) = (checkout / "results").glob("*.json")
    found = json.loads(record.read_text())
    assert (found["runs"], found["values"], found["compared"]) == ([], {"theory/x": -41}, {"theory": []})
    page = (checkout / "results" / "results.md").read_text()
    assert "reproduced (calculated)" in page
    assert "-41" in lsgen("reproduce", "--list").out
    assert sorted(file.name for file in Path("reproductions/mine/cpu").iterdir()) == [
        "comparisons", "figures", "results.md",
    ]  # fmt: skip
