"""`lsgen train`: train a model, or continue a run."""

from __future__ import annotations

import os
import re
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.compose import Composed
from lsgen.cli.config.names import as_text
from lsgen.cli.config.preparation import FrozenRun, prepare
from lsgen.cli.errors import BAD_INPUT, FAILURE, INTERRUPTED, OK, UsageError, complain
from lsgen.cli.flags import take, take_switches
from lsgen.cli.sweeps.best_run import criterion
from lsgen.cli.sweeps.launch import Launch
from lsgen.cli.sweeps.pairing import paired_keys, zip_option
from lsgen.cli.sweeps.terms import Terms
from lsgen.runs import RunDirectory, RunError, Sweep, new_id

__all__ = ["run"]

_USAGE = """usage: lsgen train [GROUP=CHOICE ...] [KEY=VALUE ...] [run_dir=PATH] [resume=PATH] [-m [sweep_dir=PATH]]

Train a model. Groups and keys are Hydra's: `--cfg job` prints the config that would run, `--info` how it came
about, `--hydra-help` lists Hydra's own flags (-m, --config-dir, --config-name, hydra.KEY=VALUE ...).

  run_dir=PATH     where the run goes (literally; default runs/DATE_NAME_ID)
  resume=PATH      continue the run in PATH from its last checkpoint, with the config frozen there; admitted beside
                   it: model.max_steps, trainer.max_epochs, trainer.devices, logger.KEY
  -m sweep_dir=PATH    a sweep: every combination of comma-separated values is a run of its own below PATH. What is
                   submitted is frozen, code included; launching the same sweep again starts only what is missing.
                   hydra/launcher=local (default), joblib, slurm or ray; --wait returns when all jobs have ended
      zip=[KEY,KEY]             pair these lists, the first value with the first, and so on, instead of combining them
      --stop-at-first-failure   once a job has failed no other starts; those that run are let end
      --hours N                 no job starts that cannot end in that time from now (as others of the sweep took), and
                                what runs at its end saves and stops; `lsgen sweep retry` takes up what is left
      best=[-]KEY               SWEEP/best leads to the finished run with the largest KEY (-KEY: the smallest); the
                                largest val/elbo, or the metric of a search, unless given

Groups (the first names in ./conf and in the directories of LSGEN_CONF shadow those that ship with lsgen):

"""
_EXAMPLES = """
  lsgen train experiment=vae_digits
  lsgen train experiment=vae_digits +callbacks/lightning=[early_stopping,monitors]
  lsgen train data=sprites model=beta_vae model.objective.beta=8 trainer=gpu
  lsgen train -m model=vae,beta_vae seed=0,1,2
  lsgen train -m model.prior.dim=2,8,32 data.batch_size=64,128,256 'zip=[model.prior.dim,data.batch_size]' seed=0,1
  lsgen train -m hydra/launcher=slurm sweep_dir=sweeps/beta model.objective.beta=1,4,16 seed=0,1,2
  lsgen train resume=runs/NAME model.max_steps=20000"""


_LAUNCHERS_OF_LSGEN = (
    "expected hydra/launcher to be local, joblib, slurm or ray for --stop-at-first-failure, --hours and best=, "
    "which other launchers do not mind"
)


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if int(os.environ.get("LOCAL_RANK", 0)) > 0 and "LSGEN_RUN_DIR" in os.environ:
        return _execute(RunDirectory.open(os.environ["LSGEN_RUN_DIR"]))
    if "-h" in arguments or "--help" in arguments:
        print(_help())
        return OK
    switches, rest = take_switches(arguments, ("--wait", "--stop-at-first-failure"), ("--hours",))
    flags, rest = take(rest, ("run_dir", "sweep_dir", "resume", "best"))
    paired = [paired_keys(argument.removeprefix("zip=")) for argument in rest if argument.startswith("zip=")]
    rest = [argument for argument in rest if not argument.startswith("zip=")]
    _check_flags(flags, rest)
    if not ("-m" in rest or "--multirun" in rest):
        for flag in (*switches, *(["best="] if "best" in flags else []), *(["zip="] if paired else [])):
            raise UsageError(f"{flag} is about the jobs of a sweep: give -m with it")
    if "resume" in flags:
        from lsgen.cli.resuming import resume

        return resume(flags["resume"], rest)
    launch = Launch(Terms.given(switches), criterion(flags["best"]) if "best" in flags else None)
    return _launch(flags, [*rest, *([zip_option(paired)] if paired else [])], launch, "--wait" in switches)


