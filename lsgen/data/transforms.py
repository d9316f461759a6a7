r"""Transforms of the batches of a split: masks of missing values, hidden labels, and pairs of observations.

    missing completely at random    P(o_j = 0) = f                                   for every value
    missing at random               P(o_j = 0 | x) = 1 / (1 + exp(-(b + 2 s(x))))    for two thirds of the values,

    self-masked, not at random      P(o_j = 0 | x) = f [x_j > mean of x_j]           for the first half of the values,

where s(x) is the mean of the third that is always observed, standardised over the training data, and b makes the
expected share of gaps f over all values; means are over the training data. Which values are missing depends on the seed
and the observation alone: the same ones in every epoch.

Reference: Rubin, "Inference and missing data" (1976); Ipsen, Mattei & Frellsen, "not-MIWAE" (2021), section 5.1, with
f = 1, for the self-masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, key, stream, uniform
from lsgen.latent.neighbours import nearest_neighbours

__all__ = [
    "BatchTransform",
    "HiddenLabels",
    "Labels",
    "Mechanism",
    "Missing",
    "MissingValues",
    "NeighbourPairs",
    "Pairs",
    "missing_values",
]

Mechanism = Literal["mcar", "mar", "self_masked"]
SLOPE = 2.0


@dataclass(frozen=True)
class Missing:
    """The share of missing values and the mechanism by which they are chosen.

    Attributes:
        fraction: expected share of missing values; for "self_masked" of those above their mean in the first half.
        mechanism: "mcar", missing completely at random, "mar", missing at random, or "self_masked", not at random.

    """

    fraction: float
    mechanism: Mechanism = "mcar"


@dataclass(frozen=True)
class Labels:
    """Which classes a data set keeps, and of how many training observations the label is known.

    Attributes:
        known: training observations whose label is known; all where it is None.
        classes: labels of the classes that are kept, of every split; all where it is None.
        share: share of every training batch whose label is known; as they come where it is None. It needs `known`.

    Raises:
        ValueError: the share is not between 0 and 1, or there is one and all labels are known.

    """

    known: int | None = None
    classes: Sequence[int] | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and (self.known is None or not 0 < self.share < 1):
            raise ValueError(
                f"expected a share in (0, 1) of a number of known labels, got {self.share} of {self.known}"
            )

    @classmethod
    def of(cls, labelled: int | Labels | None, classes: int = 10) -> Labels:
        """Return what a data set's option `labelled` says, of labels 0, ..., classes - 1.

        Raises:
            ValueError: no class is kept, or one that there is not.

        """
        found = labelled if isinstance(labelled, Labels) else cls(labelled)
        kept = found.classes
        if kept is not None and (not kept or not set(kept) <= set(range(classes))):
            raise ValueError(f"expected classes out of 0, ..., {classes - 1}, got {list(kept)}")
        return found

    def rows(self, labels: Tensor) -> Tensor:
        """Return the rows of the classes that are kept, out of those of labels (N,)."""
        if self.classes is None:
            return torch.arange(len(labels))
        return torch.isin(labels, torch.tensor(list(self.classes))).nonzero().flatten()


class BatchTransform(Protocol):
    """Protocol of a transform of a batch: (batch, rows (B,), epoch) -> entries that are added or replaced.

    All of them lie on one device, to which tensors among its attributes have been moved; so must the entries.
    """

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the entries."""


