"""The table of metrics that is printed at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping

from lsgen.runs import RunDirectory, last_metrics, problems_in, share_measured
from lsgen.runs.keys import ENTRIES, Match, find

__all__ = ["print_summary"]

_LAST = ("quality", "inversion", "objective")  # sections whose last values are shown
_OF_CODES = ("words", "embeddings", "topics")
_SPEED = "train/images_per_s"


def print_summary(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    """Print the main metrics of validation, test, samples and adversarial training, the speed, and the paths."""
    from lsgen.cli.output.tables import print_table

    every = {**last_metrics(directory.metrics_file), **metrics}
    main = [
        [entry.name, *cells, entry.unit]
        for entry in ENTRIES
        if entry.summary and entry.section == "likelihood"
        if any(cells := [_number(every.get(f"{stage}/{entry.pattern}")) for stage in ("val", "test")])
    ]
    if not main and any(losses := [_number(every.get(f"{stage}/loss")) for stage in ("val", "test")]):
        main = [["loss", *losses, ""]]
    factors = [
        [match.fields["factor"], _number(value), _number(every.get(f"{key}_single"))]
        for key, value, match in _summarised(every, ("factors",))
    ]
    last = [[match.name, _number(value)] for _, value, match in _summarised(every, _LAST)]
    codes = [[match.name, _number(value)] for _, value, match in _summarised(every, _OF_CODES)]
    for title, head, rows in (
        (directory.path.name, ["", "val", "test", ""], main),
        ("factors, R² of a linear fit", ["", "all latents", "best latent"], factors),
        ("samples and players", ["", "last"], last),
        ("words, retrieval and topics", ["", "last"], codes),
    ):
        if rows:
            print_table(head, rows, title=title)
    if measured := share_measured(directory.config()):
        print(f"measured {measured}; `lsgen evaluate` takes all")
    if _SPEED in every:
        print(f"speed    {every[_SPEED]:,.0f} observations/s")
    if directory.config()["trainer"].get("enable_checkpointing") is False:
        print("weights  none kept: trainer.enable_checkpointing is false")
    for problem in problems_in(directory.status()):
        print(f"problem  {problem}")
    left = {"weights": directory.checkpoints / "last.ckpt", "report": directory.report_file}
    left["explorer"] = directory.explorer_file
    for name, place in left.items():
        if place.exists():
            print(f"{name:<8} {place}")


def _summarised(metrics: Mapping[str, float], sections: tuple[str, ...]) -> list[tuple[str, float, Match]]:
    """Return the numbers of some sections that the summary shows, with their keys and registry entries."""
    found = ((key, value, find(key)) for key, value in metrics.items())
    return [(k, v, m) for k, v, m in found if m is not None and m.entry.summary and m.entry.section in sections]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"
