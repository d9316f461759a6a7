"""Hyperparameter search with Optuna; its study is kept in the sweep directory and resumes after any kill.

A trial is a job like any other: its overrides are its identity, so a trial that was cut short goes on where its run
directory stands, with the same parameters, and is told to the study once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from lsgen.cli.config.annotations import check_values
from lsgen.cli.config.monitors import check_metric
from lsgen.cli.config.preparation import prepare
from lsgen.cli.config.schema import MAX_SEED
from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.optuna_space import as_override, distribution, one_of
from lsgen.cli.sweeps.jobs import JobComposer
from lsgen.cli.sweeps.studies import OVERRIDES, make_pruner, open_storage
from lsgen.cli.sweeps.terms import skip_reason
from lsgen.runs import Sweep, redact

__all__ = ["OptunaSweeper"]


class OptunaSweeper(Sweeper):
    """Runs trials with parameters of an Optuna study and tells it their metrics: see conf/hydra/sweeper/optuna.yaml."""

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
        pruner: str | Mapping[str, Any] | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "sampler_options", "pruner")}
        check_values("hydra.sweeper", OptunaSweeper, given)
        for name, value in (("n_trials", n_trials), ("n_jobs", n_jobs)):
            if value < 1:
                raise UsageError(f"expected hydra.sweeper.{name} of at least 1, got {value}")
        if direction not in ("maximize", "minimize"):
            raise UsageError(f"expected hydra.sweeper.direction maximize or minimize, got {direction!r}")
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise UsageError(f"expected hydra.sweeper.seed from 0 to {MAX_SEED}, got {seed}")
        self.metric, self.direction, self.n_trials, self.n_jobs = metric, direction, n_trials, n_jobs
        self.storage, self.study_name, self.seed, self.sampler = storage, study_name, seed, sampler
        self.sampler_options: Any = OmegaConf.to_container(OmegaConf.create(dict(sampler_options or {})))
        self.pruner: Any = pruner if pruner is None or isinstance(pruner, str) else dict(pruner)
        if pruner is not None and not metric.startswith("val/"):
            raise UsageError(f"expected hydra.sweeper.metric of validations, val/..., for a pruner, got {metric!r}")
        if pruner is not None and storage is not None and redact(storage) != storage:
            raise UsageError("hydra.sweeper.pruner keeps the storage in sweep.json: name one without a password")

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep Hydra's context, task function and config.

        Raises:
            UsageError: the launcher is none of lsgen's: no other hands back the metrics of a trial.

        """
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not str(config.hydra.launcher._target_).startswith("hydra_plugins.lsgen."):
            chosen = config.hydra.runtime.choices["hydra/launcher"]
            raise UsageError(
                f"expected hydra/launcher to be joblib, local, ray or slurm for hydra/sweeper=optuna, got {chosen}, "
                "which does not hand back the metrics of a trial"
            )

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has `n_trials` that ended, `n_jobs` at a time.

        Raises:
            UsageError: Optuna is not installed, a sweep has no counterpart there, or the metric is not measured.

        """
        parsed = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(arguments)
        fixed = [str(one.input_line) for one in parsed if not one.is_sweep_override()]
        sampler = self._sampler()
        if self.pruner is not None:
            make_pruner(self.pruner)
        space = {one.get_key_element(): distribution(one) for one in parsed if one.is_sweep_override()}
        if not space:
            raise UsageError("expected something to search, such as model.objective.beta='interval(1,8)', got none")
        self._check_metric([*fixed, *(f"{key}={as_override(one_of(values))}" for key, values in space.items())])
        study = self._study()
        self._record()
        study.sampler = sampler(len(study.trials))
        while batch := self._next(study, space, fixed):
            self.launcher.launch([job for _, job in batch], initial_job_idx=batch[0][0])
            sweep = Sweep.open(self.config.hydra.sweep.dir)
            over = skip_reason(sweep)
            for number, overrides in batch:
                if (job := sweep.find(overrides)) is not None:
                    run = sweep.run(job)
                    if run.is_locked():  # by one that has outlived the search that started it
                        print(f"waits    {run.path}: another process trains it", flush=True)
                        run.wait_until_free()
                    self._tell(study, number, run.status(), over is not None)
            if over is not None:
                print(f"search   ends: {over}; the same command goes on with it", flush=True)
                break
        self._conclude(study)

    def _record(self) -> None:
        """Write into sweep.json what trials have to know of the search."""
        sweep = Sweep.create(self.config.hydra.sweep.dir)
        with sweep.lock():
            sweep.reload()
            search = {name: getattr(self, name) for name in ("metric", "pruner", "study_name")}
            sweep.about["search"] = {**search, "storage": None if self.pruner is None else self.storage}
            sweep.save()

    def _next(self, study: Any, space: Mapping[str, Any], fixed: Sequence[str]) -> list[tuple[int, list[str]]]:
        """Return numbers and overrides of the trials to run now: those cut short first, then new ones."""
        from optuna.trial import TrialState

        unfinished = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
        batch = []
        for trial in unfinished:
            if OVERRIDES in trial.user_attrs:
                batch.append((trial.number, list(trial.user_attrs[OVERRIDES])))
            else:  # killed before it had all of its parameters
                study.tell(trial.number, state=TrialState.FAIL)
        ended = sum(trial.state == TrialState.COMPLETE or OVERRIDES in trial.user_attrs for trial in study.trials)
        for _ in range(min(self.n_jobs - len(batch), self.n_trials - ended)):
            new = study.ask(space)
            job = [*fixed, *(f"{key}={as_override(value)}" for key, value in new.params.items())]
            new.set_user_attr(OVERRIDES, job)
            batch.append((new.number, job))
        return batch[: self.n_jobs]

    def _tell(self, study: Any, number: int, status: Mapping[str, Any], over: bool) -> None:
        """Tell a study how a trial ended, unless the terms of the launch cut it short and it can go on."""
        from optuna.trial import TrialState

        if over and status["state"] in ("created", "interrupted"):
            return
        if status["state"] == "pruned":
            study.tell(number, state=TrialState.PRUNED)
            return
        metrics = status.get("metrics", {})
        if metrics and self.metric not in metrics:
            raise UsageError(
                f"expected hydra.sweeper.metric among the final metrics {', '.join(metrics)}, got {self.metric!r}"
            )
        if metrics and isfinite(metrics[self.metric]):
            study.tell(number, metrics[self.metric])
        else:
            study.tell(number, state=TrialState.FAIL)

    def _check_metric(self, overrides: Sequence[str]) -> None:
        """Refuse a metric that no trial will have, before the first one."""
        composed = JobComposer(self.hydra_context.config_loader, self.config).compose(overrides, 0)
        check_metric("hydra.sweeper.metric", self.metric, OmegaConf.create(prepare(composed, None).config))

    def _sampler(self) -> Callable[[int], Any]:
        """Return a factory of samplers by the number of trials so far: a resumed study must not draw the same again."""
        try:
            import optuna
        except ImportError as error:
            raise UsageError("hydra/sweeper=optuna needs Optuna: pip install 'lsgen[optuna]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        kind = getattr(optuna.samplers, self.sampler, None)
        if kind is None:
            raise UsageError(f"expected hydra.sweeper.sampler to be a class of optuna.samplers, got {self.sampler!r}")

        def make(trials: int) -> Any:
            seeded = {} if self.seed is None else {"seed": (self.seed + trials) % (MAX_SEED + 1)}
            try:
                return kind(**seeded, **self.sampler_options)
            except (TypeError, ValueError) as error:
                raise UsageError(f"hydra.sweeper.sampler={self.sampler} with its sampler_options: {error}") from error

        make(0)
        return make

    def _study(self) -> Any:
        """Return the study, loaded from its storage if it exists there.

        Raises:
            UsageError: what keeps it cannot be opened, or the study that is there goes another way.

        """
        import optuna

        journal = Path(self.config.hydra.sweep.dir) / "optuna.journal"
        place = redact(self.storage or str(journal))
        try:
            storage: Any = open_storage(self.storage, journal.parent)
            about: dict[str, Any] = {"study_name": self.study_name, "direction": self.direction, "load_if_exists": True}
            study = optuna.create_study(storage=storage, **about)
        except Exception as error:  # the driver of a database raises nearly anything
            said = str(error.__cause__ or error).strip().splitlines()[:1] or [type(error).__name__]
            raise UsageError(f"cannot keep the study in {place} (hydra.sweeper.storage): {said[0]}") from error
        if study.direction.name.lower() != self.direction:
            there = study.direction.name.lower()
            raise UsageError(
                f"expected hydra.sweeper.direction={there}, which the study {self.study_name} in {place} has, got "
                f"{self.direction}"
            )
        return study

    def _conclude(self, study: Any) -> None:
        from optuna.trial import TrialState

        complete = study.get_trials(states=[TrialState.COMPLETE])
        if complete:
            best = study.best_trial
            print(f"best     {self.metric} {best.value:.6g} of {len(complete)} trials with {best.params}", flush=True)
