"""Sample-quality metrics against torch-fidelity and prdc on 10,000 x 2,048 features; training against a bare loop."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import FrechetDistance, precision_recall
from lsgen.models.gan import GAN, NonSaturating, Updates
from lsgen.nn.adversarial.dcgan import DCGANCritic, DCGANGenerator

Row = Mapping[str, Any]
N, M, BATCH, STEPS = 10_000, 2048, 64, 60


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        value = work()
    return time.perf_counter() - start, value


def _row(work: str, peer: str, ours: float, theirs: float, mine: float, other: float) -> Row:
    """Return a row whose ratio is the peer's time over ours."""
    difference = abs(mine - other) / abs(other)
    ratio = theirs / ours
    note = f"{ours:.1f} s against {theirs:.1f} s, differ by {difference:.1e}"
    met = ratio >= 1 and difference <= 1e-6
    target = ">= 1, equal to 1e-6"
    return {"work": work, "bound_or_peer": peer, "ratio": ratio, "target": target, "met": met, "note": note}


def _missing(work: str, peer: str) -> Row:
    return {"work": work, "bound_or_peer": peer, "ratio": float("nan"), "target": ">= 1", "met": False,
            "note": "the peer is not installed: pip install 'lsgen[bench]'"}  # fmt: skip


def _frechet(real: Tensor, fake: Tensor) -> Row:
    try:
        from torch_fidelity import metric_fid as peer
    except ModuleNotFoundError:
        return _missing("moments and Frechet distance", "torch-fidelity")

    def theirs() -> float:
        statistics = [peer.fid_features_to_statistics(x) for x in (real, fake)]
        return float(next(iter(peer.fid_statistics_to_metric(*statistics, verbose=False).values())))

    def ours() -> float:
        metric = FrechetDistance(M)
        for is_real, features in ((True, real), (False, fake)):
            for part in features.split(500):
                metric.update(part, real=is_real)
        return float(metric.compute())

    (a, mine), (b, other) = _seconds(ours), _seconds(theirs)
    return _row("moments and Frechet distance", "torch-fidelity", a, b, mine, other)


def _manifold(real: Tensor, fake: Tensor) -> Row:
    try:
        from prdc import compute_prdc
    except ModuleNotFoundError:
        return _missing("precision, recall, density, coverage", "prdc")
    a, mine = _seconds(lambda: precision_recall(real, fake, 5))
    b, other = _seconds(lambda: compute_prdc(real.numpy(), fake.numpy(), nearest_k=5))
    totals = [float(sum(float(v) for v in values.values())) for values in (mine, other)]
    return _row("precision, recall, density, coverage", "prdc", a, b, *totals)


def _parts() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return DCGANGenerator(32, (1, 28, 28), width=32), DCGANCritic((1, 28, 28), width=32)


def _bare(batches: list[dict[str, Tensor]]) -> None:
    """Train the same GAN without any framework."""
    generator, critic = _parts()
    loss = NonSaturating()
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (critic, generator)]
    for batch in batches:
        real = 2 * batch["x"] - 1
        with torch.no_grad():
            fake = generator(torch.randn(len(real), 32))
        optimizers[0].zero_grad()
        loss.critic(critic(real), critic(fake)).backward()
        optimizers[0].step()
        critic.requires_grad_(False)
        optimizers[1].zero_grad()
        scores = critic(generator(torch.randn(len(real), 32)))
        loss.generator(scores, scores).backward()
        optimizers[1].step()
        critic.requires_grad_(True)


def _training() -> Row:
    batches = [{"x": torch.rand(BATCH, 1, 28, 28)} for _ in range(STEPS)]
    adam = lambda parameters: torch.optim.Adam(parameters, 2e-4, (0.5, 0.999))

    def ours() -> None:
        gan = GAN(
            *_parts(), FixedGaussian((1, 28, 28)), StandardNormal(32), NonSaturating(), value_range=(0, 1),
            updates=Updates(adam, adam),
        )  # fmt: skip
        trainer = Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(gan, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]

    _bare(batches[:10])
    pairs = [(_seconds(ours)[0], _seconds(lambda: _bare(batches))[0]) for _ in range(3)]
    ratio = min(bare for _, bare in pairs) / min(mine for mine, _ in pairs)
    return {"work": f"DCGAN 28x28, batch {BATCH}", "bound_or_peer": "bare PyTorch loop", "ratio": ratio,
            "target": ">= 0.9", "met": ratio >= 0.9, "note": "images/s; start-up of the trainer included"}  # fmt: skip


def rows() -> list[Row]:
    """Return one row for every comparison."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(N, M, generator=generator)
    fake = 1.1 * torch.randn(N, M, generator=generator) + 0.05
    return [_training(), _frechet(real, fake), _manifold(real, fake)]
