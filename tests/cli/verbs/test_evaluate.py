"""`lsgen evaluate` prints a score with its interval and its level of chance in one row; `traverse` lists of numbers."""

import pytest

from lsgen.cli.verbs.evaluate import _show_others
from lsgen.cli.verbs.traverse import _listed


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
