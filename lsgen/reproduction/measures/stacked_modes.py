"""How many of the thousand modes of stacked digits a generator reaches, as a classifier of single digits sees them."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch

from lsgen.data import StackedDigits
from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import generate_in_chunks
from lsgen.metrics.quality import DatasetClassifier
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["StackedModes"]


@dataclass(frozen=True)
class StackedModes:
    """Measures the modes of samples: triples of digits, told by a classifier that is trained on single digits.

    The keys are `modes`, how many of 1,000 occur, `kl`, the divergence in nats of their shares from the uniform
    distribution, and `accuracy`, in percent, of the classifier on single test digits.

    Attributes:
        n: samples; 26,000 in the references.
        steps: training steps of the classifier.
        chunk_size: samples at once.

    Raises:
        ValueError: a number is not positive.
        TypeError: the data are no stacked digits.

    Reference: Srivastava et al., "VEEGAN" (2017), https://arxiv.org/abs/1705.07761, section 4.2.
    """

    n: int = 26_000
    steps: int = 1000
    chunk_size: int = 500

    def __post_init__(self) -> None:
        if min(self.n, self.steps, self.chunk_size) < 1:
            raise ValueError(f"expected n, steps and chunk_size of at least 1, got {self}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space, data = run.model.latent_space, run.data
        assert isinstance(space, LatentSpace)
        if not isinstance(data, StackedDigits):
            raise TypeError(f"StackedModes expected StackedDigits, got {type(data).__name__}")
        device = next(run.model.parameters()).device
        classifier = DatasetClassifier(data.single.shape, steps=self.steps).to(device)
        classifier.prepare(data.single)
        counts = torch.zeros(1000, dtype=torch.long)
        for x in generate_in_chunks(space, self.n, self.chunk_size):
            digit = classifier.logits(classifier(x.flatten(0, 1)[:, None])).argmax(1).cpu().unflatten(0, (-1, 3))
            counts += torch.bincount((digit * torch.tensor([100, 10, 1])).sum(1), minlength=1000)
        shares = counts.double() / self.n
        kl = float(torch.special.xlogy(shares, shares).sum()) + log(1000)
        accuracy = 100 * classifier.accuracy(data.single)
        return Measured({"modes": int((counts > 0).sum()), "kl": kl, "accuracy": accuracy})
