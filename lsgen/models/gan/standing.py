r"""Standing statistics of a generator's batch normalisation: averages over many batches of codes, for evaluation.

    mean <- 1/n sum_k m_k,   variance <- 1/n sum_k v_k,    m_k, v_k the mean and the unbiased variance of batch k

in a layer, with every layer before it normalised by its own batch k, as in training. The running averages that
training leaves behind lag behind the weights, and are those of other weights where the generator is averaged.

Reference: Brock, Donahue & Simonyan, "Large scale GAN training for high fidelity natural image synthesis" (2019),
https://arxiv.org/abs/1809.11096, appendix C.1.
"""

from __future__ import annotations

import torch
from torch import nn

from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import CodeSampler, FromPrior
from lsgen.models.compat import BatchNorm

__all__ = ["batch_normalisations", "standing_statistics"]


def batch_normalisations(net: nn.Module) -> list[BatchNorm]:
    """Return the layers of batch normalisation that keep statistics.

    Raises:
        ValueError: there is none.

    """
    found = [part for part in net.modules() if isinstance(part, BatchNorm) and part.track_running_stats]
    if not found:
        raise ValueError(f"expected a generator with batch normalisation, got {type(net).__name__} without")
    return found


@torch.no_grad()
def standing_statistics(
    space: LatentSpace, batches: int = 16, batch_size: int = 64, seed: int = 0, sampler: CodeSampler | None = None
) -> None:
    """Replace the statistics of the decoder's batch normalisation by averages over batches of codes, in place.

    Modes of modules and random number generators are left as they were.

    Args:
        space: the latent space of a GAN, with the averaged generator where there is one.
        batches: number n of batches.
        batch_size: codes in each.
        seed: seed of the codes.
        sampler: source of codes, such as a truncated prior; the prior unless given.

    Raises:
        ValueError: there is no batch normalisation, no batch, or only one code in each.

    """
    if batches < 1 or batch_size < 2:
        raise ValueError(f"expected at least 1 batch of at least 2 codes, got {batches} of {batch_size}")
    decoder, source = space.decoder, FromPrior(space.prior) if sampler is None else sampler
    source.bind(space.prior)
    norms = batch_normalisations(decoder)
    modes, momenta = [(part, part.training) for part in decoder.modules()], [norm.momentum for norm in norms]
    devices = {p.device.index for p in decoder.parameters() if p.device.type == "cuda"}
    decoder.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
    try:
        with torch.random.fork_rng(devices=sorted(devices)):
            torch.manual_seed(seed)
            for _ in range(batches):
                decoder(source.sample(batch_size))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for part, training in modes:
            part.training = training
