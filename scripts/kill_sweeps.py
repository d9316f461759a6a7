"""Kill launchers and jobs of sweeps with SIGKILL at random moments, launch again, and count what was lost.

    python scripts/kill_sweeps.py [ROUNDS]     20 rounds unless given

Each round launches a sweep of two jobs with the joblib launcher, and kills the launcher or the process of a job after a
random time. Then the same sweep is launched until all jobs are done, and everything is held against a sweep that was
left alone: every job there once, none run twice after it was done, weights and logged rows equal bit for bit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import torch

from lsgen.callbacks import read_checkpoint
from lsgen.runs import RunError, Sweep

LSGEN = (sys.executable, "-m", "lsgen.cli")
SWEEP = (
    "experiment=vae_digits",
    "callbacks=engine",
    "logger=csv",
    "report=false",
    "test=false",
    "model.max_steps=60",
    "trainer.log_every_n_steps=1",
    "callbacks.checkpoint.every_n_steps=10",
    "seed=0,1",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
)
ENVIRONMENT = {**os.environ, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}


def command(place: Path) -> list[str]:
    return [*LSGEN, "train", "-m", *SWEEP, f"sweep_dir={place}"]


def jobs_at_work(place: Path) -> list[int]:
    """Return the processes that hold the lock of a job's run."""
    with suppress(RunError):
        sweep = Sweep.open(place)
        runs = [sweep.run(job) for job in sweep.jobs]
        return [run.status()["pid"] for run in runs if run.status()["state"] == "running" and run.is_locked()]
    return []


def disturb(place: Path, longest: float) -> str:
    """Launch, kill something after a random time, wait for what is left, and return what was killed."""
    launcher = subprocess.Popen(command(place), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if random.random() < 0.5:
        while not (victims := jobs_at_work(place)) and launcher.poll() is None:
            time.sleep(0.05)
        time.sleep(random.uniform(0, longest / 2))
        if victims := jobs_at_work(place):
            with suppress(ProcessLookupError):
                os.kill(random.choice(victims), signal.SIGKILL)
            launcher.wait()
            return "job"
    else:
        time.sleep(random.uniform(0.1, longest))
    launcher.kill()
    launcher.wait()
    return "launcher"


def finish(place: Path) -> int:
    """Launch again until all jobs are done, and return how many launches it took."""
    for launches in range(1, 6):
        while jobs_at_work(place):  # jobs outlive their launcher
            time.sleep(0.2)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command(place), env=ENVIRONMENT, check=False, **quiet)
        if all(state == "done" for state in Sweep.open(place).states()):
            return launches
    return 0


def faults(place: Path, undisturbed: Path) -> list[str]:
    """Return what differs from the sweep that was left alone."""
    found, sweep, other = [], Sweep.open(place), Sweep.open(undisturbed)
    if [job.overrides for job in sweep.jobs] != [job.overrides for job in other.jobs]:
        return ["the jobs differ"]
    if len(list(place.glob("0*"))) != len(sweep.jobs):
        found.append("there are run directories that no job has")
    for job in sweep.jobs:
        mine, theirs = sweep.run(job), other.run(other.jobs[job.number])
        if mine.status()["state"] != "finished":
            found.append(f"job {job.number} is not done")
            continue
        first, second = (read_checkpoint(run.checkpoint())["state_dict"] for run in (mine, theirs))
        if any(not torch.equal(first[name], second[name]) for name in second):
            found.append(f"the weights of job {job.number} differ")
        steps = [[line.split(",")[0] for line in run.metrics_file.read_text().splitlines()] for run in (mine, theirs)]
        if steps[0] != steps[1]:
            found.append(f"the logged steps of job {job.number} differ")
    return found


def main() -> int:
    """Print a line for every round and the count; return the number of rounds that lost something."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    lost, killed = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        start = time.monotonic()
        subprocess.run(command(undisturbed), env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
        longest = time.monotonic() - start
        for number in range(1, rounds + 1):
            place = Path(folder) / f"round{number:02d}"
            what = disturb(place, longest)
            launches = finish(place)
            wrong = faults(place, undisturbed) if launches else ["the sweep does not finish"]
            killed[what] += 1
            lost += bool(wrong)
            said = "; ".join(wrong) or "nothing lost"
            print(f"{number:3d}  killed the {what:<8}  launched again {launches}x  {said}", flush=True)
    print(f"{rounds} kills ({', '.join(f'{n} of a {what}' for what, n in killed.items())}): {lost} lost something")
    return lost


if __name__ == "__main__":
    sys.exit(main())
