"""The trials of a search within their own processes: a trial reports its validations, and ends early if it is bad.

The study lies where all jobs of a sweep can read it, in the sweep's directory unless a storage is named, so this works
under every launcher. A trial that is ended early closes as any run does and is "pruned": neither a failure nor one that
finished.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from lsgen.cli.errors import UsageError
from lsgen.cli.sweeps.studies import OVERRIDES, make_pruner, open_storage
from lsgen.runs import RunDirectory, Sweep

__all__ = ["Pruning", "pruning_of"]


def pruning_of(directory: RunDirectory) -> Pruning | None:
    """Return what ends a run early; None for a run that is no running trial of a search with a pruner."""
    if not (directory.path.absolute().parent / "sweep.json").is_file():
        return None
    sweep = Sweep.open(directory.path.absolute().parent)
    search = sweep.about.get("search", {})
    job = next((job for job in sweep.jobs if job.run == directory.path.name), None)
    if search.get("pruner") is None or job is None:
        return None
    pruning = Pruning(search, sweep.path, job.overrides)
    return pruning if pruning.trial() is not None else None


class Pruning(Callback):
    """Callback that reports every validation to a study, and ends training where its pruner says so.

    The steps of pruners are validations, which trials with different batch sizes have in common.

    Args:
        search: "metric", "pruner", "storage" and "study_name", as the sweep keeps them.
        sweep: the directory of the sweep.
        overrides: of the job.

    Attributes:
        pruned: whether training was ended.

    """

    def __init__(self, search: Mapping[str, Any], sweep: Path, overrides: tuple[str, ...]) -> None:
        self.search, self.sweep, self.overrides = dict(search), sweep, list(overrides)
        self.validations, self.pruned = 0, False

    def trial(self) -> Any:
        """Return the trial, to report to; None if the study has none for this job that is under way.

        Raises:
            UsageError: Optuna is not installed, or the study cannot be opened.

        """
        try:
            import optuna
        except ImportError as error:
            raise UsageError("a trial of hydra/sweeper=optuna needs Optuna: pip install 'lsgen[optuna]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = open_storage(self.search["storage"], self.sweep)
        name, pruner = self.search["study_name"], make_pruner(self.search["pruner"])
        study = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
        running = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
        own = next((one for one in running if one.user_attrs.get(OVERRIDES) == self.overrides), None)
        return None if own is None else optuna.trial.Trial(study, own._trial_id)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a run without validations."""
        if not trainer.enable_validation:
            raise ValueError(
                f"expected validations, whose {self.search['metric']} hydra.sweeper.pruner judges, got none"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the value and have all processes stop if the trial is bad."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        metric = self.search["metric"]
        if metric not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics)) or "none"
            raise ValueError(f"expected hydra.sweeper.metric={metric} among what validation logs, {known}")
        self.validations += 1
        bad = trainer.is_global_zero and self._is_bad(float(trainer.callback_metrics[metric]))
        if trainer.strategy.broadcast(bad):
            self.pruned = trainer.should_stop = True

    def _is_bad(self, value: float) -> bool:
        trial = self.trial()
        if trial is None or not isfinite(value):
            return False
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The reported value is ignored")  # by a validation that is repeated
            trial.report(value, self.validations)
        return bool(trial.should_prune())

    def state_dict(self) -> dict[str, Any]:
        """Return how many validations there were, and whether training was ended."""
        return {"validations": self.validations, "pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.validations, self.pruned = state_dict["validations"], state_dict["pruned"]
