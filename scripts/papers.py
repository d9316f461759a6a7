"""The pages of reproduced papers, from their targets and recorded results: verdicts are computed, never typed.

Verdicts follow from `lsgen.reproduction.verdicts`. Run from anywhere:

    python scripts/papers.py           write experiments/README.md and experiments/*/results/results.md
    python scripts/papers.py --check   end with 1 if a page is not what targets and results say
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lsgen.reproduction.page import latest, overview, results_page
from lsgen.reproduction.paper import Paper
from lsgen.reproduction.record import RESULTS, attempts, figures_of

ROOT = Path(__file__).resolve().parents[1]

HEAD = """# Reproduced papers

Every number below was computed by `lsgen reproduce PAPER`, and every verdict follows from it by rule: "reproduced"
asks for the paper's own data, three seeds or more, and a mean within the tolerance that was committed before the run; a
claim is an inequality that a test tells at 5 %. *Unverified* marks published values that were not read in the paper.

    lsgen reproduce --list
    lsgen reproduce PAPER --preset cpu

This page is written by `python scripts/papers.py` from `*/target.yaml` and `*/results/`.
"""


def all_papers(root: Path = ROOT) -> list[Paper]:
    """Return all papers, by name."""
    return [Paper.read(file.parent) for file in sorted((root / "experiments").glob("*/target.yaml"))]


def derived(root: Path = ROOT) -> dict[Path, str]:
    """Return every derived page and the text that it should have."""
    found = all_papers(root)
    lines = HEAD + "\n" + overview(found, "{name}/README.md", "{name}/results/results.md")
    pages = {root / "experiments" / "README.md": lines}
    for paper in found:
        if (attempt := latest(paper)) is not None:
            place = paper.folder / RESULTS / "results.md"
            pages[place] = results_page(paper, attempts(paper), attempt, figures_of(paper))
    return pages


def main(arguments: Sequence[str]) -> int:
    """Write or check the pages; return the exit code."""
    stale = {path: text for path, text in derived().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        shown = path.relative_to(ROOT)
        if "--check" in arguments:
            print(f"{shown} is not what targets and results say: run python scripts/papers.py", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"{shown} written")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
