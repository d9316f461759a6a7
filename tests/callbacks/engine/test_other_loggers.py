"""W&B, read back from its offline file, and TensorBoard."""

from __future__ import annotations

import os
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

from lsgen.callbacks import Samples, TensorBoardLogger, WandbLabels, WandbLogger, problems_of

LABELS: dict[str, Any] = {"name": "n", "group": "g", "job_type": "vae", "tags": ["a", "b"]}
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

    first = WandbLogger(tmp_path, "p", config=CONFIG, labels=WandbLabels(**LABELS))
    with pytest.raises(SystemExit):
        engine.fit(tmp_path, extra=[engine.Send(signal.SIGTERM, "on_train_batch_end", 33)], loggers=[first])
    other = wandb.init(mode="offline", dir=tmp_path / "other", id="other", settings={"console": "off", "silent": True})
    second = WandbLogger(tmp_path, "p", config=CONFIG, labels=WandbLabels(**LABELS))
    engine.fit(tmp_path, resume=True, loggers=[second])
    assert wandb.run is other
    other.finish()
    assert second.version == first.version == (tmp_path / "wandb" / "run_id").read_text().strip()
    second.close()
    run = read_wandb(tmp_path)
    assert run.id == second.version
    assert {key: getattr(run, key) for key in LABELS} == LABELS
    assert run.project == "p"
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


@pytest.mark.slow
def test_wandb_stays_in_the_run_directory_and_outlives_its_process(
    tmp_path: Path, read_wandb: Callable[[Path], Any]
) -> None:
    """Below the home directory nothing appears; W&B's process is killed, which is told, and every row is there."""
    script = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import wandb
from lsgen.callbacks import WandbLogger
logger = WandbLogger(sys.argv[1])
logger.log_metrics({"x": 1.0, "table": wandb.Table(columns=["a"], data=[[1]])}, 1)
logger.log_metrics({"image": wandb.Image(np.zeros((8, 8, 3), np.uint8)), "h": wandb.Histogram([1, 2])}, 2)
time.sleep(2)
for process in Path("/proc").glob("[0-9]*"):
    try:
        command = (process / "cmdline").read_text()
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        continue
    if "wandb-core" in command and int(parent) == os.getpid():
        os.kill(int(process.name), signal.SIGKILL)
time.sleep(0.2)
for step in range(3, 9):
    logger.log_metrics({"x": float(step)}, step)
logger.close()
"""
    home, run_dir = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "XDG_"))}
    environment |= {"HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    command = [sys.executable, "-c", script, str(run_dir)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "run", "matplotlib"}
    assert "WandbLogger failed: W&B's own process has ended, a new one continues the run" in done.stderr
    run = read_wandb(run_dir)
    assert [row["step"] for row in run.history] == list(range(1, 9))
    assert len(run.segments) == 2


@pytest.mark.slow
def test_training_goes_on_where_wandb_cannot_open_a_run(
    engine: ModuleType, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, nothing tries again, and the run is that of every other; what W&B refuses ends the run."""
    import wandb

    tried: list[Exception] = []
    real = wandb.init

    def init(error: Exception) -> Callable[..., Any]:
        def fail(**options: Any) -> Any:
            if options["mode"] == "disabled":
                return real(**options)
            tried.append(error)
            raise error

        return fail

    monkeypatch.setattr(wandb, "init", init(wandb.errors.CommError("the server does not answer")))
    trainer = engine.fit(tmp_path, loggers=[WandbLogger(tmp_path)], extra=[Samples(every_n_steps=30, n=2)])
    [problem] = problems_of(trainer)
    assert (problem.who, problem.first_step, problem.count, len(tried)) == ("WandbLogger", 0, 1, 1)
    assert problem.what.endswith("W&B has no run to log to: CommError: the server does not answer")
    assert engine.differences(engine.load(reference)["state_dict"], engine.load(tmp_path)["state_dict"]) == []

    monkeypatch.setattr(wandb, "init", init(wandb.errors.UsageError("a tag is too long")))
    with pytest.raises(wandb.errors.UsageError, match="a tag is too long"):
        engine.fit(tmp_path / "refused", loggers=[WandbLogger(tmp_path / "refused")])


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
