"""A paper to reproduce: its published numbers and claims, and the runs that examine them.

experiments/PAPER/target.yaml states all of it before anything runs. Each arm is a setting of an experiment; each arm
and seed is one run, a job of one sweep. A preset changes the schedule of all arms: `paper` is the paper's own, `cpu`
what the recorded results come from, `smoke` takes seconds and shows that everything works. What follows without
training is a comparison of no arm, a calculation; a paper of such alone has no arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lsgen.reproduction.document import ArmPreset, Document, Instrument, Side
from lsgen.reproduction.reading import read
from lsgen.runs import RunError
from lsgen.runs.files import read_yaml

__all__ = ["PRESETS", "Paper", "PlannedRun", "find_paper", "grammar", "papers"]

PRESETS = ("paper", "cpu", "smoke")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a reproduction: an arm with a seed, and the Hydra overrides that make it."""

    arm: str
    seed: int
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Paper:
    """A paper to reproduce.

    Attributes:
        name: of its folder.
        folder: the folder, with target.yaml and results.
        document: what target.yaml says.
        measures: what is measured on each run after training.
        comparisons: what is measured over all runs together.
        figures: what is drawn, beyond the figures of every paper.

    """

    name: str
    folder: Path
    document: Document
    measures: tuple[Instrument, ...]
    comparisons: tuple[Instrument, ...]
    figures: tuple[Instrument, ...]

    @classmethod
    def read(cls, folder: Path) -> Paper:
        """Read target.yaml of a folder.

        Raises:
            RunError: it cannot be read, has an unknown key, a value of the wrong kind, or names an arm that it lacks.

        """
        file = folder / "target.yaml"
        where = f"{folder.name}/{file.name}"
        try:
            document = read(Document, read_yaml(file), where)
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {file}: {error}") from error
        measures, comparisons = (
            tuple(_instrument(name, node, where) for name, node in part.items())
            for part in (document.measures, document.comparisons)
        )
        figures = tuple(_instrument(name, node, where, of_runs=False) for name, node in document.figures.items())
        paper = cls(folder.name, folder, document, measures, comparisons, figures)
        paper._check(where)
        return paper

    def _check(self, where: str) -> None:
        document = self.document
        if set(document.presets) != set(PRESETS):
            raise RunError(f"{where}: expected the presets {', '.join(PRESETS)}, got {', '.join(document.presets)}")
        if not document.targets and not document.claims:
            raise RunError(f"{where}: expected targets or claims, got neither")
        if self.measures and not document.arms:
            raise RunError(f"{where}: measures: expected arms whose runs are measured, got none")
        for instrument in (*self.measures, *self.comparisons):
            for arm in instrument.arms or ():
                self._check_arm(arm, f"{where}: {instrument.name}")
        for name, preset in document.presets.items():
            for arm in preset.arms or ():
                self._check_arm(arm, f"{where}: presets.{name}")
            if preset.arms == ():
                raise RunError(f"{where}: presets.{name}: expected at least one arm, got none")
            if document.arms and not preset.seeds:
                raise RunError(f"{where}: presets.{name}: expected at least one seed, got none")
            if not document.arms and (preset.seeds or preset.overrides):
                raise RunError(f"{where}: presets.{name}: expected arms that seeds and overrides are of, got none")
            if lacking := set(self.arms(name)) - set(self.arms("paper")):
                raise RunError(
                    f"{where}: presets.{name}: expected arms that the preset paper runs, got {min(lacking)!r}"
                )
        for name, side in self.sides_by_name():
            if side.arm is not None:
                self._check_arm(side.arm, f"{where}: {name}")
            elif side.metric.partition("/")[0] not in {one.name for one in self.comparisons}:
                raise RunError(f"{where}: {name}: expected an arm for {side.metric!r}, which is of no comparison")
        for arm, about in document.arms.items():
            if unknown := set(about.presets) - set(PRESETS):
                raise RunError(f"{where}: arms.{arm}: expected presets among {', '.join(PRESETS)}, got {unknown}")

    def _check_arm(self, arm: str, where: str) -> None:
        if arm not in self.document.arms:
            raise RunError(f"{where}: expected an arm among {', '.join(self.document.arms)}, got {arm!r}")

    def sides_by_name(self) -> Iterable[tuple[str, Side]]:
        """Yield what the targets and claims compare, each with the name of its target or claim."""
        for name, target in self.document.targets.items():
            yield name, target.side
        for name, claim in self.document.claims.items():
            for inequality in claim.inequalities:
                yield from ((name, side) for side in inequality.sides)

    def sides(self, only: str | None = None) -> list[Side]:
        """Return what the targets and claims compare, or one of them.

        Raises:
            RunError: there is no target or claim of that name.

        """
        known = [*self.document.targets, *self.document.claims]
        if only is not None and only not in known:
            raise RunError(f"expected a target or claim among {', '.join(known)}, got {only!r}")
        return [side for name, side in self.sides_by_name() if only in (None, name)]

    def needed_arms(self, only: str | None = None) -> list[str]:
        """Return the arms that a target or claim needs; all of them unless one is named."""
        if only is None:
            return list(self.document.arms)
        needed = set[str]()
        for side in self.sides(only):
            name = side.metric.partition("/")[0]
            compared = [one for one in self.comparisons if side.arm is None and one.name == name]
            needed |= {side.arm} if side.arm is not None else set(self.compared_arms(compared[0]))
        return [arm for arm in self.document.arms if arm in needed]

    def compared_arms(self, comparison: Instrument) -> tuple[str, ...]:
        """Return the arms whose runs a comparison takes; none of a calculation."""
        return tuple(self.document.arms) if comparison.arms is None else comparison.arms

    def calculations(self, only: str | None = None) -> list[Instrument]:
        """Return the comparisons of no arm that a target or claim needs; all of them unless one is named."""
        named = {side.metric.partition("/")[0] for side in self.sides(only) if side.arm is None}
        return [one for one in self.comparisons if not self.compared_arms(one) and (only is None or one.name in named)]

    def arms(self, preset: str) -> list[str]:
        """Return the arms that a preset runs."""
        chosen = self.document.presets[preset].arms
        return [arm for arm in self.document.arms if chosen is None or arm in chosen]

    def jobs(self, preset: str, arms: Iterable[str]) -> list[PlannedRun]:
        """Return the runs of those arms that a preset runs.

        What the preset sets beats the arm, and what the arm sets for the preset beats both.
        """
        general, chosen = self.document.presets[preset], self.arms(preset)
        found = []
        for name in (arm for arm in arms if arm in chosen):
            arm = self.document.arms[name]
            own = arm.presets.get(preset, ArmPreset())
            settings = {"experiment": arm.experiment, **arm.overrides, **general.overrides, **own.overrides}
            lines = [f"{key}={grammar(value)}" for key, value in settings.items()]
            for seed in general.seeds if own.seeds is None else own.seeds:
                found.append(PlannedRun(name, seed, (*lines, f"seed={seed}")))
        return found


