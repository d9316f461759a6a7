"""`lsgen evaluate` prints a score with its interval and its level of chance in one row; `traverse` lists of numbers."""

import json
from pathlib import Path

import pytest

import lsgen.callbacks
from lsgen.callbacks import PeriodicCallback
from lsgen.cli.verbs.evaluate import _measures, _show_others
from lsgen.cli.verbs.traverse import _listed

DRAWS_OR_WATCHES = {  # what lies beside the judges and needs observations of training, watches it, or draws alone
    "AggregateMetrics", "CollapseWatch", "CrossGeneration", "Decoupling", "FlowMaps", "Imputations",
    "NearestNeighbours", "NetworkPictures", "PhaseTransitions",
}  # fmt: skip


def test_whatever_judges_a_model_is_taken_along() -> None:
    found = [(name, getattr(lsgen.callbacks, name)) for name in lsgen.callbacks.__all__]
    kinds = [name for name, one in found if isinstance(one, type) and issubclass(one, PeriodicCallback)]
    there = [name for name in kinds if ".evaluation." in getattr(lsgen.callbacks, name).__module__]
    there = [name for name in there if not name.startswith("Of")]  # abstract ones
    taken = {name for name in kinds if _measures(f"lsgen.callbacks.{name}")}
    assert taken == set(there) - DRAWS_OR_WATCHES | {"WritingTests"}
    assert all(getattr(lsgen.callbacks, name).wanted is PeriodicCallback.wanted for name in taken)  # asks for no probe


def test_a_score_has_its_interval_and_its_level_of_chance_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    _show_others(
        {
            "retrieval/mrr": 0.5,
            "retrieval/mrr_chance": 0.1,
            "retrieval/mrr_low": 0.4,
            "retrieval/mrr_high": 0.6,
            "retrieval/queries": 30.0,
            "words/analogies/data/coverage": 1.0,
            "words/similarity/data/coverage": 0.25,
        }
    )
    lines = capsys.readouterr().out.replace("┃", "│").splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert rows[0] == ["quantity", "value", "95 % from", "to", "by chance", "unit"]
    assert ["MRR", "0.5", "0.4", "0.6", "0.1", ""] in rows
    assert ["queries", "30", "", "", "", ""] in rows
    assert [row[0] for row in rows if row[0].startswith("coverage")] == [
        "coverage of data, analogies",
        "coverage of data, similarity",
    ]
    assert len(rows) == 5


def test_of_many_numbers_the_first_and_the_last_are_shown() -> None:
    assert _listed([1.0, 2.0]) == "1  2"
    assert _listed([float(n) for n in range(50)]) == "0  1  2  3  4  5  6  7  …  49"


@pytest.mark.slow
def test_answers_are_judged_again_by_kind(lsgen, tmp_path: Path) -> None:
    few = [f"data.scenes.{key}={n}" for key, n in {"number": 400, "val_size": 50, "test_size": 50}.items()]
    quiet = ["report=false", "test=false", "callbacks=engine", "data.batch_size=50", "model.max_steps=2"]
    added = "+callbacks.answers={_target_: lsgen.callbacks.AnswerQuality, n: 50, splits: [test], known: 100}"
    run = lsgen("train", "experiment=joint_classifier_sentiment", f"run_dir={tmp_path}/run", *few, *quiet, added)
    assert run.code == 0, run.err
    outcome = lsgen("evaluate", f"{tmp_path}/run")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "run" / "evaluation" / "last.json").read_text())["metrics"]
    assert found["answers/test/model/all"] == pytest.approx(found["test/accuracy"])
    assert {"answers/test/model/sincere", "answers/test/model/ironic", "answers/test/best_of_text/all"} <= set(found)
