"""Checks of values in batches that never make training wait: those on an accelerator are read at logged rows.

The checks of a batch on an accelerator are a few numbers for each observation. They stay on the device, and are read
at the next place where values are read in any case: where a row is logged, at the end of an epoch or a validation, and
before a checkpoint is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.models.contract import ValueCheck

__all__ = ["Place", "Verdicts", "on_host"]


def on_host(x: Tensor) -> bool:
    """Return whether a value of x can be read without waiting for an accelerator."""
    return x.device.type == "cpu"


class Place(NamedTuple):
    """The split, batch and epoch that observations come from.

    Attributes:
        split: "train", "val", "test" or "predict".
        batch: number of the batch; None for the split as it is stored.
        epoch: epoch of training; None elsewhere.
        first: number of the first of the observations there.

    """

    split: str
    batch: int | None = None
    epoch: int | None = None
    first: int = 0

    def __str__(self) -> str:
        batch = "" if self.batch is None else f"batch {self.batch} of "
        return f"{batch}{self.whole}" + ("" if self.epoch is None else f", epoch {self.epoch}")

    @property
    def whole(self) -> str:
        """The split, in words."""
        return f"the {self.split} split"

    def of(self, observation: int) -> str:
        """Return a description of an observation, with its number and its place."""
        return f"observation {self.first + observation} of {self}"


class Verdicts:
    """Value checks that have not been read yet."""

    def __init__(self) -> None:
        self._open: list[tuple[Place, ValueCheck]] = []
        self._refusal: str | None = None

    def add(self, place: Place, evidence: Sequence[ValueCheck]) -> None:
        """Read the checks that are on the host, and keep the others.

        Raises:
            ValueError: an observation is refused.

        """
        for item in evidence:
            if not on_host(item.values):
                self._open.append((place, item))
            elif not bool(item.verdict().all()):
                raise ValueError(_refusal([(place, item)])[0])

    def read(self) -> None:
        """Read the checks that were kept; after a refusal every further call is refused until `forget`.

        Raises:
            ValueError: an observation is refused.

        """
        if self._refusal is not None:
            raise ValueError(self._refusal)
        waiting, self._open = self._open, []
        groups: dict[tuple[int, bool], list[tuple[Place, ValueCheck]]] = {}
        for place, item in waiting:
            groups.setdefault((id(item.judge), item.allowed is None), []).append((place, item))
        for group in groups.values():
            if not bool(torch.cat([item.verdict() for _, item in group]).all()):
                said, place = _refusal(group)
                if place.split == "train":
                    self._refusal = said = f"{said} (weights that learned from it are not saved)"
                raise ValueError(said)

    def forget(self) -> None:
        """Drop all checks, for other data or other weights."""
        self._open, self._refusal = [], None


def _refusal(group: Sequence[tuple[Place, ValueCheck]]) -> tuple[str, Place]:
    """Return a sentence on the first observation that is refused, and its place."""
    for place, item in group:
        verdict = item.verdict()
        if not bool(verdict.all()):
            found = int(verdict.to(torch.uint8).argmin())
            return item.sentence(float(item.values[found]), place.of(found)), place
    raise AssertionError("expected evidence that is refused")
