"""Disentanglement metrics on 10,000 codes of 10 dimensions and 5 factors, against the reference algorithms.

The reference is the one that the tests hold the scores to: numpy, scipy and scikit-learn, with the settings of
Locatello et al. (2019), on the same codes. Boosted trees grow ROUNDS of the customary 100 rounds on both sides; their
time is proportional to the number of rounds. The target is held by all metrics together; a row gives the seconds of
both.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.factors.sprites import factors_of
from lsgen.metrics.disentanglement import (
    DCI,
    IRS,
    SAP,
    BetaVAEScore,
    DisentanglementMetric,
    Explicitness,
    FactorVAEScore,
    Modularity,
    MutualInformationGap,
)
from lsgen.metrics.disentanglement.base import split_indices

ROUNDS = 10
TARGET = 5.0


def reference() -> ModuleType:
    """Import the reference algorithms from the tests."""
    path = Path(__file__).resolve().parent.parent / "tests" / "metrics" / "disentanglement" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def codes_and_factors(n: int = 10_000, d: int = 10) -> tuple[Tensor, Tensor]:
    """Return codes that know something of every factor, and factors drawn from the grid of the sprites."""
    generator = torch.Generator().manual_seed(0)
    factors = factors_of(torch.randint(737_280, (n,), generator=generator))
    v = factors.double()
    v = (v - v.mean(0)) / v.std(0)
    weights = torch.randn(5, d, generator=generator, dtype=torch.float64)
    return v @ weights + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64), factors


def pairs(codes: Tensor, factors: Tensor) -> dict[str, tuple[DisentanglementMetric, Callable[[], Any]]]:
    """Return our metric and the reference algorithm, by name."""
    peer = reference()
    z, v = codes.numpy(), factors.numpy()
    train, test = (part.numpy() for part in split_indices(len(z), 1 / 3, 0, codes.device))
    return {
        "MIG": (MutualInformationGap(), lambda: peer.mig(z, v)),
        "modularity": (Modularity(), lambda: peer.modularity(z, v)),
        "IRS": (IRS(), lambda: peer.irs(z, v)),
        "SAP": (SAP(), lambda: peer.sap(z, v, train, test)),
        "FactorVAE score": (FactorVAEScore(), lambda: peer.factor_vae(z, v, np.random.default_rng(0))),
        "beta-VAE score": (BetaVAEScore(), lambda: peer.beta_vae(z, v, np.random.default_rng(0))),
        "explicitness": (Explicitness(), lambda: peer.explicitness(z, v, train, test)),
        f"DCI, {ROUNDS} rounds": (
            DCI(rounds=ROUNDS),
            lambda: peer.boosted_importance(z, v, train, n_estimators=ROUNDS),
        ),
    }


def seconds(work: Callable[[], Any], repeats: int = 1) -> float:
    """Return the shortest time of a call."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def rows() -> list[dict[str, Any]]:
    """Return one row for each metric and one for all."""
    codes, factors = codes_and_factors()
    table, ours_total, peer_total = [], 0.0, 0.0
    for name, (metric, peer) in pairs(codes, factors).items():
        metric.update(codes, factors)
        ours = seconds(lambda metric=metric: metric.score(codes, factors), repeats=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = seconds(peer)
        ours_total, peer_total = ours_total + ours, peer_total + theirs
        table.append(row(name, ours, theirs, "-", True))
    met = peer_total / ours_total >= TARGET
    return [*table, row("all of them", ours_total, peer_total, f">= {TARGET:g}", met)]


def row(work: str, ours: float, theirs: float, target: str, met: bool) -> dict[str, Any]:
    """Return one row of the table."""
    return {
        "work": f"{work}, 10,000 codes x 5 factors",
        "bound_or_peer": "reference algorithm",
        "ratio": theirs / ours,
        "target": target,
        "met": met,
        "note": f"{ours:.2f} s, reference {theirs:.2f} s",
    }


if __name__ == "__main__":
    for entry in rows():
        print(entry)
