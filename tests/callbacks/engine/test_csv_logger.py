"""metrics.csv: wide, exact, never half written, cut back and continued."""

from __future__ import annotations

import csv
import math
import os
import resource
import signal
from pathlib import Path
from types import ModuleType

import pytest

from lsgen.callbacks import CSVLogger
from lsgen.callbacks.logging.table import StepTable


def _read(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def test_rows_by_step_and_columns_as_they_come(tmp_path: Path) -> None:
    """Calls at one step share its row; a new key extends the header, and cells it does not concern stay empty."""
    table = StepTable(tmp_path / "t.csv")
    table.add(1, {"a": 0.1})
    table.add(2, {"a": 0.2})
    table.add(2, {"b": 3})
    table.add(3, {"b": 4, "c,d": -1e-300})
    assert _read(tmp_path / "t.csv") == [
        {"step": "1", "a": "0.1", "b": "", "c,d": ""},
        {"step": "2", "a": "0.2", "b": "3", "c,d": ""},
        {"step": "3", "a": "", "b": "4", "c,d": "-1e-300"},
    ]


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, -(2.0**-1074), 1.7976931348623157e308, math.inf, -math.inf])
def test_numbers_come_back_bit_for_bit(tmp_path: Path, value: float) -> None:
    """Through text and back; NaN as well."""
    table = StepTable(tmp_path / "t.csv")
    table.add(1, {"x": value, "nan": math.nan})
    row = _read(tmp_path / "t.csv")[0]
    assert float(row["x"]) == value
    assert math.isnan(float(row["nan"]))


def test_a_shorter_value_leaves_no_rest(tmp_path: Path) -> None:
    """The last value logged at a step counts, as in W&B."""
    table = StepTable(tmp_path / "t.csv")
    table.add(1, {"x": 0.123456789})
    table.add(1, {"x": 0.5})
    table.add(2, {"x": 1})
    assert [row["x"] for row in _read(tmp_path / "t.csv")] == ["0.5", "1"]


def test_cut_and_continue(tmp_path: Path) -> None:
    """Rows beyond the step go; a line that was cut short goes too; an untouched file is not written."""
    file = tmp_path / "t.csv"
    table = StepTable(file)
    for step in range(1, 6):
        table.add(step, {"x": step})
    table.close()
    with open(file, "a") as stream:
        stream.write("6,")
    before = file.stat().st_ino
    again = StepTable(file)
    again.cut(5)
    assert file.stat().st_ino == before
    again.cut(3)
    again.add(3, {"y": 7})
    again.add(4, {"x": 40})
    assert [tuple(row.values()) for row in _read(file)] == [
        ("1", "1", ""),
        ("2", "2", ""),
        ("3", "3", "7"),
        ("4", "40", ""),
    ]


def test_a_run_that_begins_anew_keeps_the_old_table(tmp_path: Path) -> None:
    """Nothing is lost, and the new table is clean."""
    old = CSVLogger(tmp_path)
    old.log_metrics({"x": 1.0}, step=5)
    new = CSVLogger(tmp_path)
    new.continue_from(0)
    new.log_metrics({"y": 2.0}, step=1)
    assert _read(tmp_path / "metrics.csv") == [{"step": "1", "y": "2.0"}]
    assert _read(tmp_path / "metrics.previous.csv") == [{"step": "5", "x": "1.0"}]


def test_a_kill_loses_nothing_that_was_logged(engine: ModuleType, tmp_path: Path) -> None:
    """Whatever had been logged when the process dies is on disk, new columns included."""

    def log_and_die() -> None:
        logger = CSVLogger(tmp_path)
        for step in range(200):
            logger.log_metrics({"x": step, f"y{step // 50}": 1.0}, step=step)
        os.kill(os.getpid(), signal.SIGKILL)

    assert engine.killed(engine.in_child(log_and_die))
    assert [int(row["step"]) for row in _read(tmp_path / "metrics.csv")] == list(range(200))


@pytest.mark.slow
def test_lightning_s_own_logging_lands_in_the_row_of_the_generator_step(engine: ModuleType, tmp_path: Path) -> None:
    """`self.log` in the model (val/loss) and the exact metrics (val/elbo) share rows; with beta = 1 they agree."""
    engine.fit(tmp_path)
    validated = [row for row in engine.rows(tmp_path) if "val/elbo" in row]
    assert [row["step"] for row in validated] == ["20", "40", "60", "65"]
    for row in validated[1:]:
        beta = min(int(row["step"]) / 50, 1.0)
        expected = float(row["val/reconstruction"]) + beta * float(row["val/kl"])
        assert float(row["val/loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_line_that_the_disk_takes_only_in_part_is_not_left(tmp_path: Path) -> None:
    """What was there before and what comes when there is room again stays whole."""
    table = StepTable(tmp_path / "metrics.csv")
    table.add(1, {"x": 1.0})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "metrics.csv").stat().st_size + 4, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left on device after 4 of 17 bytes"):
            table.add(2, {"x": 0.123456789012})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    table.add(3, {"x": 3.0})
    assert _read(tmp_path / "metrics.csv") == [{"step": "1", "x": "1.0"}, {"step": "3", "x": "3.0"}]
