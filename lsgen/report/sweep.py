"""The page of a sweep: its settings in one table, and its runs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote

from lsgen.report.curves import overlays
from lsgen.report.media import BUDGET, image_uri, thumbnail
from lsgen.report.parts import cell, chart_section, document, folded, problems, table, write
from lsgen.report.run_contents import Medium, Run, collect
from lsgen.runs import Job, RunError, Sweep
from lsgen.runs.seed_statistics import SweepTable
from lsgen.runs.sweep import STATES

__all__ = ["write_sweep_report"]

_KINDS = (("traversal/axes", "traversal/plane", "traversal"), ("sample/grid", "sample", "reconstruction/grid"))
_SIDE = 260
_LISTED = 12


@dataclass
class _Member:
    """The parts of a run that the page of its sweep shows."""

    job: Job
    name: str
    state: str
    setting: str
    error: str = ""
    steps: str = ""
    link: str | None = None
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    pictures: list[tuple[str, Medium]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The name, as a link to the run's own page if it has one."""
        return f'<a href="{escape(self.link)}">{escape(self.name)}</a>' if self.link else escape(self.name)


def write_sweep_report(
    sweep: Sweep, settings: SweepTable, states: Sequence[str], plots: Mapping[str, bytes], notes: Iterable[str] = ()
) -> Path:
    """Write report.html into the directory of a sweep and return its path.

    The page holds what there is: what could not be read is said. It needs no network; links lead to the pages of the
    runs beside it.

    Args:
        sweep: the sweep.
        settings: its table.
        states: the state of each job.
        plots: title -> PNG file, the metrics against the settings.
        notes: what the reader should know, in sentences.

    Raises:
        RunError: the sweep has no jobs, or the page cannot be written.

    """
    if not sweep.jobs:
        raise RunError(f"expected a sweep with jobs at {sweep.path}, got one without any")
    members = _members(sweep, states, settings.over)
    named = {member.name: member for member in members}
    curves = {name: member.curves for name, member in named.items()}
    featured, others = overlays(curves, {name: member.setting for name, member in named.items()})
    gallery, left_out = _gallery(members)
    sections = [
        _header(sweep, states),
        problems([*notes, *left_out, *(problem for member in members for problem in member.problems)]),
        _swept(sweep),
        _settings(settings),
        _plots(plots),
        chart_section("Validation curves of all runs", featured, 0),
        chart_section("All other validation curves", others, len(featured), collapsed=True),
        _failures(members),
        gallery,
        _runs(members),
    ]
    return write(sweep.path / "report.html", document(sweep.path.name, sections, [*featured, *others]))


def _members(sweep: Sweep, states: Sequence[str], over: str) -> list[_Member]:
    """Return every job with the contents of its run directory; runs of one setting share a colour."""
    swept = sweep.swept()
    last = Counter(key.rpartition(".")[2] for key in swept)
    short = {key: tail if last[tail := key.rpartition(".")[2]] == 1 else key for key in swept}
    found = []
    for place, (job, state) in enumerate(zip(sweep.jobs, states, strict=True)):
        set_to = {key: f"{short[key]}={values[place]}" for key, values in swept.items() if values[place] is not None}
        setting = " ".join(text for key, text in set_to.items() if key != over)
        found.append(_Member(job, " ".join(set_to.values()) or job.run, state, setting))
        _read(sweep, found[-1])
    return found


def _read(sweep: Sweep, member: _Member) -> None:
    directory = sweep.run(member.job)
    try:
        run = collect(directory.path)
    except RunError as error:
        member.problems.append(f"{member.name}: {error}")
        return
    member.problems = [f"{member.name}: {problem}" for problem in run.problems]
    member.error = str(run.status.get("error", ""))
    member.steps = str(run.status.get("generator_steps", ""))
    member.curves = {key: points for key, points in run.curves.items() if key.startswith("val/")}
    member.pictures = list(_pictures(run))
    if directory.report_file.is_file():
        member.link = quote(f"{member.job.run}/report.html")


def _pictures(run: Run) -> Iterable[tuple[str, Medium]]:
    """Yield the last picture of a traversal and of samples, or of the next kinds of picture that exist."""
    for wanted in _KINDS:
        for start in wanted:
            key = next((key for key in sorted(run.media) if key == start or key.startswith(f"{start}/")), None)
            if key is not None:
                yield key, run.media[key][-1]
                break


def _header(sweep: Sweep, states: Sequence[str]) -> str:
    counts = Counter(states)
    shown = "".join(f'<span class="state {state}">{counts[state]} {state}</span>' for state in STATES if counts[state])
    facts = {
        "runs": len(sweep.jobs),
        "began": str(sweep.about.get("created", "")).replace("T", " ").replace("+00:00", " UTC"),
        "sweep": sweep.about.get("id", ""),
    }
    listed = "".join(f"<div><dt>{key}</dt><dd>{escape(str(value))}</dd></div>" for key, value in facts.items() if value)
    name = escape(sweep.path.name)
    return f'<header><div class="title"><h1>{name}</h1>{shown}</div><dl>{listed}</dl></header>'


