"""Hydra plugins for sweeps: launchers that freeze every job before they start any, and sweepers over grids and lists.

Hydra takes plugins from modules `hydra_plugins.*` only. These are registered by name when a command line is composed,
so an installed lsgen costs no other Hydra application anything.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from lsgen.cli.config.monitors import check_metric
from lsgen.cli.config.preparation import prepare
from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.base import JobLauncher
from lsgen.cli.launchers.optuna_sweeper import OptunaSweeper
from lsgen.cli.launchers.submission import KINDS, start
from lsgen.cli.launchers.wait import wait_for
from lsgen.cli.sweeps.best_run import name_criterion
from lsgen.cli.sweeps.jobs import JobComposer, freeze_jobs
from lsgen.cli.sweeps.pairing import combinations
from lsgen.runs import Sweep

__all__ = ["Grid", "HydraLauncher", "Listed", "register_plugins"]

_PACKAGE = "hydra_plugins.lsgen"


class HydraLauncher(Launcher):
    """Freezes the jobs that Hydra asks for, then has a launcher of lsgen start those that nobody has run yet."""

    kind: type[JobLauncher]

    def __init__(self, **options: Any) -> None:
        plain: Any = OmegaConf.to_container(OmegaConf.create(options), resolve=True)
        self.launcher = self.kind(**plain)

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep Hydra's context, task function and config."""
        self.config, self.task_function = config, task_function
        self.composer = JobComposer(hydra_context.config_loader, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Freeze all jobs, then start what has not been started; jobs that failed are left to `lsgen sweep retry`.

        Raises:
            UsageError: a config is refused, before any job is started.

        """
        setup_globals()
        if self.config.hydra.sweep.dir != os.environ["LSGEN_SWEEP_DIR"]:
            raise UsageError("the place of a sweep is sweep_dir=PATH, not hydra.sweep.dir")
        with self.task_function.outside():
            sweep = Sweep.create(self.config.hydra.sweep.dir)
            wanted = [list(overrides) for overrides in job_overrides]
            self._name_best(sweep, wanted)
            terms = self.task_function.launch.terms
            freeze = lambda: freeze_jobs(sweep, self.composer, wanted)
            start(sweep, self.launcher, freeze, ("stopped", "skipped"), terms)
            jobs = [job for overrides in wanted if (job := sweep.find(overrides)) is not None]
            self.task_function.launched.extend(job.number for job in jobs)
            if self.config.hydra.sweeper._target_ not in [f"{_PACKAGE}.{one.__name__}" for one in (Grid, Listed)]:
                wait_for(sweep, [job.number for job in jobs])
        returns = [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in wanted]
        for returned, job in zip(returns, jobs, strict=True):
            returned.return_value = sweep.run(job).status().get("metrics")
        return returns

    def _name_best(self, sweep: Sweep, wanted: Sequence[Sequence[str]]) -> None:
        """Note what decides on the best run: what the command line says, else what a search is after.

        Raises:
            UsageError: no run will have that metric.

        """
        asked, sweeper = self.task_function.launch.best, self.config.hydra.sweeper
        if asked is None and "metric" in sweeper and "direction" in sweeper:
            asked = str(sweeper.metric), sweeper.direction == "maximize"
        elif asked is not None:
            composed = self.composer.compose(wanted[0], 0)
            check_metric("best=", asked[0], OmegaConf.create(prepare(composed, None).config))
        if asked is not None:
            with sweep.lock():
                sweep.reload()
                name_criterion(sweep, *asked)
                sweep.save()


class _Planned(Sweeper):
    """Abstract sweeper that knows all jobs beforehand and launches them at once."""

    launcher: Launcher

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep Hydra's context, task function and config."""
        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def parsed(self, arguments: list[str]) -> list[Override]:
        """Return the arguments as Hydra's grammar reads them.

        Raises:
            UsageError: a swept key has no finite list of values.

        """
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        for one in parsed:
            _check_values_to_try(one)
        return list(parsed)


class Grid(_Planned):
    """Sweeper over every combination of the comma-separated values.

    Args:
        zip: groups of keys whose values go together instead.

    """

    def __init__(self, zip: Sequence[Sequence[str]] = ()) -> None:
        self.groups = [list(keys) for keys in zip]

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the grid; the launcher composes each job before it starts any, so none is composed twice."""
        parsed = self.parsed(arguments)
        return [self.launcher.launch(combinations(parsed, self.groups), initial_job_idx=0)]


class Listed(_Planned):
    """Sweeper over the jobs that a file lists.

    Args:
        file: JSON or YAML, a list of jobs, each a list of overrides.
        zip: groups of keys of the command line whose values go together instead of in every combination.

    """

    def __init__(self, file: str, zip: Sequence[Sequence[str]] = ()) -> None:
        self.file = file
        self.groups = [list(keys) for keys in zip]

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the jobs; what the command line sets, it sets in each, and what it sweeps, it sweeps for each.

        Raises:
            UsageError: the file cannot be read or holds anything else.

        """
        try:
            with open(self.file, encoding="utf-8") as file:
                jobs = yaml.safe_load(file)
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"cannot read the jobs in {self.file}: {error}") from error
        listed = isinstance(jobs, list) and all(isinstance(job, list) for job in jobs)
        if not listed or not all(isinstance(override, str) for job in jobs for override in job):
            raise UsageError(f"expected a list of jobs, each a list of overrides such as seed=1, in {self.file}")
        parsed = self.parsed(arguments)
        fixed = [text for text, one in zip(arguments, parsed, strict=True) if not one.is_sweep_override()]
        swept = combinations([one for one in parsed if one.is_sweep_override()], self.groups)
        every = [[*job, *fixed, *more] for job in jobs for more in swept]
        return [self.launcher.launch(every, initial_job_idx=0)]


def _check_values_to_try(override: Any) -> None:
    """Refuse a swept override without a finite list of values."""
    if not override.is_sweep_override():
        return
    value, key, written = override.value(), override.get_key_element(), override.input_line
    if isinstance(value, IntervalSweep):
        raise UsageError(f"an interval has no grid: give {key} values, or hydra/sweeper=optuna, got {written}")
    if isinstance(value, RangeSweep) and not value.step:
        raise UsageError(f"expected a step other than 0 for {key}, got {written}")
    if next(iter(override.sweep_iterator()), None) is None:
        raise UsageError(f"expected a value to try for {key}, got {written}, which holds none")


def register_plugins() -> None:
    """Make the launchers and sweepers known to Hydra, under a module `hydra_plugins.lsgen` that exists in memory."""
    try:
        parent = importlib.import_module("hydra_plugins")
    except ImportError:
        parent = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
        parent.__path__ = []
    module = ModuleType(_PACKAGE)
    launchers = [type(name, (HydraLauncher,), {"kind": kind}) for name, kind in KINDS.items()]
    for plugin in (*launchers, Grid, Listed, OptunaSweeper):
        plugin.__module__ = _PACKAGE
        setattr(module, plugin.__name__, plugin)
        Plugins.instance().register(plugin)
    sys.modules[_PACKAGE] = module
    setattr(parent, _PACKAGE.rpartition(".")[2], module)
