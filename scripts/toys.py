"""Train the toy GANs over several seeds and tell the modes reached and the share of good samples.

python scripts/toys.py [EXPERIMENT ...] [--seeds N]; exit status 1 where a seed misses modes or 90 % good.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from rich.console import Console
from rich.table import Table

TOYS = {"wgan_gp_ring8": (8, 8), "sngan_ring8": (8, 8), "wgan_gp_grid25": (24, 25), "sngan_grid25": (24, 25)}


def train(experiment: str, seed: int, run_dir: Path) -> tuple[int, float]:
    """Train on one thread; return the modes reached and the share of good samples at the end."""
    command = [str(Path(sys.executable).with_name("lsgen")), "train", f"experiment={experiment}", f"seed={seed}"]
    options = [f"run_dir={run_dir}", "logger=csv", "report=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *options], env=environment, check=True, capture_output=True)
    with (run_dir / "metrics.csv").open(newline="") as file:
        last = [row for row in csv.DictReader(file) if row["sample/quality/good"]][-1]
    return int(float(last["sample/quality/modes"])), float(last["sample/quality/good"])


def row(experiment: str, seeds: int) -> tuple[bool, list[str]]:
    """Return whether every seed reaches the target, and the cells of the experiment."""
    wanted, modes = TOYS[experiment]
    before = getrusage(RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as folder:
        found = [train(experiment, seed, Path(folder) / str(seed)) for seed in range(seeds)]
    minutes = (getrusage(RUSAGE_CHILDREN).ru_utime - before) / 60 / seeds
    met = all(reached >= wanted and good >= 0.9 for reached, good in found)
    reached = ", ".join(str(count) for count, _ in found)
    good = ", ".join(f"{share:.1%}" for _, share in found)
    return met, [experiment, f"{reached} of {modes}", good, f"{minutes:.1f}", "yes" if met else "[red]no"]


def main() -> int:
    """Train and print one row an experiment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"any of {', '.join(TOYS)}; all by default"
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    arguments = parser.parse_args()
    if unknown := set(arguments.experiments) - set(TOYS):
        parser.error(f"expected experiments among {', '.join(TOYS)}, got {', '.join(sorted(unknown))}")
    results = [row(experiment, arguments.seeds) for experiment in arguments.experiments or TOYS]
    table = Table("experiment", "modes", "good samples", "minutes of a core each", "met")
    for _, cells in results:
        table.add_row(*cells)
    Console(width=120).print(table)
    return int(not all(met for met, _ in results))


if __name__ == "__main__":
    sys.exit(main())
