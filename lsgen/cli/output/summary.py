"""The table that closes a run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lsgen.runs import RunDirectory, last_metrics, problems_in, share_measured

__all__ = ["print_summary"]

_ROWS = (
    ("elbo", "ELBO", "nats"),
    ("reconstruction", "reconstruction", "nats"),
    ("kl", "KL", "nats"),
    ("bits_per_dimension", "bits per dimension", "bits"),
    ("nats_per_dimension", "nats per dimension", "nats"),
    ("active_units", "active units", ""),
)
_SAMPLES = re.compile(
    r"(?:sample/(?:quality/|comparison/)?|reconstruction/(?=inversion/))(?!.*(?:seconds|share_of_training)$)(.+)"
)
_FACTORS = re.compile(r"test/factor/(.+)/r2")
_PLAYERS = re.compile(r"train/((?:critic|generator)/.+)")
_SPEED = "train/images_per_s"


def print_summary(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    """Print the main metrics of validation and test, of samples and of a game, the speed, and where everything is."""
    from lsgen.cli.output.tables import print_table

    every = {**last_metrics(directory.metrics_file), **metrics}
    main = [
        [name, *cells, unit]
        for key, name, unit in _ROWS
        if any(cells := [_number(every.get(f"{stage}/{key}")) for stage in ("val", "test")])
    ]
    factors = [
        [found[1], _number(value), _number(every.get(f"{key}_single"))]
        for key, value in every.items()
        if (found := _FACTORS.fullmatch(key)) is not None
    ]
    game = [
        [found[1], _number(value)]
        for pattern in (_SAMPLES, _PLAYERS)
        for key, value in every.items()
        if (found := pattern.fullmatch(key)) is not None
    ]
    for title, head, rows in (
        (directory.path.name, ["", "val", "test", ""], main),
        ("factors, R² of a linear fit", ["", "all latents", "best latent"], factors),
        ("samples and players", ["", "last"], game),
    ):
        if rows:
            print_table(head, rows, title=title)
    if measured := share_measured(directory.config()):
        print(f"measured {measured}; `lsgen evaluate` takes all")
    if _SPEED in every:
        print(f"speed    {every[_SPEED]:,.0f} images/s")
    if directory.config()["trainer"].get("enable_checkpointing") is False:
        print("weights  none kept: trainer.enable_checkpointing is false")
    for problem in problems_in(directory.status()):
        print(f"problem  {problem}")
    for name, place in (("weights", directory.checkpoints / "last.ckpt"), ("report", directory.report_file)):
        if place.exists():
            print(f"{name:<8} {place}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"
