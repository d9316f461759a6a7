"""What importance weighting costs: the IWAE bound against its samples taken as a batch, and the evidence in chunks.

The bound with k samples decodes k codes for every observation, as an ELBO of a batch k times as large does, which also
encodes every observation k times. CPU time of one thread. The memory of the evidence is the rise of the resident set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import torch
from torch.nn import SiLU

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.metrics import log_evidence
from lsgen.models.vae import ELBO, IWAE
from lsgen.models.vae.objective import Objective
from lsgen.nn import MLPDecoder, MLPEncoder

SHAPE, DIM, BATCH, K = (1, 28, 28), 40, 20, 50
SAMPLES = 5000
STATUS, SWITCH = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def space() -> EncodableLatentSpace:
    """Return the networks that NLLs on MNIST are customarily stated for, with two hidden layers."""
    torch.manual_seed(0)
    encoder = MLPEncoder(SHAPE, DIM, hidden=[200, 200], activation=SiLU)
    decoder = MLPDecoder(DIM, SHAPE, hidden=[200, 200], activation=SiLU)
    return EncodableLatentSpace(encoder, decoder, Bernoulli(SHAPE), StandardNormal(DIM))


def backward(model: EncodableLatentSpace, objective: Objective, x: torch.Tensor) -> None:
    """Take one forward and one backward pass."""
    model.zero_grad()
    objective(model, {"x": x}, 0).loss.backward()


def fastest(*calls: Callable[[], Any], rounds: int = 15) -> list[float]:
    """Return the least CPU time of each call, taken in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, record in zip(calls, times, strict=True):
            start = thread_time()
            call()
            record.append(thread_time() - start)
    return [min(record) for record in times]


def megabytes(call: Callable[[], Any]) -> float:
    """Return the rise of the resident set during a call; NaN where the system cannot tell."""
    if not SWITCH.exists():
        return float("nan")
    SWITCH.write_text("5")
    before = _field("VmRSS")
    call()
    return (_field("VmHWM") - before) / 1024


def _field(name: str) -> int:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(name)).split()[1])


def rows() -> list[dict[str, Any]]:
    """Return a row for the time of the bound and one for the memory of the evidence."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, x = space(), torch.rand(BATCH, *SHAPE).round()
        bound, batch = fastest(
            partial(backward, model, IWAE(K), x), partial(backward, model, ELBO(), x.repeat(K, 1, 1, 1))
        )
        log_evidence(model, x, SAMPLES // 10)  # what is allocated once
        few, many = (megabytes(partial(log_evidence, model, x, n)) for n in (SAMPLES // 10, SAMPLES))
    finally:
        torch.set_num_threads(threads)
    return [
        {
            "work": f"IWAE, k = {K}, batch {BATCH}: forward and backward",
            "bound_or_peer": f"ELBO of a batch of {K * BATCH}",
            "ratio": bound / batch,
            "target": "<= 1.15",
            "met": bound <= 1.15 * batch,
            "note": f"{1e3 * bound:.1f} ms, {1e3 * batch:.1f} ms",
        },
        {
            "work": f"evidence with {SAMPLES:,} samples, batch {BATCH}: added memory",
            "bound_or_peer": f"with {SAMPLES // 10:,}",
            "ratio": many / max(few, 1.0),
            "target": "<= 2, or 50 MB",
            "met": many <= max(2 * few, 50.0),
            "note": f"{many:.0f} MB, {few:.0f} MB",
        },
    ]


if __name__ == "__main__":
    for entry in rows():
        print(entry)
