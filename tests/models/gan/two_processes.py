"""Train a small GAN on one or two processes and save what came of it: `python two_processes.py DEVICES PATH`."""

import os
import sys
from functools import partial

import torch
from pytorch_lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from lsgen.callbacks.engine.ema import GeneratorEMA
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, R1, NonSaturating, Updates
from lsgen.nn.adversarial.critics import MLPCritic


def main(devices: int, path: str) -> None:
    """Give every process its part of the same batches."""
    rank = int(os.environ.get("LOCAL_RANK", 0))
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.1)
    gan = GAN(
        nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 3)), MLPCritic((3,), [8], nn.SiLU), FixedGaussian((3,)),
        StandardNormal(2), NonSaturating(), [R1(1.0, every=2)],
        updates=Updates(sgd, sgd, n_critic=2, accumulate=2, clip_norm=0.5),
    )  # fmt: skip
    x = torch.randn(8, 8, 3, generator=torch.Generator().manual_seed(1))
    batches = [{"x": batch.chunk(devices)[rank]} for batch in x]
    trainer = Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[GeneratorEMA(half_life=30, ramp_up=None)],
    )  # fmt: skip
    torch.manual_seed(2)
    trainer.fit(gan, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    if trainer.is_global_zero:
        torch.save({"weights": gan.state_dict(), "clocks": [gan.generator_steps, gan.images_seen]}, path)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
