"""Train a small FactorVAE on one or two processes and save what came of it: `python two_vaes.py DEVICES PATH`."""

import os
import sys
from functools import partial

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.vae import FactorVAE
from lsgen.nn import CodeDiscriminator, MLPDecoder, MLPEncoder

D, d, STEPS, B = 4, 2, 5, 8


def build() -> VAE:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.05)
    objective = FactorVAE(CodeDiscriminator(d, hidden=[8]), gamma=3.0, optimizer=sgd)
    encoder, decoder = MLPEncoder((D,), d, hidden=[6]), MLPDecoder(d, (D,), hidden=[6])
    return VAE(encoder, decoder, FixedGaussian((D,)), StandardNormal(d), objective, optimizer=sgd)


def batches() -> Tensor:
    """Return the batches of all processes together, (STEPS, B, D)."""
    return torch.randn(STEPS, B, D, generator=torch.Generator().manual_seed(1))


def seed(step: int, rank: int) -> None:
    """Start the random numbers of one step on one process."""
    torch.manual_seed(1000 * step + rank)


class _SeededSteps(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        seed(pl_module.generator_steps, trainer.global_rank)


def main(devices: int, path: str) -> None:
    """Give every process its part of the same batches."""
    rank = int(os.environ.get("LOCAL_RANK", 0))
    parts = [{"x": batch.chunk(devices)[rank]} for batch in batches()]
    trainer = Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, callbacks=[_SeededSteps()],
    )  # fmt: skip
    model = build()
    trainer.fit(model, DataLoader(parts, batch_size=None))
    clocks = [model.generator_steps, model.images_seen]
    torch.save({"weights": model.state_dict(), "clocks": clocks}, f"{path}.{rank}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
