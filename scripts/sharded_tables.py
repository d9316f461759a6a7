"""What tables of word vectors that are shared out among processes would send in a step: a simulation, nothing is sent.

    python scripts/sharded_tables.py [--words V] [--dim d] [--batch N] [--gigabytes B] [--rate W]

Row i of both tables belongs to process i mod P. A step of a process draws N words from Zipf's law with their negatives,
asks the owners for the distinct rows of its own step that are not its own, and sends back their gradients:

    bytes = (1 - 1/P) (rows of codes + rows of contexts) (2 * 4 d + 8),

each row there and back in single precision and its number once. A copy of both tables in every process would instead
have its gradients averaged, 2 (1 - 1/P) 2 * 4 V d bytes in a ring, dense, or 4 d + 8 bytes for every distinct row of
all other processes if they are sent as they are. Times are bytes over the bandwidth of a process, beside the time in
which it trains its words; that both overlap is not assumed.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

NEGATIVES, POWER, DRAWS = 5, 0.75, 5


class Step(NamedTuple):
    """Bytes that one process receives and sends in a step, by scheme, and the words per second of all of them."""

    processes: int
    rows: float
    sharded: float
    gathered: float
    averaged: float
    speed: float
    speed_gathered: float


def distinct_rows(words: int, batch: int, seed: int) -> float:
    """Return the number of distinct rows of both tables that the words of a step and their negatives touch."""
    rng = np.random.default_rng(seed)
    p = 1 / (np.arange(words) + 2.7)
    cumulative, noise = (np.cumsum(weights) / weights.sum() for weights in (p, p**POWER))
    seen = np.unique(np.searchsorted(cumulative, rng.random(batch)))
    drawn = np.searchsorted(noise, rng.random(batch * NEGATIVES))
    return len(seen) + len(np.unique(np.concatenate([seen, drawn])))


def simulate(words: int, dim: int, batch: int, bandwidth: float, rate: float) -> list[Step]:
    """Return the steps of 1, 2, 4, ... 32 processes.

    Args:
        words: number V of words.
        dim: dimension d.
        batch: words in a step of a process.
        bandwidth: bytes per second of a process.
        rate: words per second that a process trains.

    """
    rows = float(np.mean([distinct_rows(words, batch, seed) for seed in range(DRAWS)]))
    found = []
    for processes in (1, 2, 4, 8, 16, 32):
        others = 1 - 1 / processes
        sharded = others * rows * (8 * dim + 8)
        gathered = (processes - 1) * rows * (4 * dim + 8)
        averaged = 2 * others * 8 * words * dim
        speed, slower = (processes * batch / (batch / rate + sent / bandwidth) for sent in (sharded, gathered))
        found.append(Step(processes, rows, sharded, gathered, averaged, speed, slower))
    return found


def main() -> None:
    """Print a table of the numbers of processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--gigabytes", type=float, default=1.25, help="a second, of a process")
    parser.add_argument("--rate", type=float, default=5e5, help="words a second that a process trains")
    given = parser.parse_args()
    table = Table("processes", "MB a step, sharded", "sparse gradients", "dense gradients", "M words/s", "if sparse")
    for step in simulate(given.words, given.dim, given.batch, given.gigabytes * 1e9, given.rate):
        sizes = (f"{size / 1e6:,.1f}" for size in (step.sharded, step.gathered, step.averaged))
        table.add_row(str(step.processes), *sizes, f"{step.speed / 1e6:.2f}", f"{step.speed_gathered / 1e6:.2f}")
    console = Console()
    console.print(table)
    memory = 8 * given.words * given.dim
    console.print(f"{step.rows:,.0f} distinct rows a step; tables of {memory / 1e9:.2f} GB, 1/P of them a process")


if __name__ == "__main__":
    main()