def grammar(value: Any) -> str:
    """Return a value as Hydra's override grammar writes it.

    Example:
        >>> grammar({"a": [1, None, "b c"]})
        "{a:[1,null,'b c']}"

    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{grammar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(grammar, value)) + "]"
    if isinstance(value, str):
        plain = value.replace("_", "").replace("-", "").replace(".", "").isalnum() and not value[0].isdigit()
        reserved = value.lower() in ("null", "true", "false", "nan", "inf")
        return value if plain and not reserved else "'" + value.replace("'", "\\'") + "'"
    return repr(value)


def papers() -> list[Path]:
    """Return the folders of papers: those below ./experiments, then those that ship with lsgen."""
    shipped = Path(next(iter(import_module("lsgen.experiments").__path__)))
    found: dict[str, Path] = {}
    for place in (Path("experiments").absolute(), shipped):
        for file in sorted(place.glob("*/target.yaml")):
            found.setdefault(file.parent.name, file.parent)
    return [found[name] for name in sorted(found)]


def find_paper(name: str) -> Paper:
    """Return the paper of a name.

    Raises:
        RunError: there is none, or its target.yaml is refused.

    """
    known = {folder.name: folder for folder in papers()}
    if name not in known:
        raise RunError(f"expected a paper among {', '.join(known) or 'none'}, got {name!r}")
    return Paper.read(known[name])


def _instrument(name: str, node: Mapping[str, Any], where: str, *, of_runs: bool = True) -> Instrument:
    """Return what a mapping describes; the arms of a figure, which asks for runs itself, are its own argument."""
    options = dict(node)
    target, presets = options.pop("_target_", None), options.pop("presets", {})
    arms = options.pop("arms", None) if of_runs else None
    if not isinstance(target, str):
        raise RunError(f"{where}: {name}: expected _target_, the name of a class, got {target!r}")
    if not set(presets) <= set(PRESETS):
        raise RunError(f"{where}: {name}: expected presets among {', '.join(PRESETS)}, got {', '.join(presets)}")
    return Instrument(name, target, None if arms is None else tuple(arms), options, presets)
