"""Diffusion models: training against a bare loop of the same denoiser and loss, samplers against their forward passes.

Both sides alternate within one process, and a row gives the median over the rounds. Training goes through the whole
engine, see `bench_engine`, with a moving average of the denoiser; the bare loop draws times, mixes noise in, and takes
a step of Adam, with the same moving average.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from lsgen.geometry import Immersion, metric
from lsgen.models.diffusion import Denoiser, Diffusion, LinearLogSNR, MixtureDenoiser, log_likelihood
from lsgen.models.diffusion.samplers import DDIM, DPMSolver, Heun, Sampler
from lsgen.nn import MLPDenoiser, UNet

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_engine import RandomImages, engine_step
from bench_geometry import alone, fastest

ROUNDS = 5


def bare_step(model: Diffusion, data: RandomImages, steps: int, warm: int) -> float:
    """Return the seconds of a training step in a loop of a few lines."""
    denoiser, averaged = model.denoiser, deepcopy(model.denoiser).requires_grad_(False)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=1e-3, fused=True)
    images, size, started = data.source.tensors["x"], data.batch_size, 0.0
    place = (-1, *[1] * (images.ndim - 1))
    order, at = torch.randperm(len(images)), 0
    denoiser.train()
    for step in range(warm + steps):
        if step == warm:
            started = perf_counter()
        if at + size > len(images):
            order, at = torch.randperm(len(images)), 0
        x = images[order[at : at + size]].float()
        at += size
        l = 20 * torch.rand(size) - 10
        alpha, sigma = l.sigmoid().sqrt().view(place), (-l).sigmoid().sqrt().view(place)
        optimizer.zero_grad()
        error = (x - denoiser(alpha * x + sigma * torch.randn_like(x), l)).flatten(1).square().sum(1)
        (10 * l.exp() * error).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(averaged.parameters(), denoiser.parameters(), strict=True):
                old.lerp_(new, 1 / (step + 1))
    return (perf_counter() - started) / steps


def training(name: str, build: Callable[[], Diffusion], batch: int, steps: int) -> dict[str, Any]:
    """Return the row of a model."""
    data = RandomImages((1, 28, 28), 40 * batch, batch)
    found = [[way(build(), data, steps, steps // 4) for way in (bare_step, _engine)] for _ in range(ROUNDS)]
    bare, engine = (statistics.median(seconds) for seconds in zip(*found, strict=True))
    note = f"{1e3 * engine:.2f} ms a step"
    return _row(f"training, {name}", "bare loop", bare / engine, "at least 0.9", bare / engine >= 0.9, note)


def _engine(model: Diffusion, data: RandomImages, steps: int, warm: int) -> float:
    return engine_step(model, data, steps, warm, averaging=True)


@torch.no_grad()
def sampling(name: str, denoiser: Denoiser, sampler: Sampler, asks: int, n: int) -> dict[str, Any]:
    """Return the row of a sampler that asks the denoiser so often."""
    noise, level = torch.randn(n, *denoiser.shape), torch.zeros(n)
    denoiser.eval()
    ratios: list[float] = []
    for _ in range(ROUNDS + 1):
        passes = _seconds(lambda: [denoiser(noise, level) for _ in range(asks)])
        ratios.append(_seconds(lambda: sampler(denoiser, denoiser.path, noise)) / passes)
    ratio = statistics.median(ratios[1:])
    return _row(
        f"sampling, {name}, {type(sampler).__name__}", f"{asks} forward passes", ratio, "at most 1.1", ratio <= 1.1
    )


def noise_metric(name: str, denoiser: Denoiser, k: int, batch: int, target: float | None) -> dict[str, Any]:
    """Return the row of the metric of a slice of noise through 20 steps, against its folded forward passes.

    The bound decodes as many codes as there are codes and directions together, batch (k + 1).
    """
    whole = Diffusion(denoiser, sampler=DDIM(20)).latent_space.eval()
    basis = torch.linalg.qr(torch.randn(whole.dim, k))[0].T
    net = whole.decoder
    im, a = Immersion(net, whole.dim).restrict(torch.zeros(whole.dim), basis), torch.randn(batch, k)
    wide = (a @ basis).repeat(k + 1, 1)
    with torch.no_grad():
        bound, ours = fastest(lambda: net(wide), lambda: metric(im, a))
        one, its = alone(lambda: net(wide), lambda: metric(im, a))
    ratio = its / one
    aim = "reported" if target is None else f"at most {target:g}"
    note = f"CPU time of one thread; on the clock {ours / bound:.2f}"
    work = f"metric through DDIM of 20 steps, {name}, {k} of {whole.dim} dimensions, batch {batch}"
    return _row(work, f"{k + 1} folded passes", ratio, aim, target is None or ratio <= target, note)


def likelihood() -> dict[str, Any]:
    """Return the row of the exact likelihood of 100 points of a mixture on the line."""
    path = LinearLogSNR()
    mixture = MixtureDenoiser(path, torch.tensor([[-2.5], [0.5], [2.5]]).double(), 0.75, [0.275, 0.45, 0.275])
    x = torch.linspace(-4, 4, 100, dtype=torch.float64)[:, None]
    seconds = _seconds(lambda: log_likelihood(mixture, path, x, 1e-9, 1e-9))
    return _row(
        "likelihood of 100 points, rtol 1e-9", "5 s", seconds / 5, "at most 1", seconds <= 5, f"{seconds:.2f} s"
    )


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _row(work: str, peer: str, ratio: float, target: str, met: bool, note: str = "") -> dict[str, Any]:
    return {"work": work, "bound_or_peer": peer, "ratio": ratio, "target": target, "met": met, "note": note}


def _unet() -> Diffusion:
    return Diffusion(Denoiser(UNet((1, 28, 28), channels=(32, 64, 64)), LinearLogSNR()))


def _mlp() -> Diffusion:
    return Diffusion(Denoiser(MLPDenoiser((1, 28, 28)), LinearLogSNR()))


def rows() -> list[dict[str, Any]]:
    """Measure."""
    found = [
        training("U-Net, batch 32", _unet, 32, 8),
        training("MLP, batch 512", _mlp, 512, 40),
    ]
    for name, build, n in (("U-Net", _unet, 32), ("MLP", _mlp, 512)):
        for sampler, asks in ((DDIM(20), 20), (DPMSolver(20), 20), (Heun(10, denoise_last=False), 20)):
            found.append(sampling(name, build().denoiser, sampler, asks, n))
    for name, denoiser, k, batch, target in (
        ("MLP", Denoiser(MLPDenoiser((1, 8, 8)), LinearLogSNR()), 4, 64, 1.3),
        ("U-Net", Denoiser(UNet((1, 8, 8), channels=(16, 32)), LinearLogSNR()), 4, 16, None),
    ):
        found.append(noise_metric(name, denoiser, k, batch, target))
    return [*found, likelihood()]