class MissingValues:
    """Adds "observed", boolean (B, *shape); "x" keeps its values, with which imputations are compared.

    Args:
        shape: shape of one observation.
        fraction: expected share of missing values, in (0, 1); below 2/3 for "mar"; for "self_masked" the share of
            values above their mean, in the first half, that are missing, in (0, 1].
        mechanism: "mcar", missing completely at random, "mar", missing at random, or "self_masked", not at random.
        seed: seed of the draws.

    Raises:
        ValueError: the fraction is out of range or there is no such mechanism.

    """

    def __init__(self, shape: Sequence[int], fraction: float, mechanism: Mechanism, seed: int) -> None:
        if mechanism not in get_args(Mechanism):
            raise ValueError(f'expected mechanism "mcar", "mar" or "self_masked", got {mechanism!r}')
        self.shape, self.fraction, self.mechanism, self.seed = tuple(shape), float(fraction), mechanism, seed
        size = prod(self.shape)
        order = torch.randperm(size, generator=stream(seed, Purpose.MISSING))
        self.always = order[: max(1, round(size / 3))] if mechanism == "mar" else order[:0]
        limit = 1 - len(self.always) / size
        whole = mechanism == "self_masked" and fraction == 1
        if not (0 < fraction < limit or whole):
            raise ValueError(f"expected a share of missing values in (0, {limit:.2g}) for {mechanism}, got {fraction}")
        self.share = self.fraction / limit
        self.mean, self.deviation, self.offset = 0.0, 1.0, 0.0
        self.means = torch.zeros(size // 2)

    def fit(self, x: Tensor) -> MissingValues:
        """Fit the means, and the deviation of s, to the training observations (N, *shape), and find the offset b."""
        if self.mechanism == "self_masked":
            self.means = x.flatten(1)[:, : len(self.means)].double().mean(0)
        if self.mechanism == "mar":
            s = x.flatten(1)[:, self.always].double().mean(1)
            self.mean, self.deviation = s.mean().item(), max(s.std().item(), torch.finfo(torch.float32).tiny)
            standard = (s - self.mean) / self.deviation
            low, high = -50.0, 50.0
            for _ in range(60):
                self.offset = (low + high) / 2
                share = torch.sigmoid(self.offset + SLOPE * standard).mean().item()
                low, high = (self.offset, high) if share < self.share else (low, self.offset)
        return self

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the mask."""
        flat = batch["x"].flatten(1)
        draws = uniform(key(self.seed, Purpose.MISSING), rows, flat.shape[1])
        if self.mechanism == "mcar":
            return {"observed": (draws >= self.fraction).unflatten(1, self.shape)}
        if self.mechanism == "self_masked":
            half = len(self.means)
            hidden = (flat[:, :half].double() > self.means) & (draws[:, :half] < self.fraction)
            observed = torch.nn.functional.pad(~hidden, (0, flat.shape[1] - half), value=True)
            return {"observed": observed.unflatten(1, self.shape)}
        s = (flat[:, self.always].double().mean(1) - self.mean) / self.deviation
        observed = draws >= torch.sigmoid(self.offset + SLOPE * s).unsqueeze(1)
        observed[:, self.always] = True
        return {"observed": observed.unflatten(1, self.shape)}


def missing_values(shape: Sequence[int], missing: float | Missing, seed: int) -> MissingValues | None:
    """Return the mask of a data set whose observations have a shape; None if no value is missing.

    Raises:
        ValueError: see `MissingValues`.

    """
    chosen = missing if isinstance(missing, Missing) else Missing(missing)
    return MissingValues(shape, chosen.fraction, chosen.mechanism, seed) if chosen.fraction else None


class HiddenLabels:
    """Sets "label" to -1 (unknown) except for a number of training observations, balanced over the classes.

    With a share, `lsgen.data.MixedBatches` draws those with a label so often that they are this share s of every
    batch, and "weight", float32 (B,), is n/(N s) for those, else (1 - n/N)/(1 - s), for n known labels of N: a weighted
    average over a batch has the expectation of an average over the data.

    Args:
        labels: labels of all rows of the source, (N,).
        rows: rows of the training split.
        known: how many keep their label.
        seed: seed of the choice.
        share: share of every batch whose label is known, or None.

    Raises:
        ValueError: known is not between one for each class and the number of rows.

    """

    def __init__(self, labels: Tensor, rows: Tensor, known: int, seed: int, share: float | None = None) -> None:
        shuffled = rows[torch.randperm(len(rows), generator=stream(seed, Purpose.LABEL))].to(torch.int64)
        own = labels[shuffled]
        classes = len(own.unique())
        if not classes <= known <= len(rows):
            raise ValueError(f"expected between {classes} and {len(rows)} labelled observations, got {known}")
        # The first of every class come first, then the second of every class, and so on.
        turn = torch.zeros_like(own)
        for value in own.unique():
            turn[own == value] = torch.arange(int((own == value).sum()))
        self.known = torch.zeros(len(labels), dtype=torch.bool)
        self.known[shuffled[turn.argsort(stable=True)[:known]]] = True
        self.share, self.part = share, known / len(rows)
        if share is not None and known == len(rows):
            raise ValueError(f"expected fewer known labels than the {known} observations for a share of them, got all")

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the labels and, with a share, the weights."""
        known = self.known[rows]
        label = {"label": torch.where(known, batch["label"], -1)}
        if self.share is None:
            return label
        weights = self.part / self.share, (1 - self.part) / (1 - self.share)
        return label | {"weight": torch.where(known, *weights).to(torch.float32)}


class Pairs:
    """Adds "pair", observations (B, *shape) that share all but a few factors with those in "x".

    The factors that change are chosen at random, and take another value; partners come from the whole grid of factors,
    held-out ones among them.

    Args:
        render: factors (B, K) -> observations.
        sizes: number of values of each factor.
        changes: how many factors change; 0 draws a number from 1 to K - 1 for every pair.
        seed: seed of the draws.
        redrawn: whether partners change from epoch to epoch.

    Raises:
        ValueError: changes is not between 0 and K.

    """

    def __init__(
        self, render: Callable[[Tensor], Tensor], sizes: Sequence[int], changes: int, seed: int, redrawn: bool
    ) -> None:
        if not 0 <= changes <= len(sizes):
            raise ValueError(f"expected pairs between 0 and {len(sizes)}, the number of factors, got {changes}")
        self.render, self.sizes, self.changes = render, torch.tensor(sizes), changes
        self.seed, self.redrawn = seed, redrawn

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the partners."""
        factors = batch["factors"]
        state, K = key(self.seed, Purpose.PAIR, epoch if self.redrawn else 0), factors.shape[1]
        draws = uniform(state, rows, 2 * K + 1)
        steps = 1 + (draws[:, :K] * (self.sizes - 1)).to(torch.int64)
        rank = draws[:, K : 2 * K].argsort(1).argsort(1)
        count = 1 + (draws[:, -1:] * (K - 1)).to(torch.int64) if self.changes == 0 else self.changes
        moved = torch.where(rank < count, (factors + steps) % self.sizes, factors)
        return {"pair": self.render(moved)}


class NeighbourPairs:
    """Adds "pair", one of the k nearest observations of the same split, (B, *shape), by Euclidean distance.

    Args:
        x: all observations of the split, (N, *shape), which are kept.
        rows: their rows in the source, (N,).
        k: number of neighbours.
        seed: seed of the draws.
        redrawn: whether another neighbour may be drawn in another epoch.

    Raises:
        ValueError: there are no k neighbours.

    """

    def __init__(self, x: Tensor, rows: Tensor, k: int, seed: int, redrawn: bool) -> None:
        self.x, self.near = x, nearest_neighbours(x.flatten(1), None, k).indices
        self.place = torch.full((int(rows.max()) + 1,), -1, dtype=torch.int64)
        self.place[rows.to(torch.int64)] = torch.arange(len(rows))
        self.seed, self.redrawn = seed, redrawn

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the partners."""
        draws = uniform(key(self.seed, Purpose.PAIR, epoch if self.redrawn else 0), rows, 1)[:, 0]
        chosen = (draws * self.near.shape[1]).to(torch.int64)
        return {"pair": self.x[self.near[self.place[rows], chosen]]}