def _swept(sweep: Sweep) -> str:
    """Return the swept settings with their values."""
    rows = "<tr><th>key</th><th>values</th></tr>"
    for key, every in sweep.swept().items():
        values = ["not set" if value is None else value for value in dict.fromkeys(every)]
        text = ", ".join(values[:_LISTED]) + (f", … ({len(values)} values)" if len(values) > _LISTED else "")
        rows += f"<tr><td>{escape(key)}</td><td>{escape(text)}</td></tr>"
    return f"<section><h2>Swept</h2>{table(rows, 'facts')}</section>" if sweep.swept() else ""


def _settings(settings: SweepTable) -> str:
    """Return the aggregated table, the best rows bold."""
    names = [*settings.keys, "n", "failed"]
    top = f'<th colspan="{len(names)}"></th>' + "".join(
        f'<th colspan="3">{escape(metric)}</th>' for metric in settings.metrics
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in names) + "<th>mean</th><th>std</th><th>95 % CI</th>" * len(
        settings.metrics
    )
    rows = f"<tr>{top}</tr><tr>{head}</tr>"
    for place, group in enumerate(settings.groups):
        cells = [cell("" if value is None else value) for value in (*group.keys.values(), group.n, group.failed)]
        for metric in settings.metrics:
            found = group.statistics(metric)
            interval = f"{_finite(found.ci_low)} to {_finite(found.ci_high)}" if found.std == found.std else ""
            cells += [_finite(found.mean), _finite(found.std), interval]
        mark = ' class="best"' if place in settings.best else ""
        rows += f"<tr{mark}>{''.join(f'<td>{text}</td>' for text in cells)}</tr>"
    about = f"A row for each setting, statistics over {settings.over}s of the runs that finished."
    if settings.best:
        about += f" Bold: the best {settings.judge}, and what paired t-tests (Holm) do not tell from it."
    return f"<section><h2>Settings</h2><p>{escape(about)}</p>{table(rows)}</section>"


def _finite(value: float) -> str:
    return f"{value:,.5g}".replace("-", "−") if value == value else ""


def _plots(plots: Mapping[str, bytes]) -> str:
    figures = "".join(
        f'<figure class="media" style="flex-basis:500px"><div class="pictures"><img alt="{escape(title)}" '
        f'src="{image_uri(content, "png")}"></div></figure>'
        for title, content in plots.items()
    )
    about = "Lines are means with 95 % confidence intervals, points are runs."
    return f'<section><h2>Responses</h2><p>{about}</p><div class="gallery">{figures}</div></section>' if figures else ""


def _gallery(members: Iterable[_Member]) -> tuple[str, list[str]]:
    """Return the last pictures of every run, as far as there is room, with a note on those left out."""
    figures, spent, lacking, notes = "", 0, 0, []
    for member in members:
        images = ""
        for key, picture in member.pictures:
            try:
                content = thumbnail(picture, _SIDE)
            except OSError as error:
                notes.append(f"{member.name}: {key} could not be read: {error}")
                continue
            spent += len(content)
            alt = escape(f"{member.name}, {key}, step {picture.step}")
            image = f'<img alt="{alt}" title="{alt}" src="{image_uri(content, "jpeg")}">'
            images += f'<a href="{escape(member.link)}">{image}</a>' if member.link else image
        if images and spent <= BUDGET:
            figures += f"<figure><figcaption>{member.title}</figcaption>{images}</figure>"
        else:
            lacking += bool(images)
    if lacking:
        notes.append(f"The pictures of {lacking} runs are left out: the page would be too large.")
    about = "The last traversal and the last samples of each run; they lead to its own page."
    section = f'<section><h2>Pictures</h2><p>{about}</p><div class="thumbs">{figures}</div></section>'
    return (section if figures else ""), notes


def _failures(members: Iterable[_Member]) -> str:
    rows = "".join(
        f"<tr><td>{member.title}</td><td>{escape(member.error or 'no error was recorded')}</td></tr>"
        for member in members
        if member.state == "failed"
    )
    return f"<section><h2>Failures</h2>{table(f'<tr><th>run</th><th>error</th></tr>{rows}')}</section>" if rows else ""


def _runs(members: Sequence[_Member]) -> str:
    rows = "<tr><th>run</th><th>state</th><th>steps</th><th>directory</th></tr>" + "".join(
        f"<tr><td>{member.title}</td><td>{member.state}</td><td>{escape(member.steps)}</td>"
        f"<td>{escape(member.job.run)}</td></tr>"
        for member in members
    )
    search = '<input type="search" placeholder="filter runs" aria-label="filter runs">'
    return folded("All runs", search + table(rows, "keys"), f"{len(members)} runs")
