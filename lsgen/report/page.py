"""The report of a run as one self-contained HTML file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from math import inf
from pathlib import Path
from typing import Any

from lsgen.report.curves import charts
from lsgen.report.media import choose, size, sound_sources, uri
from lsgen.report.parts import (
    cards,
    cell,
    chart_section,
    document,
    fact_table,
    folded,
    label,
    number,
    plain,
    problems,
    table,
    write,
)
from lsgen.report.run_contents import Medium, Run, collect
from lsgen.runs import LEVELS, grouped, in_reading_order, named, problems_in, share_measured
from lsgen.runs.keys import ENTRIES, GALLERIES, find

__all__ = ["write_report"]

_ROWS = 200  # the most that a table shows

_WIDE = 1000  # wider pictures have a row of their own; others share one where they fit

_CURVATURE = "curvature/active/q50"
_PIECEWISE, _ACTIVE_AXES = "curvature/piecewise_linear", "geometry/active_axes"


def write_report(run_dir: str | Path) -> Path:
    """Write report.html into a run directory and return its path.

    The page holds what there is: a run that ended early has fewer sections, and what could not be read is said.

    Args:
        run_dir: the run directory.

    Raises:
        RunError: there is nothing of a run, or the page cannot be written.

    """
    run = collect(run_dir)
    return write(Path(run_dir) / "report.html", render(run))


def render(run: Run) -> str:
    """Return the page."""
    featured, others = charts(run.curves)
    sections = [
        _header(run),
        problems([*map(str, problems_in(run.status)), *run.problems]),
        _key_figures(run),
        chart_section("Curves", featured, 0),
        *_figures(run),
        *_tables(run),
        _evaluations(run),
        *_geometries(run),
        *_analyses(run),
        _metrics(run),
        chart_section("All other curves", others, len(featured), collapsed=True),
        _config(run),
        _provenance(run.provenance),
    ]
    return document(_name(run), sections, [*featured, *others])


def _name(run: Run) -> str:
    about = run.config.get("run")
    name = about.get("name") if isinstance(about, Mapping) else None
    return str(name or run.path.name)


def _header(run: Run) -> str:
    choices = run.provenance.get("choices")
    choices = choices if isinstance(choices, Mapping) else {}
    state = str(run.status.get("state", "unknown"))
    last = max((points[-1][0] for points in run.curves.values()), default=None)
    facts = [
        ("model", choices.get("model") or _target(run.config.get("model"))),
        ("data", choices.get("data") or _target(run.config.get("data"))),
        ("seed", run.config.get("seed", run.provenance.get("seed"))),
        ("step", f"{last:,.0f}" if last is not None else None),
        ("duration", _duration(run)),
        ("began", str(run.provenance.get("created", "")).replace("T", " ").replace("+00:00", " UTC")),
        ("run", run.provenance.get("id")),
    ]
    shown = "".join(f"<div><dt>{k}</dt><dd>{escape(str(v))}</dd></div>" for k, v in facts if v not in (None, ""))
    about = run.config.get("run")
    tags = about.get("tags", []) if isinstance(about, Mapping) else []
    labels = "".join(f'<span class="tag">{escape(str(tag))}</span>' for tag in tags if isinstance(tags, list))
    badge = f'<span class="state {escape(state)}">{escape(state)}</span>'
    below = f'<p class="error">{escape(str(run.status["error"]))}</p>' if run.status.get("error") else ""
    if (run.path / "explorer.html").is_file():
        below += '<p><a href="explorer.html">Explore the codes</a>: maps, neighbours, paths and the decoder.</p>'
    return (
        f'<header><div class="title"><h1>{escape(_name(run))}</h1>'
        f"{badge if run.config_text else ''}{labels}</div><dl>{shown}</dl>{below}</header>"
    )


def _target(part: Any) -> str | None:
    return str(part["_target_"]).rpartition(".")[2] if isinstance(part, Mapping) and "_target_" in part else None


def _duration(run: Run) -> str | None:
    """Return the time from the run's creation to its last status, in words."""
    try:
        began = datetime.fromisoformat(str(run.provenance["created"]))
        seconds = int((datetime.fromisoformat(str(run.status["time"])) - began).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    parts = ((days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s"))
    shown = [f"{value} {unit}" for value, unit in parts if value]
    return " ".join(shown[:2]) or "0 s"


def _key_figures(run: Run) -> str:
    shown = [
        _curvature(run) if key == _CURVATURE else (name, number(run.latest[key][1]), unit)
        for name, key, unit in _cards()
        if key in run.latest or (key == _CURVATURE and _ACTIVE_AXES in run.latest)
    ]
    cost = [value for key, (_, value) in run.latest.items() if key.endswith("/share_of_training")]
    if cost:
        shown.append(("Callbacks", f"{sum(cost):.1%}", "of the training time"))
    return cards(shown)


def _cards() -> Iterable[tuple[str, str, str]]:
    """Yield the title, the key and the unit of each card."""
    for entry in ENTRIES:
        if entry.card is not None:
            title, unit = entry.card
            stage, median = "val/" if "val" in entry.stages else "", "/q50" if entry.kind == "distribution" else ""
            yield title, f"{stage}{entry.pattern}{median}", unit


def _curvature(run: Run) -> tuple[str, str, str]:
    """Return the curvature of the latest geometry measurement, never an earlier one, or the reason for its absence."""
    step, active = run.latest.get(_ACTIVE_AXES, (-inf, 2.0))
    since = {key: value for key, (at, value) in run.latest.items() if key.startswith("curvature/") and at >= step}
    if _CURVATURE in since:
        flat = "of the likelihood alone: the decoder is piecewise linear"
        unit = flat if since.get(_PIECEWISE) else "scalar, active axes, median"
        return "Curvature", number(since[_CURVATURE]), unit
    if active < 2:
        return "Curvature", "—", f"needs two active axes, got {active:.0f}"
    if "curvature/active/not_finite" in since:
        return "Curvature", "—", "not finite on the active axes: the metric is singular"
    return "Curvature", "—", f"not computed for {active:.0f} active axes"


def _figures(run: Run) -> Iterable[str]:
    chosen, sources = choose(run.media), sound_sources(run.sounds)
    names = {key: match.name if (match := find(key)) else key for key in {**chosen, **sources}}
    ordered, heard = in_reading_order(chosen), in_reading_order(sources)
    for title, (about, sections) in {**GALLERIES, "Other figures": ("", None)}.items():
        keys = [key for key in ordered if _belongs(key, sections)]
        figures = "".join(_figure(names[key], key, chosen[key]) for key in keys)
        sounds = "".join(
            _sound(names[key], key, run.sounds[key].step, sources[key]) for key in heard if _belongs(key, sections)
        )
        if figures or sounds:
            head = f"<h2>{escape(title)}</h2><p>{escape(about)}</p>"
            heard_below = f'<div class="sounds">{sounds}</div>' if sounds else ""
            yield f'<section>{head}<div class="gallery">{figures}</div>{heard_below}</section>'


def _tables(run: Run) -> Iterable[str]:
    """Yield the tables that callbacks wrote, each folded."""
    for key in in_reading_order(run.tables):
        rows = [row for row in run.tables[key] if row]
        if len(rows) < 2:
            continue
        shown = _row("th", rows[0]) + "".join(_row("td", row) for row in rows[1 : 1 + _ROWS])
        left_out = f", {_ROWS} shown" if len(rows) - 1 > _ROWS else ""
        yield folded(named(key)[0] or key, table(shown, "keys"), f"{len(rows) - 1} rows{left_out}")


def _row(kind: str, texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts) + "</tr>"


def _belongs(key: str, sections: tuple[str, ...] | None) -> bool:
    """Return whether a figure belongs to some sections of the registry; to None, if it belongs to no gallery."""
    match = find(key)
    if sections is not None:
        return match is not None and match.entry.section in sections
    return match is None or not any(match.entry.section in shown for _, shown in GALLERIES.values())


def _figure(name: str, key: str, pictures: list[Medium]) -> str:
    latest = len(pictures) - 1
    width, height = size(pictures[latest])
    basis = width + 34 if width > _WIDE else min(width + 34, _WIDE // 2 + 80)
    images = "".join(
        f'<img alt="{escape(name)}, step {picture.step}" data-step="{picture.step}" width="{width}" height="{height}" '
        f'src="{uri(picture)}"{"" if i == latest else " hidden"}>'
        for i, picture in enumerate(pictures)
    )
    label = escape(f"{name}: step")
    slider = f'<input type="range" min="0" max="{latest}" value="{latest}" aria-label="{label}">' if latest else ""
    return (
        f'<figure class="media" style="flex-basis:{basis}px"><figcaption><b>{escape(name)}</b>'
        f'<code>{escape(key)}</code><span class="history">{slider}<output>step {pictures[latest].step:,}</output>'
        f'</span></figcaption><div class="pictures">{images}</div></figure>'
    )


def _sound(name: str, key: str, step: int, source: str) -> str:
    return (
        f'<figure class="sound"><figcaption><b>{escape(name)}</b><code>{escape(key)}</code>'
        f'<output>step {step:,}</output></figcaption><audio controls preload="metadata" '
        f'aria-label="{escape(name)}" src="{source}"></audio></figure>'
    )


def _evaluations(run: Run) -> str:
    """Return the metrics measured at the end of the run, and those of `lsgen evaluate` since."""
    measured = {"at the end of training": run.status} | {f"checkpoint {k}": v for k, v in run.evaluations.items()}
    tables = ""
    for title, about in measured.items():
        metrics = about.get("metrics")
        if isinstance(metrics, Mapping) and metrics:
            step = about.get("step", about.get("generator_steps"))
            words = [title, f"step {step:,}" if isinstance(step, int) else ""]
            if about is run.status:
                words.append(share_measured(run.config))
            tables += _by_split(", ".join(filter(None, words)), metrics)
    return f"<section><h2>Evaluation</h2>{tables}</section>" if tables else ""


def _by_split(title: str, metrics: Mapping[str, Any]) -> str:
    """Return a table of values by key and split; averages over the last training epoch count as the split "train"."""
    metrics = {re.sub(r"^(train/.+)_epoch$", r"\1", key): value for key, value in metrics.items()}
    keys = in_reading_order(key.partition("/")[2] for key in metrics)
    splits = sorted(dict.fromkeys(key.partition("/")[0] for key in metrics), key=_place_of_split)
    head = "".join(f"<th>{escape(split)}</th>" for split in splits)
    rows = "".join(
        f"<tr><td>{label(key)}</td>"
        + "".join(f"<td>{cell(metrics.get(f'{split}/{key}', ''))}</td>" for split in splits)
        + "</tr>"
        for key in keys
    )
    return (
        f'<div class="wide"><table><caption>{escape(title)}</caption><tr><th>metric</th>{head}</tr>{rows}</table></div>'
    )


def _place_of_split(split: str) -> int:
    known = ("train", "val", "test")
    return known.index(split) if split in known else len(known)


def _geometries(run: Run) -> Iterable[str]:
    """Yield the results of `lsgen geometry`, one table per checkpoint: quantiles in one row, other values below."""
    for name, about in run.geometries.items():
        metrics = about.get("metrics")
        if not isinstance(metrics, Mapping) or not metrics:
            continue
        rows = "".join(
            f"<tr><td>{label(row.key)}</td>"
            + "".join(f"<td>{cell(row.levels.get(level, ''))}</td>" for level in LEVELS)
            + f"<td>{cell(row.not_finite)}</td></tr>"
            if row.not_finite is not None
            else f'<tr><td>{label(row.key)}</td><td colspan="6">{" &ensp; ".join(map(cell, row.values))}</td></tr>'
            for row in grouped(metrics)
        )
        heads = ("quantity", "5 %", "25 %", "median", "75 %", "95 %", "not finite")
        yield _of_checkpoint("Geometry of a checkpoint", name, about, heads, rows)


def _analyses(run: Run) -> Iterable[str]:
    """Yield the statistics of `lsgen analyse`, one table per checkpoint."""
    for name, about in run.analyses.items():
        statistics = about.get("statistics")
        if not isinstance(statistics, Mapping) or not statistics:
            continue
        rows = "".join(
            f"<tr><td>{label(key)}</td>"
            + "".join(
                f"<td>{'' if value is None else cell(value)}</td>"
                for value in (one.get("value"), *(one.get("interval") or ("", "")), one.get("baseline"), one.get("n"))
            )
            + "</tr>"
            for key, one in statistics.items()
        )
        heads = ("statistic", "value", "95 % from", "to", "by chance", "n")
        if "codes" in about:
            note = f"{about['codes']}, {plain(about.get('settings', {}))}"
            yield folded("Analysis of codes of a file", table(_row("th", heads) + rows, "keys"), note)
        else:
            yield _of_checkpoint("Analysis of codes of a checkpoint", name, about, heads, rows)


def _of_checkpoint(title: str, name: str, about: Mapping[str, Any], heads: Iterable[str], rows: str) -> str:
    """Return a table of what a verb has found of a checkpoint."""
    note = f"checkpoint {name}, step {about.get('step', '?')}, {plain(about.get('settings', {}))}"
    return folded(title, table(_row("th", heads) + rows, "keys"), note)


def _metrics(run: Run) -> str:
    if not run.latest:
        return ""
    rows = "".join(
        f"<tr><td>{escape(key)}</td><td>{cell(value)}</td><td>{step:,.0f}</td></tr>"
        for key, (step, value) in sorted(run.latest.items())
    )
    head = "<tr><th>key</th><th>last value</th><th>step</th></tr>"
    search = '<input type="search" placeholder="filter keys" aria-label="filter keys">'
    return folded("All metrics", search + table(head + rows, "keys"), f"{len(run.latest)} keys")


def _config(run: Run) -> str:
    return folded("Configuration", f"<pre>{escape(run.config_text)}</pre>", "config.yaml") if run.config_text else ""


def _provenance(provenance: Mapping[str, Any]) -> str:
    if not provenance:
        return ""
    git, packages = provenance.get("git"), provenance.get("packages")
    facts = {k: v for k, v in provenance.items() if k not in ("git", "packages", "attempts")}
    body = fact_table(facts)
    if isinstance(git, Mapping):
        body += "<h3>Source</h3>" + fact_table({k: v for k, v in git.items() if k != "diff"})
        if git.get("diff"):
            body += folded("Uncommitted changes", f"<pre>{escape(str(git['diff'])[:200_000])}</pre>", "git diff", 3)
    attempts = provenance.get("attempts")
    if isinstance(attempts, list) and attempts:
        body += "<h3>Attempts</h3>" + "".join(fact_table(a) for a in attempts if isinstance(a, Mapping))
    if isinstance(packages, Mapping):
        body += folded("Packages", fact_table(packages), f"{len(packages)} installed", 3)
    return folded("Provenance", body, str(provenance.get("host", "")))
