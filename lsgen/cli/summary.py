"""The table that closes a run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lsgen.runs import RunDirectory, last_metrics

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
_PLAYERS = re.compile(r"train/((?:critic|generator)/.+)")
_SPEED = "train/images_per_s"


def print_summary(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    """Print the main metrics of validation and test, of samples and of a game, the speed, and where everything is."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    every = {**last_metrics(directory.metrics_file), **metrics}
    table = Table("", "val", "test", "", title=escape(directory.path.name), title_justify="left")
    for key, name, unit in _ROWS:
        cells = [_number(every.get(f"{stage}/{key}")) for stage in ("val", "test")]
        if any(cells):
            table.add_row(name, *cells, unit)
    for key, value in every.items():
        if (factor := re.fullmatch(r"test/factor/(.+)/r2", key)) is not None:
            single = every.get(f"{key}_single")
            table.add_row(f"{factor[1]} from all latents, from one", "", f"{_number(value)}, {_number(single)}", "R²")
    game = Table("", "last", title="samples and players", title_justify="left")
    for pattern in (_SAMPLES, _PLAYERS):
        for key, value in every.items():
            if (found := pattern.fullmatch(key)) is not None:
                game.add_row(found[1], _number(value))
    console = Console()
    for shown in (table, game):
        if shown.row_count:
            console.print(shown)
    if _SPEED in every:
        console.print(f"speed    {every[_SPEED]:,.0f} images/s", highlight=False)
    if not directory.checkpoints.exists():
        console.print("weights  none kept: the run has no checkpoint callback (callbacks=engine brings one)")
    for name, place in (("weights", directory.checkpoints / "last.ckpt"), ("report", directory.report_file)):
        if place.exists():
            console.print(f"{name:<8} {place}", markup=False, highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"
