"""Search with Optuna, in a study that is kept in the sweep directory and goes on after any kill.

A trial is a job like any other: its overrides are its identity, so a trial that was cut short goes on where its run
directory stands, with the same parameters, and is told to the study once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from lsgen.cli.errors import UsageError

__all__ = ["OptunaSweeper"]

_JOB = "lsgen:overrides"


class OptunaSweeper(Sweeper):
    """Asks an Optuna study for parameters and tells it what became of them. See conf/hydra/sweeper/optuna.yaml."""

    hydra_context: Any
    launcher: Launcher
    config: Any

    def __init__(
        self,
        metric: str,
        direction: str = "maximize",
        n_trials: int = 20,
        n_jobs: int = 1,
        storage: str | None = None,
        study_name: str = "lsgen",
        seed: int | None = 0,
        sampler: str = "TPESampler",
        sampler_options: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if value < 1:
                raise UsageError(f"expected hydra.sweeper.{name} of at least 1, got {value}")
        if direction not in ("maximize", "minimize"):
            raise UsageError(f"expected hydra.sweeper.direction maximize or minimize, got {direction!r}")
        self.metric, self.direction, self.n_trials, self.n_jobs = metric, direction, n_trials, n_jobs
        self.storage, self.study_name, self.seed, self.sampler = storage, study_name, seed, sampler
        self.sampler_options: Any = OmegaConf.to_container(OmegaConf.create(dict(sampler_options or {})))

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep what Hydra gives."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has `n_trials` that ended, `n_jobs` at a time.

        Raises:
            UsageError: Optuna is not installed, a sweep has no counterpart there, or the metric is not measured.

        """
        parsed = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(arguments)
        fixed = [str(one.input_line) for one in parsed if not one.is_sweep_override()]
        space = dict(_space(parsed))
        if not space:
            raise UsageError("expected something to search, such as model.objective.beta='interval(1,8)', got none")
        study = self._study()
        while batch := self._next(study, space, fixed):
            returns = self.launcher.launch([job for _, job in batch], initial_job_idx=batch[0][0])
            for (number, _), returned in zip(batch, returns, strict=True):
                self._tell(study, number, returned.return_value or {})
        self._conclude(study)

    def _next(self, study: Any, space: Mapping[str, Any], fixed: Sequence[str]) -> list[tuple[int, list[str]]]:
        """Return numbers and overrides of the trials to run now: those cut short first, then new ones."""
        from optuna.trial import TrialState

        unfinished = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
        batch = []
        for trial in unfinished:
            if _JOB in trial.user_attrs:
                batch.append((trial.number, list(trial.user_attrs[_JOB])))
            else:  # killed before it had all of its parameters
                study.tell(trial.number, state=TrialState.FAIL)
        ended = sum(trial.state == TrialState.COMPLETE or _JOB in trial.user_attrs for trial in study.trials)
        for _ in range(min(self.n_jobs - len(batch), self.n_trials - ended)):
            new = study.ask(space)
            job = [*fixed, *(f"{key}={_text(value)}" for key, value in new.params.items())]
            new.set_user_attr(_JOB, job)
            batch.append((new.number, job))
        return batch[: self.n_jobs]

    def _tell(self, study: Any, number: int, metrics: Mapping[str, float]) -> None:
        from optuna.trial import TrialState

        if metrics and self.metric not in metrics:
            raise UsageError(
                f"expected hydra.sweeper.metric among the final metrics {', '.join(metrics)}, got {self.metric!r}"
            )
        if metrics and isfinite(metrics[self.metric]):
            study.tell(number, metrics[self.metric])
        else:
            study.tell(number, state=TrialState.FAIL)

    def _study(self) -> Any:
        try:
            import optuna
            import optuna.storages.journal
        except ImportError as error:
            raise UsageError("hydra/sweeper=optuna needs Optuna: pip install 'lsgen[optuna]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kind = getattr(optuna.samplers, self.sampler, None)
        if kind is None:
            raise UsageError(f"expected hydra.sweeper.sampler to be a class of optuna.samplers, got {self.sampler!r}")
        storage: Any = self.storage
        if storage is None:
            place = Path(self.config.hydra.sweep.dir)
            place.mkdir(parents=True, exist_ok=True)
            backend = optuna.storages.journal.JournalFileBackend(os.fspath(place / "optuna.journal"))
            storage = optuna.storages.JournalStorage(backend)
        about: dict[str, Any] = {"study_name": self.study_name, "direction": self.direction, "load_if_exists": True}
        study = optuna.create_study(storage=storage, **about)
        # A study that goes on must not draw again what it drew first.
        seeded = {} if self.seed is None else {"seed": self.seed + len(study.trials)}
        study.sampler = kind(**seeded, **self.sampler_options)
        return study

    def _conclude(self, study: Any) -> None:
        from optuna.trial import TrialState

        complete = study.get_trials(states=[TrialState.COMPLETE])
        if complete:
            best = study.best_trial
            print(f"best     {self.metric} {best.value:.6g} of {len(complete)} trials with {best.params}", flush=True)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _space(overrides: Sequence[Override]) -> Iterator[tuple[str, Any]]:
    """Yield key and Optuna distribution of everything that is swept."""
    for override in overrides:
        if not override.is_sweep_override():
            continue
        key, value = override.get_key_element(), override.value()
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(value, IntervalSweep):
            log = "log" in value.tags
            whole = isinstance(value.start, int) and isinstance(value.end, int) and "int" in value.tags
            kind: Any = IntDistribution if whole else FloatDistribution
            yield key, kind(value.start, value.end, log=log)
        elif isinstance(value, RangeSweep) and all(isinstance(n, int) for n in (value.start, value.stop, value.step)):
            yield key, IntDistribution(int(value.start or 0), int(value.stop or 0) - 1, step=int(value.step))
        elif isinstance(value, ChoiceSweep | RangeSweep):
            choices: Any = list(override.sweep_iterator(transformer=Transformer.encode))
            yield key, CategoricalDistribution(choices)
        else:
            raise UsageError(f"expected choice, range or interval for {key}, got {override.input_line}")
