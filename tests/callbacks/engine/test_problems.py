"""What only looks or logs may fail at any moment: the weights are those of a run in which nothing failed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger

from lsgen.callbacks import (
    Interrupted,
    LatentTraversal,
    LikelihoodMetrics,
    Observer,
    PeriodicCallback,
    Samples,
    TraversalFigures,
    problems_of,
)
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import LatentSpace

pytestmark = pytest.mark.slow


def _raising(owner: type, hook: str, step: int) -> Any:
    """Return an instance of a new class whose hook raises from a generator step on, before its own work."""

    def fail(self: Any, trainer: Trainer, module: LightningModule, *args: Any, **kwargs: Any) -> Any:
        if getattr(module, "generator_steps", 0) >= step:
            raise ZeroDivisionError(f"no {hook}")
        return getattr(super(kind, self), hook)(trainer, module, *args, **kwargs)

    kind = type("Failing", (owner,), {hook: fail})
    return kind()


def _weights(engine: ModuleType, a: Path, b: Path) -> list[str]:
    """Return where two checkpoints differ in what training goes on from: all but what callbacks count and measure."""
    first, second = engine.load(a), engine.load(b)
    for content in (first, second):
        for key in ("callbacks", "problems", "finished", "ended"):
            del content[key]
    found: list[str] = engine.differences(first, second)
    return found


@pytest.mark.parametrize(
    ("hook", "step", "count", "last"),
    [
        ("on_train_batch_start", 30, 35, 64),
        ("on_train_batch_end", 31, 35, 65),
        ("on_validation_batch_end", 40, 9, 65),  # 3 batches, after 40, 60 and 65 steps
        ("on_train_epoch_end", 41, 2, 65),
        ("on_train_end", 0, 1, 65),
        ("teardown", 0, 1, 65),
    ],
)
def test_an_observer_fails(
    engine: ModuleType,
    reference: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    hook: str,
    step: int,
    count: int,
    last: int,
) -> None:
    """It is told once, with the step, and counted; every bit of the checkpoint and every row are as without it."""
    trainer = engine.fit(tmp_path, extra=[_raising(Observer, hook, step)])
    [problem] = problems_of(trainer)
    assert (problem.who, problem.what) == ("Failing", f"ZeroDivisionError: no {hook}")
    assert (problem.count, problem.last_step) == (count, last)
    assert problem.first_step >= step
    assert len([record for record in caplog.records if "Failing failed after" in record.getMessage()]) == 1
    assert _weights(engine, reference, tmp_path) == []
    assert engine.rows(reference) == engine.rows(tmp_path)
    assert engine.load(tmp_path)["finished"]


def test_what_measures_the_monitored_value_fails(engine: ModuleType, reference: Path, tmp_path: Path) -> None:
    """No best checkpoint is chosen by a value that is not there, and the last one has all steps."""

    class Measure(LikelihoodMetrics):
        def on_validation_epoch_end(self, *args: Any) -> None:
            raise ZeroDivisionError

    trainer = _fit_with(engine, tmp_path, Measure())
    assert [problem.who for problem in problems_of(trainer)] == ["Measure"]
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert engine.differences(engine.load(reference)["state_dict"], engine.load(tmp_path)["state_dict"]) == []


def _fit_with(engine: ModuleType, run_dir: Path, metrics: Callback) -> Trainer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "LikelihoodMetrics", lambda: metrics)
        trainer: Trainer = engine.fit(run_dir)
    return trainer


@pytest.mark.parametrize("hook", ["on_train_start", "setup", "on_fit_start"])
def test_before_the_first_step_it_ends_the_run(engine: ModuleType, tmp_path: Path, hook: str) -> None:
    """What is refused there costs nothing."""
    with pytest.raises(ZeroDivisionError):
        engine.fit(tmp_path, extra=[_raising(Observer, hook, 0)])
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "hook",
    ["on_train_batch_end", "on_train_epoch_end", "on_train_end", "on_fit_end", "teardown"],
)
def test_any_other_callback_ends_the_run_and_costs_no_weights(
    engine: ModuleType, reference: Path, tmp_path: Path, hook: str
) -> None:
    """Nobody knows what it is for. At the end of training it fails too late to matter, wherever it stands."""
    with pytest.raises(ZeroDivisionError):
        engine.fit(tmp_path, extra=[_raising(Callback, hook, 65)], every_n_steps=None)
    assert _weights(engine, reference, tmp_path) == []


@pytest.mark.parametrize("limits", [{"max_steps": 40}, {"max_steps": None, "max_epochs": 2}])
def test_a_failure_in_the_last_validation_costs_no_weights(
    engine: ModuleType, tmp_path: Path, limits: dict[str, Any]
) -> None:
    """All counters are those of a run that came to its end, so that it can be extended."""
    engine.fit(tmp_path / "whole", **limits)
    with pytest.raises(ZeroDivisionError):
        engine.fit(tmp_path / "cut", extra=[_raising(Callback, "on_validation_end", 40)], every_n_steps=None, **limits)
    assert _weights(engine, tmp_path / "whole", tmp_path / "cut") == []
    assert not engine.load(tmp_path / "cut")["finished"]


def test_a_failure_in_the_middle_leaves_the_last_exact_place(engine: ModuleType, tmp_path: Path) -> None:
    """The checkpoint is that of the last place between two batches where one was due, as ever."""
    with pytest.raises(ZeroDivisionError):
        engine.fit(tmp_path, extra=[_raising(Callback, "on_train_batch_end", 33)])
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 28


class Broken(Logger):
    """A logger of somebody else's whose every call fails once training runs."""

    name, version = "broken", ""

    def __init__(self, *calls: str) -> None:
        super().__init__()
        self.calls = calls

    def _fail(self, call: str) -> None:
        if call in self.calls:
            raise ConnectionResetError(call)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self._fail("log_metrics")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._fail("log_hyperparams")

    def finalize(self, status: str) -> None:
        self._fail("finalize")


