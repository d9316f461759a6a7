"""Training of the run that a run directory describes, by nothing but its frozen config."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lsgen.cli.config.frozen_config import thaw
from lsgen.cli.errors import BAD_INPUT, FAILURE, INTERRUPTED, OK, UsageError, complain
from lsgen.cli.output.console import messages
from lsgen.cli.ranks import forget_ranks, is_first_process, processes
from lsgen.cli.refusals.explain import explanation, own_sentence, wants_traceback
from lsgen.runs import RunDirectory

if TYPE_CHECKING:
    from lsgen.cli.refusals.run_objects import RunObjects

__all__ = ["execute", "run_variables"]

_log = logging.getLogger(__name__)
_TIMES = ("seconds", "cpu_seconds")


@dataclass
class _Progress:
    """Progress of a run, which its final status reports."""

    parts: RunObjects | None = None
    start: int = 0
    announced: bool = True
    state: str = "finished"
    earlier: Mapping[str, float] = field(default_factory=dict)
    began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        if self.parts is None:
            return 0
        return int(getattr(self.parts.model, "generator_steps", self.parts.trainer.global_step))

    @property
    def times(self) -> dict[str, float]:
        """Seconds on the clock and of the processor, of this attempt and of the earlier ones that recorded theirs."""
        now = time.monotonic() - self.began[0], time.process_time() - self.began[1]
        return {key: round(self.earlier.get(key, 0.0) + spent, 1) for key, spent in zip(_TIMES, now, strict=True)}

    @property
    def problems(self) -> dict[str, Any]:
        """Problems that did not end training, as the run's status records them; empty if there were none."""
        from lsgen.callbacks import problems_of

        records = [] if self.parts is None else problems_of(self.parts.trainer).records()
        return {"problems": records} if records else {}

    @property
    def stepped(self) -> bool:
        return self.parts is not None and self.steps > self.start


def execute(directory: RunDirectory, *, discard: bool = False) -> int:
    """Train, from the last checkpoint if there is one, and return the exit code.

    Args:
        directory: the run.
        discard: whether a run that is refused before its first step leaves nothing behind.

    """
    alone = processes(directory) == 1
    if not is_first_process(directory):
        with run_variables(directory, alone), messages(None), _process_group():
            _train(directory, _Progress())
        return OK
    progress = _Progress(announced=False)
    if not discard:
        _announce(directory, progress)
    try:
        with directory.lock(), run_variables(directory, alone), messages(directory.log_file), _process_group():
            progress.earlier = {key: value for key, value in directory.status().items() if key in _TIMES}
            directory.set_status("running", **progress.earlier)
            code = _guarded(directory, progress)
    except OSError:
        if discard and not progress.stepped:  # the log or the status cannot be written
            directory.discard()
        raise
    if code == BAD_INPUT and discard and not progress.stepped:
        directory.discard()
        if progress.announced:
            print(f"removed  {directory.path}: the run was refused before its first step")
    return code


def _announce(directory: RunDirectory, progress: _Progress) -> None:
    """Print the path of the run once; for a run that may be refused for its config, after it is built."""
    if not progress.announced:
        print(f"run      {directory.path}", flush=True)
    progress.announced = True


@contextmanager
def run_variables(directory: RunDirectory, alone: bool = True) -> Iterator[None]:
    """Set the environment variables that give this process and its children the run directory.

    Args:
        directory: the run.
        alone: whether no other process works on it: then this one has no rank.

    """
    former = dict(os.environ)
    if alone:
        forget_ranks()
    os.environ["LSGEN_RUN_DIR"] = str(directory.path.absolute())
    os.environ.setdefault("HYDRA_FULL_ERROR", "0")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)


@contextmanager
def _process_group() -> Iterator[None]:
    """Leave the group of processes that Lightning joined, so that the next run of a sweep can form its own."""
    try:
        yield
    finally:
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def _guarded(directory: RunDirectory, progress: _Progress) -> int:
    """Train, and record how it ended as a status, a message and an exit code."""
    try:
        _train(directory, progress)
    except (KeyboardInterrupt, SystemExit) as stop:
        return _stopped(directory, progress, stop)
    except Exception as error:  # noqa: BLE001 (every failure is recorded, then told)
        return _failed(directory, progress, error)
    return OK


def _stopped(directory: RunDirectory, progress: _Progress, stop: BaseException) -> int:
    """Record Ctrl-C or a signal; 128 + the number of the signal is its exit code."""
    directory.set_status("interrupted", generator_steps=progress.steps, **progress.times, **progress.problems)
    said = getattr(stop, "message", "").removeprefix("stopped ")  # Lightning's own stop only has a number
    print(f"stopped  {said or f'after {progress.steps} generator steps'}")
    print(f"continue lsgen train resume={shlex.quote(str(directory.path))}")
    code = stop.code if isinstance(stop, SystemExit) else INTERRUPTED
    return code if isinstance(code, int) and code > INTERRUPTED else INTERRUPTED


