"""Requirements on a batch: entries, shapes, types and values.

| entry      | what it holds                                                          | who asks for it           |
|------------|------------------------------------------------------------------------|---------------------------|
| "x"        | observations (B, *shape), in the support of the likelihood, if any     | every model               |
| "label"    | classes, integers (B,); -1 where one is not known, if that is allowed  | models of classes         |
| "pair"     | observations (B, *shape)                                               | models of pairs           |
| "observed" | bool (B, *shape); what is not observed may hold anything, such as NaN  | models of missing values  |
| "weight"   | numbers (B,) by which the terms of an observation are multiplied       | models of classes, if any |
| "present"  | bool (B, M): which of M modalities an observation has, at least one    | nobody; models of several |
|            |                                                                        | modalities take it        |

For a model of several modalities, whose x are packed vectors, a batch may hold one entry a modality in the place of
"x": see `lsgen.likelihoods.packed_batches`. A tensor x, (x,) and (x, label) are taken for such a mapping; what else a
mapping holds is left alone. Images in bytes are scaled from 0-255 to [0, 1]. Entries, shapes and types are known on the
host. Values are judged by evidence: of each observation the few numbers that tell of all of them, such as the least and
the greatest. Gathering it reads nothing from the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from lsgen.latent import FeatureSpace, LatentSpace, Space
from lsgen.likelihoods import Likelihood, Modalities, Packing
from lsgen.likelihoods.base import Judge
from lsgen.likelihoods.packed_batches import packed_entries

__all__ = [
    "AllowedRange",
    "Contract",
    "PlainNumbers",
    "ValueCheck",
    "as_numbers",
    "expected_observations",
    "takes_greys",
]

_KINDS = {"label": torch.int64, "observed": torch.bool, "present": torch.bool}  # others are of the type of the weights
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class _Interval(ABC):
    """Abstract judge of values that allows all of them where it allows the least and the greatest."""

    @abstractmethod
    def in_support(self, values: Tensor) -> Tensor:
        """Return which values are allowed; a NaN is not."""

    def allows(self, values: Tensor) -> Tensor:
        """Return whether all are allowed, a 0-d boolean tensor."""
        return self.in_support(torch.stack(torch.aminmax(values))).all()

    def witnesses(self, values: Tensor) -> list[tuple[Self, Tensor]]:
        """Return the least and the greatest value of each observation, (B,) both."""
        flat = values.reshape(len(values), -1)
        return [(self, flat.amin(1)), (self, flat.amax(1))]


@dataclass(frozen=True)
class AllowedRange(_Interval):
    """The range of allowed values of one entry of a batch.

    Attributes:
        expected: the same in words.
        low: the least value.
        high: the greatest value.

    """

    expected: str
    low: float
    high: float

    def in_support(self, values: Tensor) -> Tensor:
        """Return which values are inside; a NaN is not."""
        return (values >= self.low) & (values <= self.high)


@dataclass(frozen=True)
class PlainNumbers(_Interval):
    """The observations of a model without a likelihood: finite numbers of a shape, or whole numbers up to a greatest.

    Attributes:
        owner: who asks, by name.
        shape: shape of one observation; None where any will do.
        high: the greatest of whole numbers, such as numbers of items; None for any finite number.
        low: the least of them.
        packing: the modalities of packed vectors; None where x is of one kind.

    """

    owner: str
    shape: tuple[int, ...] | None = None
    high: int | None = None
    low: int = 0
    packing: Packing | None = None

    @property
    def support(self) -> str:
        """What an observation may be, in words."""
        return "finite numbers" if self.high is None else f"whole numbers from {self.low} to {self.high}"

    def in_support(self, values: Tensor) -> Tensor:
        """Return which values are allowed."""
        return values.isfinite() if self.high is None else (values >= self.low) & (values <= self.high)


def expected_observations(space: Space, owner: str) -> Likelihood | PlainNumbers:
    """Return what says which observations a space takes: its likelihood, or finite numbers where it has none.

    Args:
        space: any space.
        owner: who asks, by name.

    """
    if isinstance(space, LatentSpace):
        return space.likelihood
    return PlainNumbers(owner, space.shape if isinstance(space, FeatureSpace) else None)


def as_numbers(x: Tensor, expected: Likelihood | PlainNumbers, dtype: torch.dtype) -> Tensor:
    """Return observations in a floating-point type; images in bytes are scaled from 0-255 to [0, 1].

    They are not scaled where the likelihood takes whole numbers only, such as counts; whole numbers of another kind or
    shape are returned as they are, for the contract to refuse.

    Args:
        x: observations (B, *shape).
        expected: what they are observations of.
        dtype: that of the weights.

    """
    if isinstance(expected, PlainNumbers) and expected.high is not None:
        return x.to(torch.int64) if x.dtype in _WHOLE else x
    if x.is_floating_point():
        return x.to(dtype)
    if x.dtype != torch.uint8 or x.ndim != 4 or (expected.shape is not None and len(expected.shape) != 3):
        return x
    x = x.to(dtype)
    return x.div_(255) if takes_greys(expected) else x


def takes_greys(expected: Likelihood | PlainNumbers) -> bool:
    """Return whether the grey levels of images of bytes, scaled to [0, 1], are taken."""
    if isinstance(expected, PlainNumbers):
        return expected.high is None
    return bool(expected.in_support(torch.full((1, *expected.shape), 128 / 255)).all())


class ValueCheck(NamedTuple):
    """One value of each observation, (B,), with the range or likelihood that must allow it.

    Attributes:
        judge: says so.
        values: the values; an observation is refused where one of them is.
        allowed: what was said already, bool (B,); None where the judge is still to be asked.

    """

    judge: Judge | AllowedRange
    values: Tensor
    allowed: Tensor | None = None

    def verdict(self) -> Tensor:
        """Return which observations are allowed, bool (B,), on the device of the values."""
        return self.judge.in_support(self.values) if self.allowed is None else self.allowed

    def sentence(self, value: float, place: str) -> str:
        """Return the sentence of the error: expected values, and the value found with its place."""
        if isinstance(self.judge, AllowedRange):
            return f"{self.judge.expected}, got {value:.6g} in {place}"
        chosen = isinstance(self.judge, Likelihood) and abs(value) < float("inf")
        remedy = "choose another likelihood or rescale the data" if chosen else "mend the data"
        name, support = _name(self.judge), self.judge.support
        return f"{name} expected observations that are {support}, got {value:.6g} in {place}: {remedy}"


@dataclass(frozen=True)
class Contract:
    """The entries, shapes, types and values that a model requires of its batches.

    Attributes:
        owner: who asks, by name.
        observations: gives shape and support of observations.
        demands: entries needed beside "x".
        labels: what labels may be; None where nobody asks.
        value_range: what observations may be, beside the support; None where nobody asks.
        partial: whether the model learns from observations that lack modalities.

    """

    owner: str
    observations: Likelihood | PlainNumbers
    demands: tuple[str, ...] = ()
    labels: AllowedRange | None = None
    value_range: AllowedRange | None = None
    partial: bool = False

    def entries(self, batch: Any) -> Mapping[str, Tensor]:
        """Return a batch as a mapping, its tensors as they are.

        Raises:
            TypeError: it is nothing that can be taken for one.

        """
        if isinstance(batch, Mapping):
            return batch
        if isinstance(batch, Tensor):
            return {"x": batch}
        plain = isinstance(batch, Sequence) and not isinstance(batch, str)
        if plain and len(batch) in (1, 2) and all(isinstance(part, Tensor) for part in batch):
            return dict(zip(("x", "label"), batch, strict=False))
        raise TypeError(
            f'{self.owner} expected a batch that is a mapping with "x", a tensor x, (x,) or (x, label), '
            f"got {_kind(batch)}"
        )

    def take(self, batch: Any, dtype: torch.dtype) -> Mapping[str, Tensor]:
        """Return a batch as a mapping, its observations as `as_numbers` in the type of the weights.

        Raises:
            TypeError: it is nothing that can be taken for a batch, or an entry is of another kind of number.
            ValueError: an entry is missing or has another shape.

        """
        if self.fits(batch, dtype):
            return batch
        taken = dict(self.entries(batch))
        if self.packing is not None and "x" not in taken:
            taken = packed_entries(taken, self.packing, self.owner, lambda name, x: self._numbers(name, x, dtype))
        for name in self.names:
            value = taken.get(name)
            if isinstance(value, Tensor) and name in ("x", "pair"):
                taken[name] = as_numbers(value, self.observations, dtype)
            elif isinstance(value, Tensor) and name == "label" and value.dtype in _WHOLE:
                taken[name] = value.to(torch.int64)
        self.check(taken, dtype)
        return taken

    def fits(self, batch: Any, dtype: torch.dtype) -> bool:
        """Return whether entries, types and shapes are what they must be."""
        if not isinstance(batch, Mapping) or not isinstance(batch.get("x"), Tensor) or not batch["x"].ndim:
            return False
        x = batch["x"]
        return len(x) > 0 and all(self._entry_fits(name, batch.get(name), dtype, x) for name in self._named(batch))

    def check(self, batch: Any, dtype: torch.dtype) -> None:
        """Refuse a batch for its entries, types or shapes.

        Raises:
            TypeError: it is no mapping, or an entry holds another kind of number.
            ValueError: an entry is missing or has another shape.

        """
        if self.fits(batch, dtype):
            return
        if not isinstance(batch, Mapping):
            raise TypeError(f'{self.owner} expected a batch that is a mapping with "x", got {_kind(batch)}')
        if any(name not in batch for name in self.names):
            wanted, found = _quoted(self.names), _quoted(batch)
            raise ValueError(f"{self.owner} expected batches with {wanted}, got {found or 'none of them'}")
        for name in self._named(batch):
            self._check_entry(name, batch[name], dtype, batch["x"])

    def complete(self, batch: Mapping[str, Tensor]) -> bool:
        """Return whether no observation lacks a modality; waits for the device.

        Raises:
            ValueError: one has none at all.

        """
        if self.packing is None or "present" not in batch:
            return True
        present = batch["present"]
        if not bool(present.any(-1).all()):
            row, names = int(present.any(-1).logical_not().nonzero()[0]), ", ".join(self.packing.names)
            raise ValueError(f"{self.owner} expected at least one of {names} in every row, got none in row {row}")
        return bool(present.all())

    def allows(self, batch: Mapping[str, Tensor]) -> bool:
        """Return whether all values of a batch are allowed; waits for the device."""
        counts = self._counts(batch)
        if counts is not None:
            return bool((self.observations.in_support(batch["x"]) | ~counts).all())
        return all(bool(judge.allows(batch[name])) for name, judge in self._judges)

    def value_checks(self, batch: Mapping[str, Tensor]) -> list[ValueCheck]:
        """Return the checks that decide on all values of a batch, without waiting for the device."""
        counts = self._counts(batch)
        if counts is None:
            return [ValueCheck(*pair) for name, judge in self._judges for pair in judge.witnesses(batch[name])]
        x = batch["x"].flatten(1)
        allowed = self.observations.in_support(batch["x"]).flatten(1) | ~counts.flatten(1)
        first = allowed.view(torch.uint8).argmin(1, keepdim=True)
        return [ValueCheck(self.observations, x.gather(1, first).squeeze(1), allowed.gather(1, first).squeeze(1))]

    def _counts(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Return which values of x are judged, bool (B, *shape); None where all are."""
        if "observed" in self.demands:
            return batch["observed"]
        if isinstance(self.observations, Modalities) and "present" in batch:
            return self.observations.spread(batch["present"])
        return None

    def _numbers(self, name: str, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return observations of one modality in the type of the weights, whole numbers too."""
        expected: Any = PlainNumbers(self.owner)
        if isinstance(self.observations, Modalities):
            expected = self.observations.parts[name]
        return as_numbers(x, expected, dtype).to(dtype)

    @property
    def packing(self) -> Packing | None:
        """The modalities of packed observations; None where x is of one kind."""
        return getattr(self.observations, "packing", None)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The entries that are needed."""
        return ("x", *self.demands)

    @cached_property
    def _judges(self) -> list[tuple[str, Likelihood | PlainNumbers | AllowedRange]]:
        judges: dict[str, Likelihood | PlainNumbers | AllowedRange | None] = {
            "x": self.observations,
            "label": self.labels,
        }
        if "pair" in self.demands:
            judges["pair"] = self.observations
        found = [(name, judge) for name, judge in judges.items() if judge is not None]
        return found if self.value_range is None else [*found, ("x", self.value_range)]

    def _named(self, batch: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the entries of a batch that are checked."""
        return (*self.names, "present") if self.packing is not None and "present" in batch else self.names

    def _shape(self, name: str, x: Any) -> tuple[int, ...]:
        """Return the shape of one observation in an entry: where any will do, that of x."""
        if name == "present":
            return (len(self.packing or ()),)
        own = self.observations.shape
        return () if name == "label" else tuple(x.shape[1:]) if own is None else own

    def _kind(self, name: str, dtype: torch.dtype) -> torch.dtype:
        whole = isinstance(self.observations, PlainNumbers) and self.observations.high is not None
        return torch.int64 if whole and name in ("x", "pair") else _KINDS.get(name, dtype)

    def _entry_fits(self, name: str, value: Any, dtype: torch.dtype, x: Tensor) -> bool:
        return (
            isinstance(value, Tensor)
            and value.dtype == self._kind(name, dtype)
            and tuple(value.shape) == (len(x), *self._shape(name, x))
        )

    def _check_entry(self, name: str, value: Any, dtype: torch.dtype, x: Any) -> None:
        """Raise the error of an entry with another type or shape."""
        kind = self._kind(name, dtype)
        if not isinstance(value, Tensor):
            raise TypeError(f'{self.owner} expected a tensor for "{name}" of a batch, got {_kind(value)}')
        if value.dtype != kind:
            scale = ": scale whole numbers first, such as x / 255" if name == "x" and kind == dtype else ""
            raise TypeError(f'{self.owner} expected "{name}" of {kind}, got {value.dtype}{scale}')
        shape = self._shape(name, x)
        if not value.ndim or tuple(value.shape) != (len(x), *shape) or not len(x):
            who = _name(self.observations) if name == "x" else self.owner
            what = "observations" if name == "x" else f'"{name}"'
            expected = ", ".join(["B", *map(str, shape)]) + ("," if not shape else "")
            raise ValueError(f"{who} expected {what} of shape ({expected}), got {tuple(value.shape)}")


def _name(judge: Judge) -> str:
    return str(getattr(judge, "owner", type(judge).__name__))


def _quoted(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _kind(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
