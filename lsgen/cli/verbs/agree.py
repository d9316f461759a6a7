"""`lsgen agree`: rank runs that differ in their seed only by how far their codes agree (UDR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, places, take
from lsgen.runs import RunDirectory, find_runs, now, seed_groups, write_json

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["compare_codes", "run"]

_USAGE = """usage: lsgen agree RUN RUN ... [checkpoint=last|best|PATH] [device=cpu|cuda] [observations=N]
                   [correlation=lasso|spearman]

Rank runs that differ in their seed only by the unsupervised disentanglement ranking (UDR): models that disentangle find
the same codes, up to order and sign. No ground-truth factors are needed. The same held-out observations are encoded by
every run. RUN is a run directory, a directory of runs, or a quoted pattern such as 'runs/**'; a sweep over more than
seeds is compared setting by setting. Each score is written to RUN/agreement/CHECKPOINT.json, where `lsgen table` finds
it as agreement/udr.

  checkpoint=...     which weights (default last)
  device=...         where to compute (default cpu)
  observations=...   held-out observations that are encoded; all where there are fewer (default 1000)
  correlation=...    how the codes of two runs are compared (default lasso)

  lsgen agree 'runs/sweep/*'
  lsgen agree runs/sweep correlation=spearman"""
_KNOWN = ("checkpoint", "device", "observations", "correlation")
_CHUNK = 500  # observations encoded at a time


class _Encoded(NamedTuple):
    """Codes (N, d) of a run's model, their KL divergence from the prior (N, d) in nats, and the run's step."""

    codes: Tensor
    kl: Tensor
    step: int


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, _KNOWN)
    observations = flags.get("observations", "1000")
    if not observations.isdecimal() or int(observations) < 2:
        raise UsageError(f"expected observations= to be a whole number of at least 2, got {observations!r}")
    correlation = flags.get("correlation", "lasso")
    if correlation not in ("lasso", "spearman"):
        raise UsageError(f"expected correlation=lasso or correlation=spearman, got {correlation!r}")
    device, checkpoint = device_of(flags), flags.get("checkpoint", "last")
    if not (found := places(rest, _KNOWN)):
        raise UsageError("expected run directories, got none")
    groups = seed_groups(find_runs(found))
    compared = [group for group in groups if len(group) > 1]
    if not compared:
        count = sum(map(len, groups))
        raise UsageError(f"expected at least 2 runs that differ in their seed only, got {count} and no such pair")
    for group in compared:
        _refuse_repeated(group)
        for directory in group:
            directory.check_version()
            directory.checkpoint(checkpoint)
    for group in compared:
        _show(group, compare_codes(group, checkpoint, device, int(observations), correlation))
    for group in groups:
        if len(group) == 1:
            print(f"left out {group[0].path}: no other of these runs differs from it in the seed only")
    return OK


def compare_codes(
    group: Sequence[RunDirectory],
    checkpoint: str = "last",
    device: str = "cpu",
    observations: int = 1000,
    correlation: str = "lasso",
) -> list[dict[str, Any]]:
    """Compare the codes of runs, write agreement/CHECKPOINT.json into each, and return what is written there.

    Args:
        group: at least 2 runs that differ in their seed only.
        checkpoint: "last", "best", or a path.
        device: where to compute.
        observations: held-out observations that are encoded; all where there are fewer.
        correlation: see `lsgen.metrics.disentanglement.UDR`.

    Returns:
        For each run "checkpoint", "step", "time", "settings", "metrics" (agreement/udr, as a table of runs shows it),
        "informative" (the codes that count) and "pairs" (the score with each other run, by name).

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: a model has no encoder, no KL divergence of each code by itself, or codes that are not finite.

    """
    import torch

    from lsgen.cli.output.console import messages
    from lsgen.metrics.disentanglement import UDR

    files = [directory.checkpoint(checkpoint) for directory in group]
    with messages(None):
        x = _held_out(group[0], files[0], observations)
        encoded = [_encode(directory, file, x, device) for directory, file in zip(group, files, strict=True)]
    metric = UDR(correlation)
    metric.update(torch.stack([one.codes for one in encoded], 1), torch.stack([one.kl for one in encoded], 1))
    terms, records = metric.terms(), []
    settings = {"observations": len(x), "correlation": correlation}
    for place, (directory, file) in enumerate(zip(group, files, strict=True)):
        informative = encoded[place].kl.double().mean(0) > metric.threshold
        records.append(
            {
                "checkpoint": file.name,
                "step": encoded[place].step,
                "time": now(),
                "settings": settings,
                "metrics": {"agreement/udr": float(terms["models"][place])},
                "informative": informative.nonzero().flatten().tolist(),
                "pairs": {
                    str(other.path): float(terms["pairs"][i, place]) for i, other in enumerate(group) if i != place
                },
            }
        )
        target = directory.path / "agreement" / f"{file.stem}.json"
        target.parent.mkdir(exist_ok=True)
        write_json(target, records[-1])
    return records


def _refuse_repeated(group: Sequence[RunDirectory]) -> None:
    """Refuse runs with one seed, which would agree with each other whatever they learn."""
    seeds: dict[Any, RunDirectory] = {}
    for directory in group:
        seed = directory.config().get("seed")
        if seed is not None and (other := seeds.setdefault(seed, directory)) is not directory:
            raise UsageError(
                f"expected runs that differ in their seed, got {other.path} and {directory.path} with the seed {seed}"
            )


def _held_out(directory: RunDirectory, file: Path, n: int) -> Tensor:
    from lsgen.cli.loading import opened
    from lsgen.cli.task import run_variables
    from lsgen.cli.verbs.traverse import probe_for

    with run_variables(directory):
        model, data, _ = opened(directory, file, "cpu")
        _refuse_without_encoder(directory, model)
        probe = probe_for(model, data, n)
    if probe is None or len(probe) < 2:
        raise UsageError(f"expected at least 2 held-out observations, got {0 if probe is None else len(probe)}")
    return probe.x


def _encode(directory: RunDirectory, file: Path, x: Tensor, device: str) -> _Encoded:
    import torch

    from lsgen.cli.loading import opened_model
    from lsgen.cli.task import run_variables
    from lsgen.models.divergence import kl_per_dimension

    with run_variables(directory), torch.no_grad():
        model, step = opened_model(directory, file, device)
        _refuse_without_encoder(directory, model)
        space = model.latent_space
        codes, kl = [], []
        for part in x.split(_CHUNK):
            q = space.encode(part.to(device))
            codes.append(q.mean.cpu())
            try:
                kl.append(kl_per_dimension(q, space.prior()).cpu())
            except (TypeError, NotImplementedError) as error:
                raise UsageError(
                    f"{directory.path}: expected a posterior and a prior with a KL divergence of each code in closed "
                    f"form, got {type(q).__name__} and {type(space.prior()).__name__}"
                ) from error
    found = _Encoded(torch.cat(codes), torch.cat(kl), step)
    if not bool(found.codes.isfinite().all() and found.kl.isfinite().all()):
        raise UsageError(f"{directory.path}: expected finite codes, got NaN or infinity: the model diverged")
    return found


def _refuse_without_encoder(directory: RunDirectory, model: Any) -> None:
    from lsgen.latent import EncodableLatentSpace

    space = getattr(model, "latent_space", None)
    if not isinstance(space, EncodableLatentSpace):
        raise UsageError(f"{directory.path}: expected a latent space with an encoder, got {type(space).__name__}")


def _show(group: Sequence[RunDirectory], records: Sequence[Mapping[str, Any]]) -> None:
    from lsgen.cli.output.tables import number, print_table

    score = lambda record: record["metrics"]["agreement/udr"]
    ranked = sorted(zip(group, records, strict=True), key=lambda pair: -score(pair[1]))
    rows = [
        (str(one.path), str(one.config().get("seed", "")), number(score(record), 4), str(len(record["informative"])))
        for one, record in ranked
    ]
    settings, mean = records[0]["settings"], sum(map(score, records)) / len(records)
    title = f"UDR ({settings['correlation']}) over {settings['observations']} observations, mean {number(mean, 4)}"
    print_table(["run", "seed", "UDR", "informative codes"], rows, title=title)
