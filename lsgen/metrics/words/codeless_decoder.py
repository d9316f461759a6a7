"""What a decoder of sentences can tell without a latent code: the baseline of a sentence VAE."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from math import ceil

import torch
from torch import Tensor, nn

from lsgen.likelihoods.text.autoregressive_tokens import AutoregressiveTokens

__all__ = ["without_codes"]

_BATCH = 64


def without_codes(likelihood: AutoregressiveTokens, training: Tensor, x: Tensor, steps: int) -> Tensor:
    """Return log p (M,) of sentences x (M, L) by a copy of a decoder that learns to do without codes.

    Args:
        likelihood: the decoder; not changed.
        training: sentences (N, L) that the copy goes on learning from, with a constant condition that is 0 at first.
        x: held-out sentences.
        steps: steps of Adam with a rate of 1e-3, which falls to 0, in batches of 64.

    """
    with torch.inference_mode(False), torch.enable_grad():
        family = deepcopy(likelihood).train()
        family.word_dropout = 0.0
        condition = nn.Parameter(torch.zeros(family.raw_shape, dtype=x.dtype, device=x.device))
        optimizer = torch.optim.Adam([condition, *family.parameters()], 1e-3)
        for step, rows in enumerate(_batches(len(training), steps)):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 - step / steps)
            optimizer.zero_grad()
            chosen = training[rows.to(training.device)]
            loss = -family(condition.expand(len(chosen), -1)).log_prob(chosen).mean()
            loss.backward()
            optimizer.step()
    family.eval()
    with torch.no_grad():
        parts = [family(condition.expand(len(part), -1)).log_prob(part) for part in x.split(_BATCH)]
    return torch.cat(parts)


def _batches(n: int, steps: int) -> Iterator[Tensor]:
    """Yield the numbers of the sentences of so many batches, from passes in random order."""
    passes = ceil(steps * _BATCH / n)
    order = torch.cat([torch.randperm(n) for _ in range(passes)])
    yield from order[: steps * _BATCH].split(_BATCH)
