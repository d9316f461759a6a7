"""Train a small FactorVAE on one or two processes, measure a likelihood, and save what came of it.

python two_vaes.py DEVICES PATH
"""

import os
import sys
from functools import partial

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from lsgen.callbacks import ODELikelihood
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.diffusion import Denoiser, Diffusion, LinearLogSNR
from lsgen.models.vae import FactorVAE
from lsgen.nn import CodeDiscriminator, MLPDecoder, MLPDenoiser, MLPEncoder

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
    trainer = partial(
        Trainer, accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_epochs=1,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    model = build()
    trainer(callbacks=[_SeededSteps()]).fit(model, DataLoader(parts, batch_size=None))
    clocks = [model.generator_steps, model.images_seen]
    # one that has learned nothing, which is the exact model of standard normal data
    flow = Diffusion(Denoiser(MLPDenoiser((D,), hidden=(4,), embedding=4), LinearLogSNR(), "v", 1.0))
    share = DataLoader([{"x": batches()[0].split([6, 2])[rank]}], batch_size=None)
    nll = trainer(callbacks=[ODELikelihood()]).test(flow, share, verbose=False)[0]["test/nll_ode"]
    torch.save({"weights": model.state_dict(), "clocks": clocks, "nll": nll}, f"{path}.{rank}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
