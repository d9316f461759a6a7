r"""Zero-shot classification: the class whose prompts are nearest to a code, without a label that was learned from.

    c_k = sum_p u_kp / |sum_p u_kp|                 the mean direction of the codes of the prompts p of class k
    class of z = argmin_k distance(z, c_k)

Classes at the same distance share the credit, so that codes that have collapsed score 1/C, the level of chance. The
interval of a share p of N is Wilson's,

    (p + z^2/2N +- z sqrt(p (1 - p)/N + z^2/4N^2)) / (1 + z^2/N).

Reference: Radford et al., "Learning transferable visual models from natural language supervision" (2021),
https://arxiv.org/abs/2103.00020, sections 3.1.2 and 3.1.4, for ensembles of prompts; Wilson, "Probable inference, the
law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.distances import AngularDistance, CodeDistance

__all__ = ["ZeroShot", "prompt_centres"]


def prompt_centres(codes: Tensor, classes: Sequence[int], directions: bool = True) -> Tensor:
    """Return the mean code of the prompts of each class, (C, d).

    Args:
        codes: of all prompts, (P, d), those of a class together.
        classes: number of prompts of each class, which sum to P.
        directions: whether codes are directions, and so are their means.

    Raises:
        ValueError: the numbers do not sum to P, a class has no prompt, or the prompts of one cancel.

    """
    if not classes or min(classes) < 1 or sum(classes) != len(codes):
        raise ValueError(f"expected at least one prompt of each class, {len(codes)} together, got {list(classes)}")
    means = torch.stack([part.mean(0) for part in codes.split(list(classes))])
    if not directions:
        return means
    lengths = torch.linalg.vector_norm(means, dim=1, keepdim=True)
    if bool((cancelled := (lengths < 1e-6)[:, 0]).any()):
        raise ValueError(f"expected prompts with a mean direction, got those of class {int(cancelled.int().argmax())}")
    return means / lengths


class ZeroShot(Metric):
    """The share of codes that are nearest to the centre of their class.

    Args:
        centres: of the classes, (C, d), see `prompt_centres`.
        distance: what is near; the angle unless given.
        level: probability that the interval covers.

    Raises:
        ValueError: there are no two centres, or the level is not in (0, 1).

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    centres: Tensor
    codes: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self, centres: Tensor, distance: CodeDistance | None = None, level: float = 0.95, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if centres.ndim != 2 or len(centres) < 2 or not 0 < level < 1:
            raise ValueError(
                f"expected centres (C, d) of two classes or more and a level in (0, 1), got {tuple(centres.shape)} "
                f"and {level}"
            )
        self.register_buffer("centres", centres.detach().clone(), persistent=False)
        self.distance, self.level = AngularDistance() if distance is None else distance, level
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, label: Tensor) -> None:
        """Add codes (B, d) with integer labels (B,); those with the label -1, which is not known, take no part.

        Raises:
            ValueError: shapes do not fit.

        """
        d = self.centres.shape[1]
        if codes.ndim != 2 or codes.shape[1] != d or label.shape != codes.shape[:1] or label.is_floating_point():
            raise ValueError(
                f"expected codes (B, {d}) and integer labels (B,), got {tuple(codes.shape)} and {tuple(label.shape)}"
            )
        self.codes.append(codes.detach())
        self.labels.append(label.detach().long())

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return the "accuracy": its `value`, the ends `low` and `high`, and what `chance` and the `majority` give.

        Raises:
            ValueError: there is no code whose label is known, or a label without prompts.

        """
        codes, labels = dim_zero_cat(self.codes), dim_zero_cat(self.labels)
        codes, labels = codes[labels >= 0], labels[labels >= 0]
        if not len(codes):
            raise ValueError("expected codes whose labels are known, got none")
        if int(labels.max()) >= len(self.centres):
            raise ValueError(
                f"expected labels of the {len(self.centres)} classes that have prompts, got {int(labels.max())}"
            )
        features = self.distance.features(codes), self.distance.features(self.centres.to(codes))
        apart = self.distance.pairwise(*features)
        nearest = apart == apart.amin(1, keepdim=True)
        credits = nearest.gather(1, labels[:, None])[:, 0] / nearest.sum(1).double()
        p, n = credits.mean(), len(credits)
        z = NormalDist().inv_cdf((1 + self.level) / 2)
        middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt()
        low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
        chance = torch.tensor(1 / len(self.centres), dtype=torch.float64)
        majority = labels.bincount().max() / n
        accuracy = {"value": p, "low": low, "high": high, "chance": chance, "majority": majority.double()}
        return {"accuracy": accuracy, "observations": {"value": torch.tensor(n)}}
