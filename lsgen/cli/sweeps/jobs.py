"""The jobs of a sweep: composed, checked, and frozen in run directories before any of them is started."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from lsgen.cli.compat import apply_overrides
from lsgen.cli.config.compose import Composed, choices_of, compose_chosen, compose_plain, parsed, set_by_config
from lsgen.cli.config.preparation import prepare
from lsgen.cli.errors import UsageError
from lsgen.runs import Job, RunDirectory, Sweep, literal_secrets, surroundings, take_snapshot

__all__ = ["JobComposer", "freeze_jobs"]


def freeze_jobs(sweep: Sweep, composer: JobComposer, wanted: Sequence[Sequence[str]]) -> list[Job]:
    """Return the jobs with the given overrides; those that the sweep does not have yet are frozen and added.

    All configs are checked before anything is written. A job's directory and id follow from the sweep and the
    overrides alone, so what a killed launcher had frozen already is taken as it is. The caller holds the sweep's
    lock.

    Raises:
        UsageError: a config has keys that nothing knows, or names what it may not; nothing was added.
        RunError: something cannot be written.

    """
    fresh = list({tuple(sorted(job)): job for job in wanted if sweep.find(job) is None}.values())
    if fresh:
        here = surroundings()
        composed = [composer.compose(job, len(sweep.jobs) + place) for place, job in enumerate(fresh)]
        frozen = [
            prepare(one, sweep.path.name, sweep.job_id(job), here) for one, job in zip(composed, fresh, strict=True)
        ]
        code = take_snapshot(sweep.code, _own_packages())
        for one, job, config in zip(composed, fresh, frozen, strict=True):
            name = f"{len(sweep.jobs):03d}_{config.folder}"
            added = sweep.add(job, run=name, code=code, variables=dict(one.variables), **_needs(config.config))
            if not sweep.run(added).config_file.exists():
                RunDirectory.create(sweep.path / added.run, config.config, config.origin)
        sweep.save()
    return list({found.number: found for overrides in wanted if (found := sweep.find(overrides)) is not None}.values())


def _needs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the machines and processes that a job needs."""
    trainer = config["trainer"]
    devices = trainer.get("devices", "auto")
    return {
        "nodes": int(trainer.get("num_nodes", 1)),
        "devices": len(devices) if isinstance(devices, list) else devices,
        "accelerator": str(trainer.get("accelerator", "auto")),
    }


def _own_packages() -> list[str]:
    """Return the user's packages that configs may name."""
    return [name.strip().split(".")[0] for name in os.environ.get("LSGEN_TARGETS", "").split(",") if name.strip()]


class JobComposer:
    """Composes the configs of many jobs; what jobs with the same group choices share is composed once.

    Args:
        loader: Hydra's config loader.
        master: the config of the sweep itself.

    """

    def __init__(self, loader: Any, master: Any) -> None:
        self._loader, self._master = loader, master
        self._base = cache(self._compose_base)
        name = master.hydra.job.config_name
        self._alone = cache(lambda overlay: compose_plain(name, [f"experiment={overlay}"]))
        self._chosen = cache(lambda *chosen: compose_chosen(name, chosen))

    def compose(self, overrides: Sequence[str], number: int) -> Composed:
        """Return the config of one job.

        Raises:
            UsageError: it would set a secret in the environment of the job.

        """
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        groups, values = parsed(self._loader, overrides)
        base, shared = self._base(*(one.input_line for one in groups))
        with _open(base.hydra):
            base.hydra.job.num = base.hydra.job.id = number
        HydraConfig.instance().set_config(base)
        config = copy.deepcopy(shared)
        apply_overrides(self._loader, values, config)
        choices = dict(base.hydra.runtime.choices)
        overlay, chosen = choices_of(choices)
        return Composed(
            config=config,
            without_overlay=partial(self._chosen, *chosen),
            overlay_alone=partial(self._alone, overlay),
            overlay=overlay,
            choices=choices,
            overrides=list(overrides),
            number=number,
            output=None,
            variables=_variables(OmegaConf.to_container(base.hydra.job.env_set)),
        )

    def _compose_base(self, *groups: str) -> tuple[Any, Any]:
        """Return what jobs with these group choices share: with Hydra's own node, and without."""
        base = self._loader.load_sweep_config(self._master, list(groups))
        shared = copy.deepcopy(base)
        with _open(shared):
            del shared["hydra"]
        return base, shared


def _variables(asked: Any) -> Mapping[str, str]:
    variables = set_by_config(asked)
    if secrets := literal_secrets(variables):
        raise UsageError(
            f"hydra.job.env_set: {secrets[0]} looks like a secret, and a sweep keeps it: export it instead"
        )
    return variables


def _open(config: Any) -> Any:
    from omegaconf import flag_override

    return flag_override(config, ["struct", "readonly"], [False, False])
