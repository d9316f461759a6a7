"""Lists of a sweep that go together, first with first."""

from __future__ import annotations

import json

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.local import Local
from lsgen.cli.sweeps.pairing import combinations, paired_keys
from lsgen.runs import Sweep


def jobs(text, *groups):
    return combinations(OverridesParser.create().parse_overrides(text.split()), groups)


def test_paired_lists_are_walked_together_and_all_others_combined():
    found = jobs("x=9 a=1,2,3 c=5,6 b=choice(p,q,r) d=range(0,2) +e=7,8", ["b", "a"], ["d", "e"])
    expected = [
        ["x=9", f"a={a}", f"b={b}", f"c={c}", f"d={d}", f"+e={e}"]
        for a, b in [(1, "p"), (2, "q"), (3, "r")]
        for c in (5, 6)
        for d, e in [(0, 7), (1, 8)]
    ]
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    assert jobs("a=1,2 b=3,4") == [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]
    assert jobs("") == [[]]


@pytest.mark.parametrize(
    ("text", "groups", "sentence"),
    [
        ("a=1,2 b=3,4,5", [["a", "b"]], r"one length for zip=\[a,b\], got 2 of a, 3 of b"),
        ("a=1,2 b=3", [["a", "b"]], "to name swept keys, a, got 'b'"),
        ("a=1 b=2", [["a", "b"]], "swept keys, none, got 'a'"),
        ("a=1,2 b=3,4 c=5,6", [["a", "b"], ["b", "c"]], "each key in one zip= once"),
        ("a=1,2 b=3,4", [["a", "a"]], "each key in one zip= once"),
        ("a=1,2 a=5,6 b=3,4", [["a", "b"]], "expected one list for a, which zip= names, got 2"),
    ],
)
def test_what_cannot_be_paired_is_refused(text, groups, sentence):
    with pytest.raises(UsageError, match=sentence):
        jobs(text, *groups)


@pytest.mark.parametrize("text", ["a", "[a]", "a,", "[]", "[[a,b],[c,d]]"])
def test_a_pair_names_two_keys(text):
    with pytest.raises(UsageError, match="at least two swept keys"):
        paired_keys(text)
    assert paired_keys("[model.x, data/y]") == paired_keys("model.x,data/y") == ["model.x", "data/y"]


@pytest.fixture
def launched(monkeypatch):
    """Have the launcher on this machine start nothing; return the numbers of the jobs that it was to run."""
    asked = []
    monkeypatch.setattr(Local, "run", lambda self, sweep, jobs: asked.extend(job.number for job in jobs))
    return asked


@pytest.mark.slow
def test_the_jobs_of_a_sweep_record_their_pairs(lsgen, small, tmp_path, launched):
    pairs = ("model.prior.dim=2,3", "data.batch_size=64,128", "seed=0,1", "zip=[model.prior.dim,data.batch_size]")
    lsgen("train", "-m", *small, "sweep_dir=s", *pairs)
    sweep = Sweep.open(tmp_path / "s")
    configs = [sweep.run(job).config() for job in sweep.jobs]
    found = {(one["model"]["prior"]["dim"], one["data"]["batch_size"], one["seed"]) for one in configs}
    assert found == {(2, 64, 0), (2, 64, 1), (3, 128, 0), (3, 128, 1)}
    assert len(launched) == 4
    (tmp_path / "jobs.json").write_text(json.dumps([["seed=7"], ["seed=8"]]))
    listed = ("hydra/sweeper=listed", "hydra.sweeper.file=jobs.json", *pairs[:2], pairs[3])
    lsgen("train", "-m", *small, "sweep_dir=t", *listed)
    sweep = Sweep.open(tmp_path / "t")
    assert {tuple(job.overrides[-2:]) for job in sweep.jobs} == {
        ("model.prior.dim=2", "data.batch_size=64"),
        ("model.prior.dim=3", "data.batch_size=128"),
    }
    assert [job.overrides[0] for job in sweep.jobs] == ["seed=7", "seed=7", "seed=8", "seed=8"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-m", "seed=0,1", "model.prior.dim=2,3,4", "zip=[seed,model.prior.dim]"), "2 of seed, 3 of model.prior.dim"),
        (("seed=0", "zip=[seed,data.seed]"), "zip= is about the jobs of a sweep: give -m with it"),
        (("--hours", "3"), "--hours is about the jobs of a sweep"),
        (("-m", "--hours", "-1", "seed=0,1"), "expected a finite number of --hours above 0, got -1"),
        (("-m", "--hour=1", "seed=0,1"), "unknown flag --hour; did you mean --hours?"),
        (("-m", "--stop-at-first-failure=yes", "seed=0,1"), "expected --stop-at-first-failure without a value"),
        (("-m", "--hours=soon", "seed=0,1"), "expected --hours to be a number, got 'soon'"),
        (("-m", "--hours=1", "--hours", "2", "seed=0,1"), "--hours is given twice: 1 and 2"),
        (("-m", "seed=0,1", "best=val/elfo"), "did you mean val/elbo?"),
        (("-m", "hydra/sweeper=basic", "seed=0,1", "data.seed=0,1", "zip=[seed,data.seed]"), "zip= pairs the lists of"),
        (("-m", "hydra/launcher=basic", "hydra/sweeper=basic", "--hours=1"), "which other launchers do not mind"),
    ],
)
def test_what_is_asked_of_a_sweep_is_checked_first(arguments, sentence, lsgen, small, tmp_path, launched):
    outcome = lsgen("train", *small, *arguments, *(["sweep_dir=s"] if "-m" in arguments else []))
    assert outcome.code == 2
    assert sentence in outcome.err
    assert launched == []
    assert list(tmp_path.glob("s/*/config.yaml")) == []


def test_an_agent_of_wandb_gets_no_pairs(lsgen):
    outcome = lsgen("sweep", "--wandb", "f.yaml", "seed=1,2", "data.seed=1,2", "zip=[seed,data.seed]")
    assert outcome.code == 2
    assert "W&B combines every value with every other" in outcome.err
