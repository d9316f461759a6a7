"""Loggers whose x axis is the generator step and that continue when a run resumes.

They are Lightning loggers; pass them to any trainer. The axis and the continuation come from `Checkpoint` or
`LikelihoodMetrics`, either of which tells them where the run is.
"""

from __future__ import annotations

import os
import re
import secrets
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers import TensorBoardLogger as LightningTensorBoardLogger
from pytorch_lightning.loggers import WandbLogger as LightningWandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lsgen.callbacks.engine.clock import Clocked
from lsgen.callbacks.engine.problems import report
from lsgen.callbacks.logging.table import StepTable

__all__ = ["CSVLogger", "TensorBoardLogger", "WandbLabels", "WandbLogger"]

_PLACES = {
    "WANDB_CACHE_DIR": "cache",
    "WANDB_DATA_DIR": "data",
    "WANDB_ARTIFACT_DIR": "artifacts",
    "WANDB_CONFIG_DIR": "config",
}
_chosen: dict[str, str] = {}  # what was set here, for a run before this one in the same process
_LONGEST_GROUP = 128  # which W&B says when the run is uploaded only
# Measured once in a run, or a total of which the last value counts: a value of W&B's summary, not a chart.
_FINAL = re.compile(r"test/.*|.*/share_of_training")
_MODES = ("offline", "online", "disabled")


class CSVLogger(Clocked, Logger):
    """Every logged number in one wide table, metrics.csv: a row for each generator step, a column for each key.

    A row is on disk when the call returns. Resuming drops the rows beyond the checkpoint, which come again, and
    appends. A run that begins anew keeps an older file as metrics.previous.csv.

    Args:
        save_dir: where metrics.csv goes, the run directory.
        log_all: whether callbacks log everything they measure, see `lsgen.runs.keys.logged_by_default`.

    """

    def __init__(self, save_dir: str | Path, log_all: bool = False) -> None:
        super().__init__()
        self.log_all = log_all
        self._save_dir = os.fspath(save_dir)
        self._table = StepTable(Path(save_dir) / "metrics.csv")

    @property
    def name(self) -> str:
        """The name of the logger, "csv"."""
        return "csv"

    @property
    def version(self) -> str:
        """Empty text, since a run directory holds one table."""
        return ""

    @property
    def save_dir(self) -> str:
        """The directory of the table."""
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> StepTable:
        """The table."""
        return self._table

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Put numbers into the row of the current generator step."""
        now = self.now(step)
        self._table.add(0 if now is None else now, metrics)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's config.yaml holds the hyper-parameters."""

    @rank_zero_only
    def continue_from(self, step: int) -> None:
        """Keep the rows up to `step`; at step 0 begin a new table."""
        if step > 0:
            self._table.cut(step)
        else:
            self._table.set_aside()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file."""
        self._table.close()


class TensorBoardLogger(Clocked, LightningTensorBoardLogger):
    """Lightning's TensorBoard logger on the generator step, in the folder `tensorboard` of the run directory.

    Args:
        save_dir: the run directory.
        log_all: see `CSVLogger`.
        kwargs: passed to Lightning's logger.

    """

    def __init__(self, save_dir: str | Path, log_all: bool = False, **kwargs: Any) -> None:
        self.log_all = log_all
        super().__init__(
            **{"save_dir": save_dir, "name": "tensorboard", "version": "", "default_hp_metric": False, **kwargs}
        )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers at the current generator step."""
        super().log_metrics(metrics, self.now(step))

    @rank_zero_only
    def continue_from(self, step: int) -> None:
        """Have TensorBoard discard what was logged beyond `step`."""
        if self._experiment is not None:
            self._experiment.close()
            self._experiment = None
        self._kwargs["purge_step"] = step + 1 if step > 0 else 0


@dataclass(frozen=True)
class WandbLabels:
    """Name, id, group, type and tags of a W&B run.

    Attributes:
        name: display name.
        id: run id; the one in the run directory, or else a new one, if None.
        group: such as the sweep.
        job_type: such as the model.
        tags: labels.

    """

    name: str | None = None
    id: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: Sequence[str] = ()