def _check_flags(flags: Mapping[str, str], rest: Sequence[str]) -> None:
    sweep = "-m" in rest or "--multirun" in rest
    if "resume" in flags and (sweep or len(flags) > 1):
        raise UsageError("resume= continues one run where it is: it goes without -m, run_dir= and sweep_dir=")
    if sweep and "run_dir" in flags:
        raise UsageError("run_dir= is the place of one run: give sweep_dir= with -m")
    if "sweep_dir" in flags and not sweep:
        raise UsageError("sweep_dir= is the place of a sweep: give -m with it, or run_dir= for one run")
    if any(re.match(r"\+*trainer\.max_steps=", argument) for argument in rest):
        raise UsageError(
            "trainer.max_steps counts the steps of every optimiser: set model.max_steps, which counts generator steps"
        )


def _launch(flags: Mapping[str, str], rest: Sequence[str], launch: Launch, wait: bool) -> int:
    """Compose and run one job, or every job of a sweep; a job that fails does not keep others from running."""
    codes: list[int] = []
    sweep_dir = flags.get("sweep_dir", f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}_sweep_{new_id()}")

    def job(composed: Composed) -> int:
        try:
            if launch.asks:
                raise UsageError(_LAUNCHERS_OF_LSGEN)
            directory = create(composed, flags.get("run_dir"), sweep_dir)
            codes.append(_execute(directory, discard=composed.number is None))
        except (UsageError, RunError) as error:
            codes.append(complain(error))
        except Exception as error:  # noqa: BLE001 (the jobs that follow must run)
            codes.append(_refused(error))
        if codes[-1] >= INTERRUPTED:
            raise KeyboardInterrupt
        return codes[-1]

    fresh = [place for place in (Path(sweep_dir), *Path(sweep_dir).absolute().parents) if not place.exists()]
    try:
        launched = compose_and_run(as_text(rest), sweep_dir, job, launch)
    except Exception:
        if fresh and Path(sweep_dir).is_dir() and not _has_jobs(Path(sweep_dir)):
            shutil.rmtree(sweep_dir)
            for place in fresh[1:]:
                place.rmdir()
        raise
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return codes[-1] if codes else INTERRUPTED
    if launched:
        return _conclude(Sweep.open(sweep_dir), launched, wait)
    if len(codes) > 1:
        failed = sum(code != OK for code in codes)
        print(f"lsgen: {len(codes) - failed} of {len(codes)} runs finished, below {sweep_dir}", file=sys.stderr)
    return next((code for code in (FAILURE, BAD_INPUT) if code in codes), OK)


def _has_jobs(sweep: Path) -> bool:
    return any((run / "config.yaml").exists() for run in sweep.iterdir())


def _refused(error: Exception) -> int:
    from lsgen.cli.refusals.explain import explanation, wants_traceback

    if wants_traceback() or (sentence := explanation(error)) is None:
        traceback.print_exc()
        return FAILURE
    return complain(UsageError(sentence))


def _conclude(sweep: Sweep, launched: Sequence[int], wait: bool) -> int:
    from lsgen.cli.launchers.wait import wait_for
    from lsgen.cli.verbs.sweep import conclude

    if wait:
        wait_for(sweep, launched)
    return conclude(sweep, launched)


def create(composed: Composed, run_dir: str | None, sweep_dir: str) -> RunDirectory:
    """Check a composed config and freeze it in a new run directory. Nothing heavy is imported.

    Raises:
        UsageError: the config has keys that nothing knows, or names what it may not.
        RunError: the directory holds a run already or cannot be written.

    """
    frozen = prepare(composed, None if composed.number is None else Path(sweep_dir).name)
    place = run_dir or composed.output or _default_place(composed.number, sweep_dir, frozen)
    return RunDirectory.create(place, frozen.config, frozen.origin)


def _default_place(number: int | None, sweep_dir: str, frozen: FrozenRun) -> Path:
    if number is None:
        return Path("runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{frozen.folder}"
    return Path(sweep_dir) / f"{number:03d}_{frozen.folder}"


def _execute(directory: RunDirectory, *, discard: bool = False) -> int:
    from lsgen.cli.task import execute

    return execute(directory, discard=discard)


def _help() -> str:
    from lsgen.cli.config.searchpath import config_options

    groups = [(group, config_options(group)) for group in config_options()]
    width = max(len(group) for group, _ in groups)
    return _USAGE + "\n".join(f"  {group:<{width}}  {', '.join(names)}" for group, names in groups) + "\n" + _EXAMPLES
