"""What the user sees of training."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from lsgen.callbacks import Progress

pytestmark = pytest.mark.slow


def _shown(engine: ModuleType, run_dir: Path, terminal: bool, **options: object) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=160)
    bar = Progress(refresh_seconds=1e-6, line_seconds=1e-6, console=console)
    engine.fit(run_dir, extra=[bar], enable_progress_bar=True, **options)
    return out.getvalue()


def test_lines_where_there_is_no_terminal(engine: ModuleType, tmp_path: Path) -> None:
    """Step of steps, epoch, ELBO and throughput; no escape codes."""
    text = _shown(engine, tmp_path, terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert re.fullmatch(r"step 1/65  epoch 0  elbo -\d+\.\d\d  [\d,]+ observations/s", lines[0])
    assert lines[-1].startswith("step 65/65  epoch 4  elbo -")
    rows = {int(row["step"]): float(row["train/elbo"]) for row in engine.rows(tmp_path) if "train/elbo" in row}
    for step, elbo in rows.items():
        assert any(line.startswith(f"step {step}/65") and f"elbo {elbo:.2f}" in line for line in lines)


def test_a_bar_on_a_terminal(engine: ModuleType, tmp_path: Path) -> None:
    """With the limit in epochs translated to steps."""
    text = _shown(engine, tmp_path, terminal=True, max_steps=None, max_epochs=2)
    assert "\x1b" in text
    assert "step 40/40" in text
    assert "validation" in text


def test_the_trainer_adds_no_bar_of_its_own(engine: ModuleType, tmp_path: Path) -> None:
    """Ours is Lightning's progress bar; times must be positive."""
    trainer = engine.fit(tmp_path, max_steps=2, extra=[Progress()], enable_progress_bar=True, monitor=None)
    assert isinstance(trainer.progress_bar_callback, Progress)
    with pytest.raises(ValueError, match="expected times above 0 s, got 0 and 10"):
        Progress(refresh_seconds=0)


def test_a_notebook_gets_one_bar_instead_of_lines(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shows it is tested beside it; here is told every step, and the last one once more at the end."""
    seen: list[tuple[int, str]] = []
    totals: list[int | None] = []

    class Bar:
        def update(self, completed: int, text: str) -> None:
            seen.append((completed, text))

    monkeypatch.setattr("lsgen.callbacks.engine.progress.notebook_bar", lambda total: totals.append(total) or Bar())
    assert _shown(engine, tmp_path, terminal=False, max_steps=5, monitor=None) == ""
    assert totals == [5]
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5, 5]
    assert seen[-1][1].startswith("step 5/5  epoch 1  elbo -")
