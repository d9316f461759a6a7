"""W&B, read back from its offline file, and TensorBoard."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lsgen.callbacks import TensorBoardLogger, WandbLogger

ABOUT: dict[str, Any] = {"project": "p", "name": "n", "group": "g", "job_type": "vae", "tags": ["a", "b"]}
CONFIG = {"seed": 0, "model": {"dim": 3}}


@pytest.fixture(autouse=True)
def _wandb_settles_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.mark.slow
def test_wandb_continues_one_run(engine: ModuleType, tmp_path: Path, read_wandb: Callable[[Path], Any]) -> None:
    """A killed attempt and the one that resumes it: one id, two segments, rows equal to metrics.csv."""
    import wandb

    first = WandbLogger(tmp_path, config=CONFIG, **ABOUT)
    with pytest.raises(SystemExit):
        engine.fit(tmp_path, extra=[engine.Send(signal.SIGTERM, "on_train_batch_end", 33)], loggers=[first])
    other = wandb.init(mode="offline", dir=tmp_path / "other", id="other", settings={"console": "off", "silent": True})
    second = WandbLogger(tmp_path, config=CONFIG, **ABOUT)
    engine.fit(tmp_path, resume=True, loggers=[second])
    assert wandb.run is other
    other.finish()
    assert second.version == first.version == (tmp_path / "wandb" / "run_id").read_text().strip()
    second.close()
    run = read_wandb(tmp_path)
    assert run.id == second.version
    assert {key: getattr(run, key) for key in ABOUT} == ABOUT
    assert CONFIG.items() <= run.config.items()
    assert len(run.segments) == 2
    assert run.exit_codes == [1, 0]
    assert run.axes == [{"*": "step"}, {"*": "step"}], (
        "W&B's own counter begins anew in each segment: no chart is over it"
    )
    assert all("step" in row for row in run.history)
    for key in ("train/elbo", "val/elbo", "train/kl_epoch", "val/loss"):
        logged = [(int(row["step"]), float(row[key])) for row in engine.rows(tmp_path) if key in row]
        assert sorted(set(run.values(key))) == logged


@pytest.mark.slow
def test_a_kill_loses_at_most_a_second(tmp_path: Path, read_wandb: Callable[[Path], Any]) -> None:
    """What was logged two seconds before the kill is in the file; tracing the processes finds no connection."""
    script = """
import os, signal, sys, time
from lsgen.callbacks import WandbLogger
logger = WandbLogger(sys.argv[1])
for step in range(100):
    logger.log_metrics({"x": step}, step)
time.sleep(2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    trace = tmp_path / "trace"
    if shutil.which("strace"):
        command = ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), *command]
    subprocess.run(command, check=False, capture_output=True)
    assert [row["step"] for row in read_wandb(tmp_path).history] == list(range(100))
    if not trace.exists():
        pytest.skip("no strace to look for network connections with")
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []


def test_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline unless the environment or the argument says otherwise; the argument wins; disabled leaves nothing."""
    assert WandbLogger(tmp_path).mode == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert WandbLogger(tmp_path).mode == "disabled"
    assert WandbLogger(tmp_path, mode="online").mode == "online"
    logger = WandbLogger(tmp_path)
    logger.log_metrics({"x": 1.0}, step=1)
    logger.close()
    assert list(tmp_path.rglob("*.wandb")) == []
    with pytest.raises(ValueError, match="expected a W&B mode among offline, online, disabled, got 'onlin'"):
        WandbLogger(tmp_path, mode="onlin")


@pytest.mark.slow
def test_tensorboard_on_generator_steps(engine: ModuleType, tmp_path: Path) -> None:
    """The values of metrics.csv at its steps, once each, although steps were replayed after a kill."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kill = engine.Send(signal.SIGKILL, "on_train_batch_end", 33)

    def attempt(resume: bool, extra: list[Any]) -> None:
        engine.fit(tmp_path, resume=resume, extra=extra, loggers=[TensorBoardLogger(tmp_path)])

    assert engine.killed(engine.in_child(lambda: attempt(False, [kill])))
    time.sleep(1.1)  # TensorBoard orders files by the second in their names
    attempt(True, [])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for key in ("train/elbo", "val/elbo", "train/kl_epoch"):
        logged = [(int(row["step"]), float(row[key])) for row in engine.rows(tmp_path) if key in row]
        seen = [(event.step, event.value) for event in events.Scalars(key)]
        assert [step for step, _ in seen] == [step for step, _ in logged]
        assert [value for _, value in seen] == pytest.approx([value for _, value in logged], rel=1e-6)
