"""The Fisher metric of p(context | v) over 30,000 contexts, and its curvature, against the products that they need.

The bound of the metric is one product of matrices (d, V) and (V, d); that of connection and scalar curvature are the
products of (d - i, V) and (V, d) for every i, d(d+1)/2 rows in all. At one code, in float32, CPU time of one thread,
the best of three. Peak memory is that of the resident set above what it was before; the vectors are 4 V d bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry import HessianMetric, christoffel, metric, scalar_curvature
from lsgen.geometry.information import LogPartitionPotential

V, DIMS, REPEATS = 30_000, (50, 100), 3
TARGETS = {"metric": 10.0, "Christoffel symbols": 5.0, "scalar curvature": 5.0}
STATUS, SWITCH = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def seconds(call: Callable[[], Any]) -> float:
    """Return the least CPU time of a few calls."""
    times = []
    for _ in range(REPEATS):
        start = process_time()
        call()
        times.append(process_time() - start)
    return min(times)


def megabytes(call: Callable[[], Any]) -> float:
    """Return the peak of the resident set during a call above what it was, in MB; NaN where it is not told."""
    if not SWITCH.exists():
        return float("nan")
    SWITCH.write_text("5")
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(field: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def products(x: Tensor) -> None:
    """Make the products that third derivatives need."""
    for i in range(x.shape[1]):
        x[:, i:].mT @ x


def rows() -> list[dict[str, Any]]:
    """Measure metric, connection and curvature for 50 and 100 dimensions."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found = []
    for d in DIMS:
        weight, bias = 0.3 * torch.randn(V, d), -torch.arange(1, V + 1).log()
        im, z, x = (
            HessianMetric(LogPartitionPotential(weight, bias), d, definite=True),
            torch.randn(1, d),
            torch.randn(V, d),
        )
        bounds = {"metric": seconds(lambda x=x: x.mT @ x)}
        bounds |= dict.fromkeys(("Christoffel symbols", "scalar curvature"), seconds(lambda x=x: products(x)))
        works = {"metric": metric, "Christoffel symbols": christoffel, "scalar curvature": scalar_curvature}
        for name, work in works.items():
            call = lambda work=work, im=im, z=z: work(im, z)
            peak, took = megabytes(call), seconds(call)
            found.append(
                {
                    "work": f"{name}, V = {V:,}, d = {d}",
                    "bound_or_peer": f"products of matrices, {1000 * bounds[name]:.0f} ms",
                    "ratio": took / bounds[name],
                    "target": f"<= {TARGETS[name]:g}",
                    "met": took <= TARGETS[name] * bounds[name],
                    "note": f"{1000 * took:.0f} ms a code, {peak:.0f} MB above {4 * V * d / 2**20:.0f} MB of vectors",
                }
            )
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)
