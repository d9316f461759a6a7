"""Pages of results in Markdown, from targets and recorded attempts alone: nothing on them is typed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lsgen.reproduction.document import Side, Target
from lsgen.reproduction.paper import Paper
from lsgen.reproduction.record import Attempt, attempts
from lsgen.reproduction.verdicts import NOT_RUN, TargetVerdict, judge_claim, judge_target

__all__ = ["claim_rows", "latest", "overview", "overview_rows", "results_page", "target_rows", "verdicts"]

_MARKS = {"read": "", "quoted": " (as others quote it)", "unverified": " (unverified, from memory)"}
_LONGEST = 60
_NOT_OF_THE_PAPER = ("logger", "report")  # settings that change where numbers go and nothing else


def verdicts(attempt: Attempt) -> dict[str, str]:
    """Return the verdict on each target and claim, by the targets and claims that the attempt was judged by."""
    found = {name: judge_target(target, attempt).verdict for name, target in attempt.targets.items()}
    return found | {name: judge_claim(claim, attempt).verdict for name, claim in attempt.claims.items()}


def target_rows(attempt: Attempt) -> list[list[str]]:
    """Return a row for each target: name, published, obtained, tolerance, verdict."""
    rows = []
    for name, target in attempt.targets.items():
        found = judge_target(target, attempt)
        verdict = f"{found.verdict} ({found.why})" if found.why else found.verdict
        rows.append([name, _published(target), _obtained(found), _tolerance(target), verdict])
    return rows


def claim_rows(attempt: Attempt) -> list[list[str]]:
    """Return a row for each inequality of each claim: name and inequality, mean difference, p, verdict."""
    rows = []
    for name, claim in attempt.claims.items():
        found = judge_claim(claim, attempt)
        if found.verdict == NOT_RUN:
            rows.append([name, "", "", NOT_RUN])
        for inequality, one in zip(claim.inequalities, found.inequalities, strict=False):
            margin = f" + {_number(inequality.margin)}" if inequality.margin else ""
            text = f"{name}: {_side(inequality.larger)} > {_side(inequality.smaller)}{margin}"
            rows.append([text, _number(one.difference), f"{_number(one.p, 2)} ({one.why})", found.verdict])
    return rows


def latest(paper: Paper) -> Attempt | None:
    """Return the attempt that counts: the last one recorded."""
    return max(attempts(paper), key=lambda one: one.time, default=None)


def overview_rows(paper: Paper, attempt: Attempt | None) -> list[list[str]]:
    """Return a row for each target and claim: paper, name, published, obtained, verdict, minutes."""
    if attempt is None:
        document = paper.document
        rows = [[name, _published(target), ""] for name, target in document.targets.items()]
        rows += [[name, "", ""] for name in document.claims]
        return [[paper.name, *row, NOT_RUN, ""] for row in rows]
    minutes = _minutes(attempt)
    rows = [[name, published, obtained, verdict] for name, published, obtained, _, verdict in target_rows(attempt)]
    for name, claim in attempt.claims.items():
        found = judge_claim(claim, attempt)
        worst = max((one.p for one in found.inequalities), default=math.nan)
        rows.append([name, "", "" if math.isnan(worst) else f"p = {_number(worst, 2)}", found.verdict])
    return [[paper.name, *row, minutes] for row in rows]


def overview(papers: Sequence[Paper], setting: str, results: str) -> str:
    """Return the overview of all papers.

    Args:
        papers: the papers.
        setting: where the description of a paper's reproduction stands, with {name} for its name.
        results: where its results stand, if any are recorded.

    """
    lines: list[str] = []
    for paper in papers:
        document, attempt = paper.document, latest(paper)
        lines += [
            f"## {document.title}",
            "",
            f"{document.authors} ({document.year}), <{document.url}>. {document.claim}",
        ]
        shown = f"[Setting]({setting.format(name=paper.name)})"
        if attempt is None:
            shown += ". No run is recorded."
        else:
            where = results.format(name=paper.name)
            shown += f", [results]({where}): preset `{attempt.preset}`, {_minutes(attempt)} minutes."
        lines += ["", f"`lsgen reproduce {paper.name}`. {shown}", ""]
        rows = [row[1:-1] for row in overview_rows(paper, attempt)]
        lines += [*_table(["target or claim", "published", "obtained", "verdict"], rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def results_page(paper: Paper, recorded: Sequence[Attempt], attempt: Attempt, figures: Sequence[str]) -> str:
    """Return the page of an attempt.

    Args:
        paper: the paper.
        recorded: all attempts, the given one among them.
        attempt: the one whose numbers are shown.
        figures: names of the files in figures/.

    """
    document = paper.document
    lines = [f"# {document.title}", "", f"{document.authors} ({document.year}), <{document.url}>. {document.claim}", ""]
    lines += [
        f"`lsgen reproduce {paper.name} --preset {attempt.preset}`: {_minutes(attempt)} minutes of "
        f"{_work(attempt)} on one thread, {attempt.machine}. {_order(attempt)}",
        "",
        f"Data: {attempt.data.fidelity}" + (f" ({attempt.data.reason})." if attempt.data.reason else "."),
        "",
    ]
    if rows := target_rows(attempt):
        lines += [
            "## Published numbers",
            "",
            *_table(["target", "published", "obtained", "tolerance", "verdict"], rows),
            "",
        ]
        lines += [f"- {name}: {_about(target)}" for name, target in attempt.targets.items()]
        lines += [""]
    if rows := claim_rows(attempt):
        lines += ["## Claims", "", *_table(["claim", "difference", "p", "verdict"], rows), ""]
        lines += [f"- {name}: {claim.statement} {claim.reason}" for name, claim in attempt.claims.items()]
        lines += [""]
    for name in figures:
        lines += [f"![{name}](figures/{name}.png)", ""]
    if attempt.runs:
        heads = ["arm", "seed", "state", "steps", "seconds", "CPU seconds"]
        lines += ["## Deviations from the paper's configuration", "", *_deviations(attempt), ""]
        lines += ["## Runs", "", *_table(heads, _run_rows(attempt)), ""]
    lines += ["## Attempts", "", *_table(["attempt", "preset", "minutes", "verdicts"], _attempt_rows(recorded)), ""]
    lines += [", ".join(f"{name} {version}" for name, version in attempt.versions.items()) + "."]
    return "\n".join(lines).rstrip() + "\n"


def _minutes(attempt: Attempt) -> str:
    """Return minutes of the processor; on the clock, other work beside it included, if some run did not record them."""
    if all(run.cpu_seconds is not None for run in attempt.runs if run.state == "finished"):
        return f"{attempt.cpu_minutes:.0f}"
    return f"{attempt.minutes:.0f} (on the clock)"


def _work(attempt: Attempt) -> str:
    return "training and measuring, one run after another" if attempt.runs else "calculation without any training,"


def _order(attempt: Attempt) -> str:
    return {
        True: "Targets and claims were committed before the runs.",
        False: "Targets or claims were changed after the runs.",
        None: "Whether targets and claims were committed before the runs is not known.",
    }[attempt.committed_first]


def _about(target: Target) -> str:
    better = {"lower": " or lower", "higher": " or higher", "two-sided": ""}[target.direction]
    tolerance = f"Tolerance {target.tolerance:g}{better}: {target.reason}"
    return f"{target.where}, {target.source}{_MARKS[target.provenance]}. {tolerance}"


def _deviations(attempt: Attempt) -> list[str]:
    """Return a table of the settings that differ from the paper's, arms with the same value together."""
    by_setting: dict[tuple[str, str, str], list[str]] = {}
    arms = list(dict.fromkeys(run.arm for run in attempt.runs))
    for arm in arms:
        first = next(run for run in attempt.runs if run.arm == arm)
        for key, (there, here) in first.deviations.items():
            if key.split(".")[0] in _NOT_OF_THE_PAPER:
                continue
            by_setting.setdefault((key, _text(there), _text(here)), []).append(arm)
    if not by_setting:
        return ["None."]
    rows = [
        [f"`{key}`", there, here, "all" if of == arms else ", ".join(of)]
        for (key, there, here), of in by_setting.items()
    ]
    return _table(["setting", "paper", "here", "arms"], rows)


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _run_rows(attempt: Attempt) -> list[list[str]]:
    known = lambda value, digits=0: "" if value is None else f"{value:.{digits}f}"
    times = lambda run: [known(run.steps), known(run.seconds), known(run.cpu_seconds)]
    return [[run.arm, str(run.seed), run.state, *times(run)] for run in attempt.runs]


def _attempt_rows(recorded: Sequence[Attempt]) -> list[list[str]]:
    rows = []
    for one in sorted(recorded, key=lambda one: one.time):
        text = "; ".join(f"{name}: {verdict}" for name, verdict in verdicts(one).items())
        rows.append([one.name, one.preset, _minutes(one), text])
    return rows


def _published(target: Target) -> str:
    spread = "" if target.spread is None else f" ± {target.spread:g}"
    return f"{target.published:g}{spread}{'' if target.provenance == 'read' else ', ' + target.provenance}"


def _obtained(found: TargetVerdict) -> str:
    if found.verdict == NOT_RUN:
        return ""
    if not found.n:
        return _number(found.mean)
    spread = "" if math.isnan(found.std) else f" ± {_number(found.std, 2)}"
    return f"{_number(found.mean)}{spread} (n = {found.n})"


def _tolerance(target: Target) -> str:
    sign = {"two-sided": "±", "lower": "+", "higher": "-"}[target.direction]
    return f"{sign}{target.tolerance:g}"


def _side(side: Side | float) -> str:
    if not isinstance(side, Side):
        return f"{side:g}"
    return side.metric if side.arm is None else f"{side.arm} {side.metric}"


def _number(value: float, digits: int = 4) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
