"""Verdicts by rule."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from lsgen.reproduction.document import Claim, Data, Inequality, Side, Target
from lsgen.reproduction.page import overview_rows, results_page, verdicts
from lsgen.reproduction.paper import Paper, grammar
from lsgen.reproduction.record import Attempt, RunRecord, attempts, committed_first, judged_by
from lsgen.reproduction.verdicts import judge_claim, judge_target
from lsgen.runs import RunError, write_yaml

PAPER = {
    "title": "A paper",
    "authors": "A. Author",
    "year": 2020,
    "url": "https://example.org",
    "claim": "More is better.",
    "data": {"fidelity": "exact"},
    "presets": {"paper": {"seeds": [0, 1, 2]}, "cpu": {"seeds": [0, 1, 2]}, "smoke": {"seeds": [0]}},
    "arms": {"a": {"experiment": "vae_digits"}, "b": {"experiment": "vae_digits", "overrides": {"model.prior.dim": 2}}},
    "targets": {
        "nll": {
            "arm": "a",
            "metric": "test/nll",
            "published": 10.0,
            "where": "Table 1",
            "source": "the paper",
            "provenance": "read",
            "tolerance": 0.5,
            "reason": "two seeds differ by as much",
        }
    },
    "claims": {
        "better": {
            "statement": "a is below b.",
            "test": "seeds",
            "reason": "paired",
            "inequalities": [{"smaller": {"arm": "a", "metric": "x"}, "larger": {"arm": "b", "metric": "x"}}],
        }
    },
}


def _paper(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(folder / "target.yaml", {**PAPER, **changes})
    return Paper.read(folder)


def _attempt(runs, arrays=None, values=None, **judged):
    known = {"data": {"fidelity": "exact"}, "targets": {}, "claims": {}, **judged}
    about = {"machine": "a machine", "minutes": 1.0, "cpu_minutes": 1.0, "committed_first": True, "compared": {}}
    return Attempt(
        "then_cpu", "cpu", "then", tuple(runs), values or {}, versions={}, judged=known, arrays=arrays or {}, **about
    )


def _runs(arm, metric, values):
    return [RunRecord(arm, seed, "finished", {metric: value}) for seed, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "direction", "fidelity", "verdict", "why"),
    [
        ([10.0, 10.4, 10.9], "two-sided", "exact", "reproduced", ""),
        ([10.5, 10.5, 10.5], "two-sided", "exact", "reproduced", ""),
        ([10.6, 10.6, 10.6], "two-sided", "exact", "not reproduced", "0.6 off"),
        ([9.0, 9.0, 9.0], "two-sided", "exact", "not reproduced", "1 off"),
        ([9.0, 9.0, 9.0], "lower", "exact", "reproduced", ""),
        ([9.0, 9.0, 9.0], "higher", "exact", "not reproduced", "1 off"),
        ([99.0, 99.0, 99.0], "higher", "exact", "reproduced", ""),
        ([10.0, 10.0], "two-sided", "exact", "not reproduced", "2 seeds"),
        ([10.0, 10.0, 10.0], "two-sided", "regenerated", "not reproduced", "within tolerance"),
        ([10.0, float("nan"), 10.0], "lower", "exact", "not reproduced", "not finite"),
        ([], "two-sided", "exact", "not run", ""),
    ],
)
def test_a_number_is_reproduced_by_exact_data_three_seeds_and_a_mean_within_tolerance(
    values, direction, fidelity, verdict, why
):
    about = {"where": "Table 1", "source": "it", "provenance": "read", "tolerance": 0.5, "reason": "so"}
    target = Target("m", 10.0, arm="a", direction=direction, data=Data(fidelity, "because"), **about)
    found = judge_target(target, _attempt(_runs("a", "m", values)))
    assert (found.verdict, found.n) == (verdict, len(values))
    assert why in found.why
    assert bool(found.why) == (verdict == "not reproduced")


@pytest.mark.parametrize(("n", "verdict"), [(3, "claim not shown"), (5, "claim shown"), (0, "not run")])
def test_a_claim_by_seeds_needs_five(n, verdict):
    inequality = Inequality(Side("m", "a"), Side("m", "b"), margin=0.5)
    runs = [*_runs("a", "m", [1.0] * n), *_runs("b", "m", [2.0] * n)]
    assert judge_claim(Claim("a < b", (inequality,), "seeds", ""), _attempt(runs)).verdict == verdict
    inequality = Inequality(Side("m", "a"), Side("m", "b"), margin=1.0)
    assert judge_claim(Claim("a < b", (inequality,), "seeds", ""), _attempt(runs)).verdict != "claim shown"


def test_every_inequality_of_a_claim_must_hold():
    first, second = Inequality(Side("m", "a"), 2.0), Inequality(3.0, Side("m", "a"))
    runs = _attempt(_runs("a", "m", [1.0] * 6))
    assert judge_claim(Claim("", (first,), "seeds", ""), runs).verdict == "claim shown"
    assert judge_claim(Claim("", (first, second), "seeds", ""), runs).verdict == "claim not shown"


def test_seeds_and_items_come_from_arrays_of_runs_or_of_a_comparison():
    items = np.arange(40.0)
    arrays = {(arm, s, "m"): items + 0.1 * s + (arm == "b") for arm in "ab" for s in range(3)}
    arrays |= {(None, None, f"c/{name}"): np.tile(items + shift, (3, 1)) for name, shift in (("low", 0), ("high", 1))}
    attempt = _attempt([], arrays, {"c/low": 0.0, "c/high": 1.0})
    for smaller, larger in ((Side("m", "a"), Side("m", "b")), (Side("c/low"), Side("c/high"))):
        claim = Claim("", (Inequality(smaller, larger, 0.9),), "seeds_and_items", "")
        assert judge_claim(claim, attempt).verdict == "claim shown"
        claim = Claim("", (Inequality(larger, smaller),), "seeds_and_items", "")
        assert judge_claim(claim, attempt).verdict == "claim not shown"


def test_an_attempt_comes_back_as_it_was_written(tmp_path):
    paper = _paper(tmp_path / "it")
    arrays = {("a", 1, "x"): np.float32([1, 2]), (None, None, "c/x"): np.float32([[1], [2]])}
    runs = [*_runs("a", "test/nll", [9.0, 10.0, 11.0]), RunRecord("b", 0, "failed", {"x": float("nan")})]
    written = _attempt(runs, arrays, {"c/x": 1.0}, **judged_by(paper))
    written.write(paper.folder / "results")
    (read,) = attempts(paper)
    assert {key: x.tolist() for key, x in read.arrays.items()} == {key: x.tolist() for key, x in arrays.items()}
    assert verdicts(read) == verdicts(written) == {"nll": "reproduced", "better": "not run"}
    assert np.isnan(read.runs[3].values["x"])
    assert read.targets == paper.document.targets
    assert read.claims == paper.document.claims
    assert "10 ± 1 (n = 3) | ±0.5 | reproduced" in results_page(paper, [read], read, ["targets"])
    assert [row[4] for row in overview_rows(paper, read)] == ["reproduced", "not run"]


def test_an_attempt_is_judged_by_the_targets_of_its_time(tmp_path):
    paper = _paper(tmp_path / "it")
    _attempt(_runs("a", "test/nll", [12.0] * 3), **judged_by(paper)).write(paper.folder / "results")
    wider = {"nll": {**PAPER["targets"]["nll"], "tolerance": 5.0}}
    (read,) = attempts(_paper(tmp_path / "it", targets=wider))
    assert verdicts(read)["nll"] == "not reproduced"


def test_commits_are_asked_whether_the_targets_stood_before_the_runs(tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(**changes):
        paper = _paper(tmp_path / "it", **changes)
        git("add", ".")
        git("commit", "-qm", "it", "--allow-empty")
        return paper, git("rev-parse", "HEAD")

    git("init", "-q")
    git("commit", "-qm", "nothing", "--allow-empty")
    before = git("rev-parse", "HEAD")
    wide = {"nll": {**PAPER["targets"]["nll"], "tolerance": 5.0}}
    _, wider = commit(targets=wide)
    _, retitled = commit(title="Another title")
    paper, now = commit()
    assert committed_first(paper, [now, retitled]) is True
    assert committed_first(paper, [now, wider]) is False
    assert committed_first(paper, [before]) is False
    assert committed_first(paper, [now, None]) is None
    assert committed_first(paper, ["0" * 40]) is None


def test_an_attempt_is_read_once_and_written_without_what_was_read(tmp_path):
    attempt = _attempt([], data={"fidelity": "reduced", "reason": "small"}, targets=PAPER["targets"])
    assert attempt.targets is attempt.targets
    assert attempt.data.reason == "small"
    assert Attempt.open(attempt.write(tmp_path), []) == attempt


def test_the_arms_of_a_figure_are_its_own_argument(tmp_path):
    parts = {"_target_": "mine.It", "arms": ["a"], "n": 3, "presets": {"smoke": {"n": 1}}}
    paper = _paper(tmp_path / "it", measures={"m": parts}, figures={"f": parts})
    assert (paper.measures[0].arms, paper.measures[0].config("smoke")) == (("a",), {"_target_": "mine.It", "n": 1})
    assert paper.figures[0].config("cpu") == {"_target_": "mine.It", "arms": ["a"], "n": 3}


def test_what_a_preset_sets_beats_the_arm_and_what_the_arm_sets_for_it_both(tmp_path):
    arms = {
        "a": {
            "experiment": "e",
            "overrides": {"x": 1, "y": 1},
            "presets": {"cpu": {"seeds": [7], "overrides": {"y": 3}}},
        }
    }
    presets = {**PAPER["presets"], "cpu": {"seeds": [0], "overrides": {"x": 2, "y": 2}}}
    paper = _paper(tmp_path / "it", arms=arms, presets=presets, claims={})
    assert [job.overrides for job in paper.jobs("cpu", ["a"])] == [("experiment=e", "x=2", "y=3", "seed=7")]
    assert [job.overrides[1:3] for job in paper.jobs("paper", ["a"])] == [("x=1", "y=1")] * 3


def test_a_preset_runs_the_arms_that_it_names(tmp_path):
    paper = _paper(tmp_path / "it", presets={**PAPER["presets"], "smoke": {"seeds": [0], "arms": ["b"]}})
    assert (paper.arms("cpu"), paper.arms("smoke")) == (["a", "b"], ["b"])
    assert [job.arm for job in paper.jobs("smoke", paper.needed_arms("better"))] == ["b"]
    assert paper.jobs("smoke", paper.needed_arms("nll")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clam": ""}, "unknown key 'clam'; did you mean claim"),
        ({"year": "now"}, "year: expected a whole number, got 'now'"),
        ({"data": {"fidelity": "nearly"}}, "fidelity: expected one of exact"),
        ({"data": {"fidelity": "reduced"}}, "expected a reason"),
        ({"presets": {"cpu": {"seeds": [0]}}}, "expected the presets paper, cpu, smoke"),
        ({"presets": {**PAPER["presets"], "cpu": {"seeds": [1, 1]}}}, "expected distinct seeds"),
        (
            {"presets": {**PAPER["presets"], "cpu": {"seeds": [1], "arms": ["d"]}}},
            "expected an arm among a, b, got 'd'",
        ),
        (
            {"presets": {**PAPER["presets"], "smoke": {"seeds": [0], "arms": []}}},
            "presets.smoke: expected at least one arm",
        ),
        ({"presets": {**PAPER["presets"], "cpu": {}}}, "presets.cpu: expected at least one seed"),
        ({"arms": {}}, "presets.paper: expected arms that seeds and overrides are of"),
        ({"arms": {}, "measures": {"m": {"_target_": "a.B"}}}, "measures: expected arms whose runs are measured"),
        (
            {"presets": {**PAPER["presets"], "paper": {"seeds": [0], "arms": ["a"]}}},
            "presets.cpu: expected arms that the preset paper runs, got 'b'",
        ),
        ({"targets": {"t": {**PAPER["targets"]["nll"], "arm": "c"}}}, "expected an arm among a, b, got 'c'"),
        ({"targets": {"t": {**PAPER["targets"]["nll"], "arm": None}}}, "expected an arm for 'test/nll'"),
        ({"targets": {"t": {**PAPER["targets"]["nll"], "tolerance": "wide"}}}, "tolerance: expected a number"),
        ({"measures": {"m": {}}}, "m: expected _target_"),
        ({"targets": {}, "claims": {}}, "expected targets or claims, got neither"),
    ],
)
def test_a_document_with_a_mistake_is_refused_in_one_sentence(tmp_path, changes, said):
    with pytest.raises(RunError, match=said):
        _paper(tmp_path / "it", **changes)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (1e-4, "0.0001"), ("mnist", "mnist"), ("null", "'null'"), ("a b", "'a b'"),
        ("it's", "'it\\'s'"), ([1, "a"], "[1,a]"), ({"a": {"b": [1]}}, "{a:{b:[1]}}"), ("${seed}", "'${seed}'"),
        ("", "''"),
    ],
)  # fmt: skip
def test_values_are_written_in_the_grammar_of_overrides(value, text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert grammar(value) == text
    (parsed,) = OverridesParser.create().parse_overrides([f"x={text}"])
    got = parsed.value()
    assert str(got) == value if isinstance(value, str) else got == value


CALCULATED = {
    "presets": {"paper": {}, "cpu": {}, "smoke": {}},
    "arms": {},
    "comparisons": {"theory": {"_target_": "a.B"}},
    "targets": {"nll": {**PAPER["targets"]["nll"], "arm": None, "metric": "theory/x"}},
    "claims": {},
}


def test_what_is_calculated_without_a_run_has_no_seeds_and_needs_none(tmp_path):
    paper = _paper(tmp_path, **CALCULATED)
    assert paper.jobs("cpu", paper.needed_arms()) == []
    assert [one.name for one in paper.calculations("nll")] == ["theory"]
    judged = {"targets": CALCULATED["targets"]}
    for value, verdict in ((10.2, "reproduced"), (10.6, "not reproduced")):
        attempt = replace(_attempt([], values={"theory/x": value}, **judged), compared={"theory": []})
        found = judge_target(attempt.targets["nll"], attempt)
        assert (found.verdict, found.n) == (verdict, 0)
        assert "calculated" in found.why
        page = results_page(paper, [attempt], attempt, [])
        assert f"| nll | 10 | {value} | ±0.5 |" in page
        assert "without any training" in page
        assert "## Runs" not in page
    few = replace(_attempt(_runs("a", "x", [1.0]), values={"theory/x": 10.0}, **judged), compared={"theory": ["a"]})
    assert judge_target(few.targets["nll"], few).why == "1 seed"
