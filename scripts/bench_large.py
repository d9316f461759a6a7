"""A convolutional decoder of a latent of dimension 512: the metric as an operator against its dense matrix.

Accuracy is judged in float32 against the dense matrix, accumulated in float64. Peak memory is that of the resident set
above what it was before the first call. The error bar's coverage is counted over 100 runs, each with its own probes.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import nn

from lsgen.geometry import Immersion, geodesic, immersion, metric
from lsgen.geometry.large import MetricOperator, large_geodesic, log_volume_estimate, top_spectrum
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli

DIM, RUNS, K, PROBES, PAIRS, POINTS = 512, 100, 10, 16, 1, 9


STATUS, SWITCH = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def decoder() -> nn.Module:
    """Codes (N, 512) -> logits (N, 3, 64, 64); latent units matter from 1 down to 1/10, as after training."""
    channels = [128, 64, 32, 16, 3]
    layers: list[nn.Module] = [nn.Linear(DIM, 2048), nn.Unflatten(1, (128, 4, 4))]
    for narrow, wide in zip(channels[1:], channels[:-1], strict=True):
        layers += [nn.SiLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1)]
    layers[0].weight = nn.Parameter(layers[0].weight * torch.logspace(0, -1, DIM))  # type: ignore[operator]
    return nn.Sequential(*layers).requires_grad_(False)


def peak(call: Callable[[], Any], above: float) -> tuple[Any, float, float]:
    """Return the result of a call, its CPU seconds, and its peak resident set in MB above a given one (NaN if unknown).

    What earlier calls freed and the allocator kept counts too, so that small calls go first.
    """
    if SWITCH.exists():
        SWITCH.write_text("5")
    start = process_time()
    result = call()
    seconds = process_time() - start
    return result, seconds, resident("VmHWM") - above


def resident(field: str) -> float:
    """Return the resident set (VmRSS) or its peak (VmHWM) in MB, NaN where the system does not tell."""
    return _kilobytes(STATUS, field) / 1024 if SWITCH.exists() else float("nan")


def _kilobytes(status: Path, field: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def rows() -> list[dict[str, Any]]:
    """Measure eigenvalues, the coverage of the volume's error bars, geodesics, and the memory of each."""
    torch.manual_seed(0)
    net, z = decoder(), torch.randn(1, DIM)
    im, precise = geometry(net), geometry(deepcopy(net).double())
    MetricOperator(im, z)(z)
    base, a, b = resident("VmRSS"), *torch.randn(2, PAIRS, DIM)
    found, one_time, one_peak = peak(lambda: log_volume_estimate(im, z, probes=PROBES), base)
    top, top_time, top_peak = peak(lambda: top_spectrum(im, z, K), base)
    free, free_time, free_peak = peak(lambda: large_geodesic(im, a, b, POINTS), base)
    _, dense_time, dense_peak = peak(lambda: metric(im, z), base)
    blocks, blocks_time, blocks_peak = peak(lambda: geodesic(im, a, b, POINTS), base)
    exact = torch.linalg.eigvalsh(MetricOperator(precise, z.double()).dense()[0]).flip(-1)
    error = ((top.eigenvalues[0].double() - exact[:K]) / exact[:K]).abs().max().item()
    dense = f"dense: {dense_time:.2f} s of CPU, peak {dense_peak:.0f} MB; condition {exact[0] / exact[-1]:.3g}"
    half = exact.log().sum().item() / 2
    covered = sum(_covers(im, z, half) for _ in range(RUNS))
    return [
        {
            "work": f"{K} largest eigenvalues, conv decoder, d = {DIM}, largest relative error",
            "bound_or_peer": "dense matrix in float64",
            "ratio": error,
            "target": "<= 1e-3",
            "met": error <= 1e-3 and bool(top.converged.all()),
            "note": f"{top_time:.2f} s of CPU, peak {top_peak:.0f} MB; {dense}",
        },
        {
            "work": f"log-volume, d = {DIM}, {PROBES} probes: runs of {RUNS} that 95 % error bars cover",
            "bound_or_peer": "dense matrix in float64",
            "ratio": covered,
            "target": ">= 90",
            "met": covered >= 90,
            "note": f"{one_time:.2f} s of CPU, peak {one_peak:.0f} MB, {found.steps} steps; "
            f"{found.value.item():.1f} +- {found.error.item():.1f} nats, exact {half:.1f}",
        },
        {
            "work": f"geodesics of {POINTS} points, conv decoder, d = {DIM}: CPU time",
            "bound_or_peer": "the solver with d x d blocks",
            "ratio": free_time / blocks_time,
            "target": "same energy to 1e-4, less memory",
            "met": bool(free.converged.all() & (free.energy <= 1.0001 * blocks.energy).all())
            and free_peak < blocks_peak,
            "note": f"{free_time:.1f} s, peak {free_peak:.0f} MB, {free.iterations} iterations, largest residual "
            f"{free.residual.max():.1e}; with blocks {blocks_time:.1f} s, peak {blocks_peak:.0f} MB",
        },
    ]


def geometry(net: nn.Module) -> Immersion:
    """Return the Fisher immersion of a decoder of Bernoulli pixels."""
    return immersion(LatentSpace(net, Bernoulli((3, 64, 64)), StandardNormal(DIM)))


def _covers(im: Immersion, z: torch.Tensor, exact: float) -> bool:
    found = log_volume_estimate(im, z, probes=PROBES)
    return bool((found.value - exact).abs() <= found.error)
