"""What target.yaml of a paper says: presets, arms, published numbers and claims, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Arm", "ArmPreset", "Claim", "Data", "Document", "Inequality", "Instrument", "Preset", "Side", "Target"]

_Fidelity = Literal["exact", "other-preprocessing", "regenerated", "reduced", "synthetic"]


@dataclass(frozen=True)
class Data:
    """How near the data are to those of the paper.

    Attributes:
        fidelity: "exact" for the paper's own data, prepared as there; only these can reproduce a number.
        reason: what differs; needed unless they are exact.

    """

    fidelity: _Fidelity
    reason: str = ""

    def __post_init__(self) -> None:
        if self.fidelity != "exact" and not self.reason:
            raise ValueError(f"expected a reason why the data are {self.fidelity}, got none")


@dataclass(frozen=True)
class Preset:
    """A schedule.

    Attributes:
        seeds: of every arm; none where the paper has no arms.
        overrides: Hydra overrides of all arms, by key.
        arms: the arms that it runs; all if None.
        minutes: measured time of all arms together, with measuring.
        machine: where that was measured, in words.

    """

    seeds: tuple[int, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    arms: tuple[str, ...] | None = None
    minutes: float | None = None
    machine: str = ""

    def __post_init__(self) -> None:
        _check_distinct(self.seeds)


@dataclass(frozen=True)
class ArmPreset:
    """What a preset changes in one arm."""

    seeds: tuple[int, ...] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds is not None:
            _check_distinct(self.seeds)


@dataclass(frozen=True)
class Arm:
    """A setting that is compared: an experiment with overrides."""

    experiment: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, ArmPreset] = field(default_factory=dict)


@dataclass(frozen=True)
class Instrument:
    """A measure, a comparison or a figure: what makes it, and of which arms.

    Attributes:
        name: its name in target.yaml.
        target: the class or function that makes it.
        arms: whose runs it takes; all if None. A comparison of no arm is a calculation, for which nothing is trained.
        options: arguments of its constructor.
        presets: what a preset changes in the arguments.

    """

    name: str
    target: str
    arms: tuple[str, ...] | None
    options: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]]

    def config(self, preset: str) -> dict[str, Any]:
        """Return the mapping with `_target_` from which it is made."""
        return {"_target_": self.target, **self.options, **self.presets.get(preset, {})}


@dataclass(frozen=True)
class Side:
    """A measured quantity: a metric of an arm's runs, or one of a comparison."""

    metric: str
    arm: str | None = None


@dataclass(frozen=True)
class Target:
    """A published number.

    Attributes:
        metric: key of a final metric of the runs, MEASURE/KEY or COMPARISON/KEY.
        published: the published value.
        where: table or figure of the paper.
        source: who printed it, with an address.
        provenance: whether it was read there, read where others quote it, or is from memory.
        tolerance: how far the mean may be from it.
        reason: why as far as that.
        arm: whose runs; None for a comparison.
        direction: "lower": smaller values than the published one are as good; "higher": greater ones; or neither.
        spread: published standard deviation.
        n: published number of runs.
        data: where they differ from those of the rest of the paper.

    """

    metric: str
    published: float
    where: str
    source: str
    provenance: Literal["read", "quoted", "unverified"]
    tolerance: float
    reason: str
    arm: str | None = None
    direction: Literal["two-sided", "lower", "higher"] = "two-sided"
    spread: float | None = None
    n: int | None = None
    data: Data | None = None

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise ValueError(f"expected a tolerance of at least 0, got {self.tolerance}")

    @property
    def side(self) -> Side:
        """What is compared with the published value."""
        return Side(self.metric, self.arm)


@dataclass(frozen=True)
class Inequality:
    """larger - smaller > margin."""

    smaller: Side | float
    larger: Side | float
    margin: float = 0.0

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are measured."""
        return tuple(side for side in (self.smaller, self.larger) if isinstance(side, Side))

    def __post_init__(self) -> None:
        if not self.sides:
            raise ValueError("expected a measured quantity on at least one side, got two numbers")


@dataclass(frozen=True)
class Claim:
    """A statement that holds if all its inequalities do, each at 5 %.

    Attributes:
        statement: in one sentence.
        inequalities: what it says of the numbers.
        test: see `lsgen.reproduction.significance`.
        reason: why this test and these margins.
        statistic: what "seeds_and_items" takes of values (seeds, items).

    """

    statement: str
    inequalities: tuple[Inequality, ...]
    test: Literal["seeds", "seeds_and_items"]
    reason: str
    statistic: Literal["mean", "coefficient_of_variation"] = "mean"

    def __post_init__(self) -> None:
        if not self.inequalities:
            raise ValueError("expected at least one inequality, got none")


@dataclass(frozen=True)
class Document:
    """The keys of target.yaml."""

    title: str
    authors: str
    year: int
    url: str
    claim: str
    data: Data
    presets: Mapping[str, Preset]
    arms: Mapping[str, Arm] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _check_distinct(seeds: tuple[int, ...]) -> None:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"expected distinct seeds, got {list(seeds)}")
