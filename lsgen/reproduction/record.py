"""Attempts at a paper on disk: what each recorded run of a reproduction gave.

results/NAME.json    preset, time, versions, machine; of every run its seed, seconds and values; of every comparison its
                     values; the targets and claims as they were; how the configs differ from the paper's
results/NAME.npz     values of items that tests of claims need: ARM/SEED/METRIC (items,), or /METRIC (seeds, items)

Verdicts are not among them: they follow from these by rule, see `lsgen.reproduction.verdicts`.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from lsgen.reproduction.document import Claim, Data, Side, Target
from lsgen.reproduction.paper import Paper
from lsgen.reproduction.reading import read
from lsgen.runs import RunError
from lsgen.runs.files import read_json, write_json

__all__ = [
    "RESULTS",
    "Attempt",
    "RunRecord",
    "attempts",
    "check_recordable",
    "committed_first",
    "figures_of",
    "judged_by",
]

RESULTS = "results"


@dataclass(frozen=True)
class RunRecord:
    """What one run gave.

    Attributes:
        arm: its setting.
        seed: its seed.
        state: "finished", or where it stands.
        values: its final metrics that are compared, and what measures found.
        seconds: how long it trained and tested; None where that is not known.
        cpu_seconds: of its processor, which a busy machine does not lengthen.
        steps: its generator steps.
        deviations: key -> [the paper's value, this run's], where its config differs from that of the preset `paper`.
        commit: the commit of the code that it was submitted with.

    """

    arm: str
    seed: int
    state: str
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    cpu_seconds: float | None = None
    steps: int | None = None
    deviations: Mapping[str, Any] = field(default_factory=dict)
    commit: str | None = None


@dataclass(frozen=True)
class _Judged:
    """Data, targets and claims as target.yaml has them."""

    data: Data
    targets: Mapping[str, Target]
    claims: Mapping[str, Claim]


@dataclass(frozen=True)
class Attempt:
    """One run of a whole reproduction.

    Attributes:
        name: time and preset; the name of its files.
        preset: the schedule.
        time: when it was evaluated.
        runs: one for each arm and seed.
        values: what comparisons found, under COMPARISON/KEY.
        versions: package -> version.
        machine: processor, cores, memory and GPU in words.
        compared: comparison -> the arms whose runs it took.
        minutes: on the clock, of all training and measuring one after another.
        cpu_minutes: of the processor.
        committed_first: whether all runs were submitted, and all calculations made, with a commit that had these
            targets and claims; None where there is no repository to ask.
        judged: the data, targets and claims, as they stood.
        arrays: (ARM, SEED, METRIC) or (None, None, METRIC) -> values of items.

    """

    name: str
    preset: str
    time: str
    runs: tuple[RunRecord, ...]
    values: Mapping[str, float]
    versions: Mapping[str, str]
    machine: str
    compared: Mapping[str, Sequence[str]]
    minutes: float
    cpu_minutes: float
    committed_first: bool | None
    judged: Mapping[str, Any]
    arrays: Mapping[tuple[str | None, int | None, str], NDArray[Any]] = field(default_factory=dict)

    @cached_property
    def _document(self) -> _Judged:
        return read(_Judged, dict(self.judged), self.name)

    @property
    def data(self) -> Data:
        """How near the data are to those of the paper."""
        return self._document.data

    @property
    def targets(self) -> Mapping[str, Target]:
        """The published numbers as they stood when the attempt was made."""
        return self._document.targets

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims as they stood when the attempt was made."""
        return self._document.claims

    def values_of(self, side: Side) -> dict[int | None, float]:
        """Return a quantity by seed; of a comparison the one value under None; empty if it was not measured."""
        if side.arm is None:
            return {None: self.values[side.metric]} if side.metric in self.values else {}
        runs = [run for run in self.runs if run.arm == side.arm and side.metric in run.values]
        return {run.seed: run.values[side.metric] for run in runs}

    def items_of(self, side: Side) -> dict[int | None, NDArray[Any]]:
        """Return the items of a quantity by seed; of a comparison one array (seeds, items) under None."""
        return {seed: x for (arm, seed, metric), x in self.arrays.items() if (arm, metric) == (side.arm, side.metric)}

    def write(self, folder: Path) -> Path:
        """Write the attempt and return its json file.

        Raises:
            RunError: the place cannot be written.

        """
        place = folder / f"{self.name}.json"
        kept = (one.name for one in fields(self) if one.name not in ("arrays", "runs", "name"))
        content = {key: getattr(self, key) for key in kept}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(place, {**content, "runs": [asdict(run) for run in self.runs]})
            if self.arrays:
                named = {
                    metric if arm is None else f"{arm}/{seed}/{metric}": x.astype(np.float32)
                    for (arm, seed, metric), x in self.arrays.items()
                }
                np.savez_compressed(place.with_suffix(".npz"), **named)  # type: ignore[arg-type]
        except OSError as error:
            raise RunError(f"cannot write {place}: {error.strerror or error}") from error
        return place

    @classmethod
    def open(cls, file: Path, arms: Sequence[str]) -> Attempt:
        """Read an attempt.

        Raises:
            RunError: the file is damaged.

        """
        try:
            content = read_json(file)
            runs = tuple(RunRecord(**{**run, "values": _numbers(run["values"])}) for run in content.pop("runs"))
            content["values"] = _numbers(content["values"])
            arrays = _arrays(file.with_suffix(".npz"), arms)
            return cls(name=file.stem, runs=runs, arrays=arrays, **content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot read {file}: {error}") from error


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return values with NaN for what JSON could not hold."""
    return {key: math.nan if value is None else value for key, value in values.items()}


def _arrays(file: Path, arms: Sequence[str]) -> dict[tuple[str | None, int | None, str], NDArray[Any]]:
    if not file.exists():
        return {}
    found: dict[tuple[str | None, int | None, str], NDArray[Any]] = {}
    with np.load(file, allow_pickle=False) as stored:
        for key in stored.files:
            arm, _, rest = key.partition("/")
            seed, _, metric = rest.partition("/")
            of_arm = arm in arms and seed.isdecimal()
            found[(arm, int(seed), metric) if of_arm else (None, None, key)] = stored[key]
    return found


def judged_by(paper: Paper) -> dict[str, Any]:
    """Return what judges a paper, as plain containers: data, targets and claims."""
    document = paper.document
    found: dict[str, Any] = _plain(asdict(_Judged(document.data, document.targets, document.claims)))
    return found


def _plain(node: Any) -> Any:
    """Return containers with lists in place of tuples, as a file has them."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list | tuple) else node


def attempts(paper: Paper) -> list[Attempt]:
    """Return the recorded attempts at a paper, the oldest first.

    Raises:
        RunError: a file is damaged.

    """
    return [Attempt.open(file, list(paper.document.arms)) for file in sorted((paper.folder / RESULTS).glob("*.json"))]


def figures_of(paper: Paper) -> list[str]:
    """Return the names of the recorded figures of a paper, in the order in which they are shown."""
    names = ("targets", "claims", *(figure.name for figure in paper.figures))
    return [name for name in names if (paper.folder / RESULTS / "figures" / f"{name}.png").exists()]


def committed_first(paper: Paper, commits: Sequence[str | None]) -> bool | None:
    """Return whether commits have today's data, targets and claims of a paper; None if one of them is not known.

    Args:
        paper: the paper.
        commits: those that its runs were submitted with and its calculations made with.

    """
    now, git = judged_by(paper), ["git", "-C", str(paper.folder)]
    for commit in set(commits):
        known = commit is not None and _ask([*git, "cat-file", "-e", f"{commit}^{{commit}}"]) is not None
        if not known:
            return None
        then = _ask([*git, "show", f"{commit}:./target.yaml"])
        if then is None or _judged_in(then) != now:
            return False
    return True


def _judged_in(text: str) -> dict[str, Any] | None:
    """Return what judges a paper by a target.yaml that may be of another time; None if it cannot be read today."""
    try:
        document = yaml.safe_load(text)
        judged = read(_Judged, {key: document.get(key, {}) for key in ("data", "targets", "claims")}, "then")
    except (yaml.YAMLError, AttributeError, RunError):
        return None
    found: dict[str, Any] = _plain(asdict(judged))
    return found


def _ask(command: Sequence[str]) -> str | None:
    """Return the output of a command; None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def check_recordable(paper: Paper, preset: str, only: str | None) -> None:
    """Refuse to keep an attempt that would not be one at the whole paper, by targets that are committed.

    Raises:
        RunError: what is in the way.

    """
    if preset == "smoke" or only is not None:
        raise RunError(
            f"expected a whole reproduction to record, got {f'--only {only}' if only else 'the preset smoke'}"
        )
    here = Path("experiments", paper.name).absolute()
    if paper.folder != here:
        raise RunError(f"expected {paper.name} among the experiments of a checkout, at {here}, got {paper.folder}")
    git = ["git", "-C", str(here)]
    for command in (("ls-files", "--error-unmatch"), ("diff", "--quiet", "HEAD", "--")):
        if _ask([*git, *command, "target.yaml"]) is None:
            raise RunError(
                f"expected {here / 'target.yaml'} to be committed before its results are recorded, got changes"
            )