@pytest.mark.parametrize("call", ["log_metrics", "finalize"])
def test_a_logger_fails(engine: ModuleType, reference: Path, tmp_path: Path, call: str) -> None:
    """The other loggers have every row, and the checkpoint every bit."""
    extra = [Samples(every_n_steps=30, n=2)]
    trainer = engine.fit(tmp_path, loggers=[Broken(call)], extra=extra)
    assert [problem.who for problem in problems_of(trainer)] == ["Broken"]
    assert _weights(engine, reference, tmp_path) == []
    rows = [{k: v for k, v in row.items() if not k.startswith("sample/")} for row in engine.rows(tmp_path)]
    assert [row for row in rows if len(row) > 1] == engine.rows(reference)


def test_a_figure_that_cannot_be_written(engine: ModuleType, reference: Path, tmp_path: Path) -> None:
    """A file stands where the folder of figures belongs; each callback that draws is named."""
    (tmp_path / "figures").write_text("")
    draw = [
        LatentTraversal(every_n_steps=20, anchors=1, points=2, figures=TraversalFigures(frames=2)),
        Samples(every_n_epochs=1, n=2),
    ]
    trainer = engine.fit(tmp_path, extra=draw)
    told = {problem.who: (problem.first_step, problem.last_step, problem.count) for problem in problems_of(trainer)}
    assert told == {"LatentTraversal": (20, 65, 4), "Samples": (20, 65, 4)}
    assert _weights(engine, reference, tmp_path) == []


def test_problems_are_counted_over_attempts(engine: ModuleType, tmp_path: Path) -> None:
    """Killed and resumed, the counts are those of one attempt, and so is all else."""
    engine.fit(tmp_path / "whole", extra=[_raising(Observer, "on_train_batch_end", 10)])
    kill = engine.Send(signal.SIGKILL, "on_train_batch_start", 33)
    extra = [_raising(Observer, "on_train_batch_end", 10), kill]
    assert engine.killed(engine.in_child(lambda: engine.fit(tmp_path / "cut", extra=extra)))
    trainer = engine.fit(tmp_path / "cut", resume=True, extra=extra[:1])
    [problem] = problems_of(trainer)
    assert (problem.first_step, problem.last_step, problem.count) == (10, 65, 56)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut") == []


class Draw(PeriodicCallback):
    """Notes its turns, and does something in the last one."""

    family = "draw"

    def __init__(self, last: Callable[[], None] = lambda: None) -> None:
        super().__init__(every_n_steps=30)
        self.last, self.turns = last, list[int]()

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        self.turns.append(sink.step)
        if sink.step == 65:
            self.last()


@pytest.mark.parametrize("limits", [{}, {"max_steps": None, "max_epochs": 4, "limit_train_batches": 17}])
def test_a_kill_while_the_end_is_drawn(engine: ModuleType, tmp_path: Path, limits: dict[str, Any]) -> None:
    """The weights are saved, and the resumed run draws the end, whether steps or epochs limit it."""
    steps = 65 if not limits else 68
    engine.fit(tmp_path / "whole", **limits)
    kill = engine.Send(signal.SIGKILL, "on_train_end", steps)
    assert engine.killed(engine.in_child(lambda: engine.fit(tmp_path / "cut", extra=[kill], **limits)))
    assert engine.load(tmp_path / "cut")["clocks"]["generator_steps"] == steps
    drawn = Draw()
    engine.fit(tmp_path / "cut", resume=True, extra=[drawn], **limits)
    assert drawn.turns == [steps]
    assert engine.differences(engine.load(tmp_path / "whole"), engine.load(tmp_path / "cut")) == []
    again = Draw()
    engine.fit(tmp_path / "cut", resume=True, extra=[again], **limits)
    assert again.turns == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_end_is_drawn_stops_at_once(
    engine: ModuleType, reference: Path, tmp_path: Path, signum: int
) -> None:
    """Nothing is lost, so nothing is waited for; the resumed run draws the end."""
    after: list[int] = []

    def interrupted() -> None:
        signal.raise_signal(signum)
        after.append(1)

    before = signal.getsignal(signum)
    with pytest.raises(Interrupted, match=r"at the end of training, after 65 generator steps; .*last.ckpt.* resume"):
        engine.fit(tmp_path, extra=[Draw(interrupted)])
    assert (after, signal.getsignal(signum)) == ([], before)
    assert _weights(engine, reference, tmp_path) == []
    drawn = Draw()
    engine.fit(tmp_path, resume=True, extra=[drawn])
    assert drawn.turns == [65]