class WandbLogger(Clocked, LightningWandbLogger):
    """Weights & Biases logger that is offline, without any network contact, unless asked otherwise.

    The run id is kept in wandb/run_id of the run directory, so that every attempt continues the same run; offline,
    each attempt leaves a segment of its own under that id, which `wandb sync` joins; so does a run whose W&B process
    was killed. It opens a run of its own whatever other run is open in the process. At most a second of what was
    logged is lost in a kill. All that W&B writes, its caches and what it stages included, is in the folder `wandb` of
    the run directory, unless W&B's own variables such as WANDB_CACHE_DIR name another place.

    A run that W&B cannot open, as its server does not answer or the disk is full, is told, and training goes on without
    it; what W&B refuses, such as a tag that is too long or a missing key, is raised.

    Args:
        save_dir: the run directory.
        project: W&B project.
        mode: "offline", "online" or "disabled"; WANDB_MODE, or else "offline", where it is None.
        entity: user or team.
        labels: what the run is called and found by.
        config: plain containers to record, such as the resolved config.
        settings: any of `wandb.Settings`; console capture is off unless `console` says otherwise.
        log_all: see `CSVLogger`.

    Raises:
        ValueError: there is no project; the entity or the group is one that W&B refuses; the mode is none of the three.
        wandb.errors.UsageError: when training starts, W&B refuses a name, an id, a tag, or the lack of a key.

    """

    def __init__(
        self,
        save_dir: str | Path,
        project: str = "lsgen",
        mode: str | None = None,
        entity: str | None = None,
        labels: WandbLabels = WandbLabels(),
        config: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        log_all: bool = False,
    ) -> None:
        mode = mode or os.environ.get("WANDB_MODE") or "offline"
        if mode not in _MODES:
            raise ValueError(f"expected a W&B mode among {', '.join(_MODES)}, got {mode!r}")
        if not project:
            raise ValueError("expected the name of a W&B project, got none")
        if entity is not None and not re.fullmatch(r"[\w.-]+", entity):
            raise ValueError(f"expected letters, digits, '.', '_' and '-' in a W&B entity, got {entity!r}")
        if labels.group is not None and len(labels.group) > _LONGEST_GROUP:
            raise ValueError(f"expected a W&B group of at most {_LONGEST_GROUP} characters, got {len(labels.group)}")
        self.mode, self.log_all = mode, log_all
        super().__init__(
            save_dir=os.fspath(save_dir),
            project=project,
            name=labels.name,
            id=labels.id,
            group=labels.group,
            job_type=labels.job_type,
            tags=list(labels.tags),
            entity=entity,
            config=None if config is None else dict(config),
            mode=mode,
            reinit="create_new",
            settings={
                "console": "off",
                "x_transaction_log_flush_interval": 1.0,
                "silent": True,
                **(settings or {}),
            },
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, opened when it is first asked for."""
        if self._experiment is None:
            try:
                self._experiment = self._open()
            except Exception as error:
                if _is_refusal(error):
                    raise
                report(self, ConnectionError(f"W&B has no run to log to: {type(error).__name__}: {error}"))
                self._experiment = _no_run()
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row of the history, whose `step` is the current generator step; what is final goes to the summary."""
        now = self.now(step)
        final = {key: value for key, value in metrics.items() if _FINAL.fullmatch(key)}
        row = {key: value for key, value in metrics.items() if key not in final}
        row |= {} if now is None else {"step": now}
        try:
            self._send(row, final)
        except ConnectionError as error:
            # A signal to all processes of a job ends W&B's own at once, while this one still has to save.
            self._forget()
            report(self, ConnectionError(f"W&B's own process has ended, a new one continues the run: {error}"))
            self._send(row, final)

    def _send(self, row: Mapping[str, Any], final: Mapping[str, Any]) -> None:
        if not final or row.keys() - {"epoch", "step"}:
            self.experiment.log(dict(row))
        if final:
            self.experiment.summary.update(dict(final))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Mark a run that failed; one that succeeded stays open for what comes after training."""
        if status != "success":
            self.close(exit_code=1)

    @rank_zero_only
    def close(self, exit_code: int = 0) -> None:
        """Finish the run; another log call continues it."""
        if self._experiment is not None:
            try:
                self._experiment.finish(exit_code=exit_code)
                self._experiment = None
            except ConnectionError as error:
                self._forget()
                report(self, ConnectionError(f"W&B's own process has ended before the run was closed: {error}"))

    def _forget(self) -> None:
        """Discard the connection to a dead W&B process."""
        import wandb

        self._experiment = None
        with suppress(ConnectionError):
            wandb.teardown()

    def _open(self) -> Any:
        if self.mode == "offline":
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # or it would send telemetry, offline or not
        if self.mode != "disabled":
            _keep_inside(Path(str(self._save_dir)) / "wandb", offline=self.mode == "offline")
        import wandb

        options = {key: value for key, value in self._wandb_init.items() if value is not None}
        run = wandb.init(**{**options, "id": self._run_id()})
        run.define_metric("step")
        run.define_metric("*", step_metric="step", step_sync=True)
        return run

    def _run_id(self) -> str:
        """Return the run's id and keep it in the run directory."""
        file = Path(str(self._save_dir)) / "wandb" / "run_id"
        if self._id is None:
            self._id = file.read_text(encoding="utf-8").strip() if file.exists() else secrets.token_hex(4)
        if self.mode != "disabled":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{self._id}\n", encoding="utf-8")
        return str(self._id)


def _keep_inside(folder: Path, offline: bool) -> None:
    """Make W&B write below a folder the files that it would write below the home directory.

    Its settings are only read; online, those of the user say which server to talk to.
    """
    for name, place in _PLACES.items():
        if (name == "WANDB_CONFIG_DIR" and not offline) or os.environ.get(name, _chosen.get(name)) != _chosen.get(name):
            continue
        os.environ[name] = _chosen[name] = str(folder.absolute() / place)


def _is_refusal(error: Exception) -> bool:
    """Return whether W&B rejects its arguments rather than failing to open a run."""
    from wandb.errors import AuthenticationError, UsageError

    return isinstance(error, AuthenticationError | UsageError | ValueError | TypeError)


def _no_run() -> Any:
    """Return a disabled W&B run, which discards everything."""
    import wandb

    return wandb.init(mode="disabled", reinit="create_new")
