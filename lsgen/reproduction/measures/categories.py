"""How well the categories that a generator was given for free agree with the labels of real observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lsgen.models.gan import GAN, MutualInformation, SharedMutualInformation
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Categories"]


@dataclass(frozen=True)
class Categories:
    """Measures the error, in percent, of the category that an InfoGAN recognises in test observations as their class.

    Each category stands for one class: the matching of both that is right for most training observations. The key is
    `error`; its parts are 0 and 100.

    Attributes:
        n: test observations, drawn at random.
        matched: training observations by which categories are matched with classes.

    Raises:
        ValueError: a number is not positive, or there are fewer test observations than n.
        TypeError: the model recognises no categories, or the data have no labels.

    Reference: Chen et al., "InfoGAN" (2016), https://arxiv.org/abs/1606.03657, section 7.2.
    """

    n: int = 2000
    matched: int = 10_000

    def __post_init__(self) -> None:
        if min(self.n, self.matched) < 1:
            raise ValueError(f"expected n and matched of at least 1, got {self}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        parts = []
        for batch in (run.probe(self.matched, "train"), run.probe(self.n)):
            if "label" not in batch:
                raise TypeError("Categories expected labelled data, got none with a label")
            parts.append((_categories(run, batch["x"]).cpu(), batch["label"].cpu()))
        classes = 1 + max(int(part.max()) for pair in parts for part in pair)
        table = torch.zeros(classes, classes, dtype=torch.long)
        table.index_put_(parts[0], torch.tensor(1), accumulate=True)
        _, stands_for = linear_sum_assignment(table.numpy(), maximize=True)
        found, label = parts[1]
        wrong = 100.0 * (torch.from_numpy(stands_for)[found] != label)
        return Measured({"error": float(wrong.mean())}, {"error": wrong.float().numpy()})


def _categories(run: TrainedRun, x: Tensor) -> Tensor:
    """Return the most likely category of observations in data units, (N,)."""
    model = run.model
    kinds = MutualInformation | SharedMutualInformation
    recognisers = [one for one in getattr(model, "regularisers", ()) if isinstance(one, kinds)]
    if not isinstance(model, GAN) or not recognisers or not recognisers[0].classes:
        raise TypeError(f"Categories expected a GAN that recognises classes, got {type(model).__name__}")
    info = recognisers[0]
    guesses = [info.guess(model.critic, model.decoder.inverse(part))[:, : info.classes] for part in x.split(500)]
    return torch.cat(guesses).argmax(1)
