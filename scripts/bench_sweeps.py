"""What sweeps cost: freezing and submitting jobs, the way to the first step, collecting, saving at preemption.

Two rows need a running SLURM (scripts/slurm_local up, and SLURM_CONF in the environment) and are left out without one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lsgen.runs import RunDirectory, Sweep

LSGEN = (sys.executable, "-m", "lsgen.cli")
NO_OP = ("experiment=vae_digits", "callbacks=engine", "logger=csv", "report=false", "test=false")
SMALL = (*NO_OP, "model.max_steps=2", "trainer.log_every_n_steps=1")
IMPORTS = "import torch, pytorch_lightning, torchmetrics, wandb"
PARAMETERS = 10_000_000


def rows() -> list[dict[str, Any]]:
    """Return one row a measurement."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = [*_slurm_rows(place)] if _has_slurm() else []
        return [*found, *_table_rows(place), _checkpoint_row(place)]


def _row(work: str, bound: str, seconds: float, target: float, note: str = "") -> dict[str, Any]:
    return {
        "work": work,
        "bound_or_peer": bound,
        "ratio": seconds,
        "target": f"<= {target:g}",
        "met": seconds <= target,
        "note": note,
    }


def _has_slurm() -> bool:
    if shutil.which("sinfo") and subprocess.run(["sinfo", "-h"], capture_output=True, check=False).returncode == 0:
        return True
    print("no SLURM answers: its rows are left out (scripts/slurm_local up)", file=sys.stderr)
    return False


def _run(*command: str) -> tuple[float, str]:
    start = time.perf_counter()
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return time.perf_counter() - start, done.stdout


def _slurm_rows(place: Path) -> list[dict[str, Any]]:
    blocker = _run("sbatch", "--parsable", "-N2", "--exclusive", "-o/dev/null", "--wrap=sleep 600")[1].strip()
    many = ("hydra/launcher=slurm", f"sweep_dir={place / 'many'}", "seed=range(0,200)")
    submit, _ = _run(*LSGEN, "train", "-m", *SMALL, *many)
    _run(*LSGEN, "sweep", "cancel", str(place / "many"))
    _run("scancel", blocker)
    imports = min(_run(sys.executable, "-c", IMPORTS)[0] for _ in range(2))
    start = time.time()
    _run(*LSGEN, "train", "-m", *SMALL, "hydra/launcher=slurm", f"sweep_dir={place / 'one'}", "--wait")
    sweep = Sweep.open(place / "one")
    first = sweep.run(sweep.jobs[0]).metrics_file.stat().st_mtime - start
    return [
        _row("200 jobs frozen and submitted in one array", "seconds, the command as a whole", submit, 10),
        _row(
            "one job from the command to its first steps on SLURM",
            f"seconds, less the imports of the job ({imports:.1f} s)",
            first - imports,
            3,
        ),
    ]


def _table_rows(place: Path) -> list[dict[str, Any]]:
    """Collect 2,000 run directories that hold what real ones do."""
    _run(*LSGEN, "train", *SMALL, f"run_dir={place / 'model'}")
    model = RunDirectory(place / "model")
    config, origin, metrics = model.config(), model.provenance(), model.metrics_file.read_text()
    sweep = Sweep.create(place / "collected")
    for number in range(2000):
        job = sweep.add([f"model.prior.dim={number // 5}", f"seed={number % 5}"], run=f"{number:04d}", code="x")
        config["seed"], config["model"]["prior"]["dim"] = number % 5, number // 5
        run = RunDirectory.create(sweep.path / job.run, config, origin)
        run.metrics_file.write_text(metrics)
        run.set_status("finished")
    sweep.save()
    command = (*LSGEN, "table", str(sweep.path), "--format", "csv")
    cold, warm = _run(*command)[0], min(_run(*command)[0] for _ in range(2))
    return [
        _row("lsgen table over 2,000 runs, no index yet", "seconds", cold, 30),
        _row("lsgen table over 2,000 runs, again", "seconds", warm, 5),
    ]


def _checkpoint_row(place: Path) -> dict[str, Any]:
    """Return how long SIGTERM takes to become a checkpoint of 10 M parameters, moments of Adam included."""
    import signal

    width = int((PARAMETERS / 2) ** 0.5)  # two square layers hold nearly all of them
    run = place / "large"
    large = (f"model.encoder.hidden=[{width},{width}]", f"model.decoder.hidden=[{width},{width}]")
    options = (*NO_OP, *large, "model.max_steps=100000", "trainer.log_every_n_steps=1", f"run_dir={run}")
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    process = subprocess.Popen([*LSGEN, "train", *options], stdout=subprocess.DEVNULL, env=environment)
    try:
        while not (run / "metrics.csv").exists() or (run / "metrics.csv").read_text().count("\n") < 4:
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was interrupted")
            time.sleep(0.05)
        start = time.time()
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    finally:
        process.kill()
    file = run / "checkpoints" / "last.ckpt"
    size = file.stat().st_size / 1e6
    return _row(
        "SIGTERM to a checkpoint of 10 M parameters", "seconds", file.stat().st_mtime - start, 5, f"{size:.0f} MB"
    )


if __name__ == "__main__":
    for row in rows():
        print(row)
