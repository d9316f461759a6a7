"""Trained runs of a reproduction: found, opened, measured once, and how their configs differ from the paper's."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import UsageError
from lsgen.runs import Job, RunDirectory, Sweep, flatten, read_json, surroundings, write_json

if TYPE_CHECKING:
    from lsgen.reproduction.document import Instrument
    from lsgen.reproduction.paper import PlannedRun
    from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Opener", "compare", "deviations", "finished_jobs", "made", "measure"]

_NOT_SETTINGS = ("run.", "seed", "data.seed")


def finished_jobs(jobs: Sequence[PlannedRun], sweep: Sweep) -> list[tuple[PlannedRun, Job]]:
    """Return the jobs that have finished, with their places in the sweep."""
    found = [(job, of) for job in jobs if (of := sweep.find(job.overrides)) is not None]
    return [(job, of) for job, of in found if sweep.run(of).status()["state"] == "finished"]


def deviations(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[dict[str, list[Any]]]:
    """Return where configs differ from those of the paper, by key: [the paper's value, the other's].

    Args:
        pairs: for each config, the overrides of the paper's and its own.

    """
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from lsgen.cli.compat import apply_overrides
    from lsgen.cli.config.compose import parsed
    from lsgen.cli.config.searchpath import register
    from lsgen.cli.config.sources import register_source
    from lsgen.cli.launchers.plugins import register_plugins

    register_plugins()
    register_source()
    register()
    known: dict[tuple[str, ...], dict[str, Any]] = {}

    def settings(overrides: Sequence[str]) -> dict[str, Any]:
        key = tuple(one for one in overrides if not one.startswith("seed="))
        if key not in known:
            loader = GlobalHydra.instance().config_loader()
            choices, values = parsed(loader, key)
            config = compose("train", overrides=[one.input_line for one in choices])
            apply_overrides(loader, values, config)
            plain: Any = OmegaConf.to_container(config, resolve=False)
            flat = flatten(plain)
            known[key] = {name: value for name, value in flat.items() if not name.startswith(_NOT_SETTINGS)}
        return known[key]

    found = []
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        for there, here in pairs:
            paper, own = settings(there), settings(here)
            keys = [*paper, *(key for key in own if key not in paper)]
            found.append({key: [paper.get(key), own.get(key)] for key in keys if paper.get(key) != own.get(key)})
    return found


class Opener:
    """Opens the trained runs of a reproduction, each once.

    Args:
        places: the finished runs by arm and seed.
        device: where the models go.

    Attributes:
        arrays: (ARM, SEED, METRIC) or (None, None, METRIC) -> what measures and comparisons found.
        seconds: on the clock, of all measuring, also of what was measured before.
        cpu_seconds: of the processor.
        commits: of the code that calculations were made with.

    """

    def __init__(self, places: Mapping[tuple[str, int], RunDirectory], device: str) -> None:
        self._places = dict(places)
        self._device, self._open = device, dict[tuple[str, int], "TrainedRun"]()
        self.arrays: dict[tuple[str | None, int | None, str], Any] = {}
        self.seconds = self.cpu_seconds = 0.0
        self.commits: list[str | None] = []

    def of_arm(self, arm: str) -> list[TrainedRun]:
        """Return the finished runs of an arm, by seed."""
        return [self.open(*key) for key in sorted(self._places) if key[0] == arm]

    def open(self, arm: str, seed: int) -> TrainedRun:
        """Return a finished run.

        Raises:
            RunError: its checkpoint is damaged.
            UsageError: its config names what it may not.

        """
        from lsgen.cli.loading import opened
        from lsgen.cli.output.console import messages
        from lsgen.cli.task import run_variables
        from lsgen.reproduction.runs import TrainedRun

        if (arm, seed) not in self._open:
            directory = self._places[arm, seed]
            with run_variables(directory), messages(None):
                model, data, _ = opened(directory, directory.checkpoint("last"), self._device)
            self._open[arm, seed] = TrainedRun(arm, seed, model.eval(), data, directory.config(), directory)
        return self._open[arm, seed]

    def places(self) -> list[tuple[str, int, RunDirectory]]:
        """Return arm, seed and directory of every finished run."""
        return [(arm, seed, place) for (arm, seed), place in self._places.items()]


def measure(instrument: Instrument, preset: str, opener: Opener, arm: str, seed: int, place: RunDirectory) -> Measured:
    """Measure a run, or read what was measured with the same settings before.

    Raises:
        UsageError: the measure cannot be made or refuses the run.

    """
    file = place.path / "reproduction" / f"{instrument.name}.json"
    settings = instrument.config(preset)
    if (known := _stored(file, settings, opener)) is not None:
        return known
    call = made(instrument, settings)
    run = opener.open(arm, seed)
    with _timed(f"{instrument.name} of {arm}, seed {seed}") as spent, _undisturbed(run):
        found: Measured = call(run)
    return _store(file, settings, found, spent, opener)


def compare(instrument: Instrument, preset: str, opener: Opener, arms: Sequence[str], folder: Path) -> Measured:
    """Measure a quantity of many runs, or of none, or read what was measured of the same runs before.

    Raises:
        UsageError: the comparison cannot be made or refuses the runs.

    """
    file = folder / "comparisons" / f"{instrument.name}.json"
    chosen = {arm: [place.path.name for of, _, place in opener.places() if of == arm] for arm in arms}
    settings = {**instrument.config(preset), "runs": chosen}
    if (known := _stored(file, settings, opener)) is not None:
        return known
    call = made(instrument, instrument.config(preset))
    runs = {arm: opener.of_arm(arm) for arm in arms}
    with _timed(instrument.name) as spent, _undisturbed(*(run for every in runs.values() for run in every)):
        found: Measured = call(runs)
    if not arms:
        spent["commit"] = None if (git := surroundings()["git"]) is None else git["sha"]
    return _store(file, settings, found, spent, opener)


def made(instrument: Instrument, config: Mapping[str, Any]) -> Any:
    """Return what an instrument's config names: a measure, a comparison or a figure.

    Raises:
        UsageError: the config names what it may not, or the constructor refuses its arguments.

    """
    from omegaconf import OmegaConf

    from lsgen.cli.config.construction import instantiate, verify_part

    part = OmegaConf.create(dict(config))
    verify_part(part, instrument.name)
    return instantiate(part, instrument.name)


@contextmanager
def _timed(what: str) -> Iterator[dict[str, Any]]:
    """Print what is measured, and how long it took; yield a mapping of the seconds, filled in at the end."""
    began, spent = (time.monotonic(), time.process_time()), dict[str, Any]()
    print(f"measure  {what}", flush=True)
    try:
        yield spent
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: {error}") from error
    spent |= {"seconds": time.monotonic() - began[0], "cpu_seconds": time.process_time() - began[1]}
    print(f"measured {what}, {spent['seconds']:.1f} s", flush=True)


@contextmanager
def _undisturbed(*runs: TrainedRun) -> Iterator[None]:
    """Seed all random number generators, so that measuring again gives the same."""
    import torch

    from lsgen.callbacks.base import undisturbed

    with undisturbed(torch.nn.ModuleList(run.model for run in runs), 0):
        yield


def _stored(file: Path, settings: Mapping[str, Any], opener: Opener) -> Measured | None:
    import numpy as np

    from lsgen.reproduction.runs import Measured

    if not file.exists():
        return None
    content = read_json(file)
    if content.get("settings") != json.loads(json.dumps(settings)):
        return None
    with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
        values = {key: math.nan if value is None else value for key, value in content["values"].items()}
        found = Measured(values, {key: arrays[key] for key in arrays.files})
    _account(content, opener)
    return found


def _store(
    file: Path, settings: Mapping[str, Any], found: Measured, spent: Mapping[str, Any], opener: Opener
) -> Measured:
    import numpy as np

    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file.with_suffix(".npz"), **found.arrays)
    write_json(file, {"settings": settings, "values": dict(found.values), **spent})
    _account(spent, opener)
    return found


def _account(spent: Mapping[str, Any], opener: Opener) -> None:
    opener.seconds += spent.get("seconds", 0.0)
    opener.cpu_seconds += spent.get("cpu_seconds", 0.0)
    if "commit" in spent:
        opener.commits.append(spent["commit"])
