"""How many entries of its codebook a quantiser uses for test observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lsgen.latent.discrete.quantised import Quantised
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["CodeUsage"]


@dataclass(frozen=True)
class CodeUsage:
    """Measures which of the K entries of a codebook the codes of test observations use, over all places together.

    Its keys are `perplexity`, exp of the entropy of the entries in nats, between 1 and K, `share`, the perplexity over
    K, and `used`, the share of entries that occur.

    Attributes:
        n: observations, drawn at random from the test set.
        batch_size: observations at once.

    Raises:
        TypeError: the posterior of a run is not a quantiser with one codebook.
        ValueError: a number is not positive, or there are fewer than n test observations.

    """

    n: int = 2000
    batch_size: int = 100

    def __post_init__(self) -> None:
        if min(self.n, self.batch_size) < 1:
            raise ValueError(f"expected n and batch_size of at least 1, got {self}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space, counts = run.encodable_space, torch.zeros(0, dtype=torch.float64)
        for x in run.probe(self.n)["x"].split(self.batch_size):
            q = space.encode(x)
            if not isinstance(q, Quantised):
                raise TypeError(f"CodeUsage expected codes of a VectorQuantiser, got {type(space).__name__} with {q}")
            found = torch.bincount(q.indices.flatten(), minlength=q.entries).double().cpu()
            counts = counts + found if len(counts) else found
        perplexity = float(torch.special.entr(counts / counts.sum()).sum().exp())
        used = float((counts > 0).double().mean())
        return Measured({"perplexity": perplexity, "share": perplexity / len(counts), "used": used})