def _failed(directory: RunDirectory, progress: _Progress, error: Exception) -> int:
    with suppress(OSError):
        directory.set_status(
            "failed",
            generator_steps=progress.steps,
            **progress.times,
            error=f"{type(error).__name__}: {' '.join(str(error).split())}",
            traceback="".join(traceback.format_exception(error)),
            **progress.problems,
        )
    _log.error("failed", exc_info=error, extra={"file_only": True})
    sentence = own_sentence(error) if progress.stepped else explanation(error, progress.parts)
    if sentence is None or wants_traceback():
        traceback.print_exception(error)
    if sentence is not None:
        complain(UsageError(sentence))
        if not progress.stepped:
            return BAD_INPUT
    print(f"lsgen: the run stopped after {progress.steps} steps; see {directory.log_file}", file=sys.stderr)
    return FAILURE


def _train(directory: RunDirectory, progress: _Progress) -> None:
    from lsgen.callbacks import HeldOutCheck
    from lsgen.cli.config.construction import build, verify
    from lsgen.cli.config.monitors import check_monitors
    from lsgen.cli.config.rehearsal import rehearse, rehearse_weights
    from lsgen.cli.sweeps.trials import pruning_of

    frozen = directory.config()
    config = thaw(frozen, directory.overrides())
    verify(config)
    check_monitors(config)
    rehearse(config.model)
    parts = progress.parts = build(config, frozen)
    rehearse_weights(parts.model, config.model.get("max_steps"))
    _announce(directory, progress)
    if config.test:
        parts.trainer.callbacks.append(HeldOutCheck())  # type: ignore[attr-defined]
    if (pruning := pruning_of(directory)) is not None:
        parts.trainer.callbacks.append(pruning)  # type: ignore[attr-defined]
    checkpoint = _checkpoint(directory, progress)
    parts.trainer.fit(parts.model, datamodule=parts.data, ckpt_path=checkpoint)
    if parts.trainer.interrupted:
        raise KeyboardInterrupt
    if progress.steps == 0:
        raise UsageError(_no_step(config.trainer))
    progress.metrics = _numbers(parts.trainer.callback_metrics)
    if pruning is not None and pruning.pruned:
        progress.state = "pruned"
        print(f"pruned   after {progress.steps} generator steps", flush=True)
    elif config.test:
        for measure in (parts.trainer.validate, parts.trainer.test):
            measure(parts.model, datamodule=parts.data, verbose=False)
            progress.metrics |= _numbers(parts.trainer.callback_metrics)
    if parts.trainer.is_global_zero:
        _conclude(directory, config, progress)


def _no_step(trainer: Any) -> str:
    """Return the message that nothing was trained, with the limits in the trainer's config."""
    limits = ("limit_train_batches", "overfit_batches", "max_epochs", "max_time", "min_epochs")
    given = [f"trainer.{name}={trainer[name]}" for name in limits if trainer.get(name) not in (None, -1)]
    return f"expected at least one generator step, and none was taken: {', '.join(given) or 'there were no batches'}"


def _checkpoint(directory: RunDirectory, progress: _Progress) -> str | None:
    """Return the checkpoint to resume from; None if the run has none and starts from scratch."""
    from lsgen.callbacks import newest_checkpoint, read_checkpoint
    from lsgen.cli.loading import check_content

    newest = newest_checkpoint(directory.path)
    if newest is None:
        return None
    content = read_checkpoint(newest)
    check_content(content, resumed=True)
    progress.start = int(content.get("clocks", {}).get("generator_steps", 0))
    print(f"resumed  at step {progress.start} from {newest.name}", flush=True)
    return str(newest)


def _numbers(metrics: Any) -> dict[str, float]:
    return {str(key): float(value) for key, value in metrics.items()}


def _conclude(directory: RunDirectory, config: Any, progress: _Progress) -> None:
    """Close the loggers, record that the run has finished, then write its report and print its summary."""
    assert progress.parts is not None
    for logger in progress.parts.trainer.loggers:
        close = getattr(logger, "close", None)
        if close is not None:
            close()
    _finish(directory, progress)
    if config.report:
        _show(directory, progress, "the report", _write_report)
    _show(directory, progress, "the summary", _print_summary)


def _write_report(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    from lsgen.report import write_report

    write_report(directory.path)


def _print_summary(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    from lsgen.cli.output.summary import print_summary

    print_summary(directory, metrics)


def _finish(directory: RunDirectory, progress: _Progress) -> None:
    assert progress.parts is not None
    epochs, told = progress.parts.trainer.current_epoch, progress.problems
    told |= {**progress.times, "metrics": progress.metrics}
    directory.set_status(progress.state, generator_steps=progress.steps, epochs=epochs, **told)


def _show(
    directory: RunDirectory, progress: _Progress, who: str, show: Callable[[RunDirectory, Mapping[str, float]], None]
) -> None:
    """Show a finished run; a failure to do so is recorded as a problem and does not make the run fail."""
    from lsgen.callbacks import problems_of

    assert progress.parts is not None
    try:
        show(directory, progress.metrics)
    except Exception as error:  # noqa: BLE001 (the weights and the numbers are there)
        problems_of(progress.parts.trainer).add(who, error)
        _finish(directory, progress)
