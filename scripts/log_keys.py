"""Write the tables of log keys in docs/pages/logging.md from the registry.

A table stands between the lines `<!-- keys: SECTION -->` and `<!-- end of keys -->`.

    python scripts/log_keys.py           write them
    python scripts/log_keys.py --check   end with 1 if the page differs from the registry
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lsgen.runs.keys import ENTRIES, SECTIONS, Entry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pages" / "logging.md"
TABLE = re.compile(r"(<!-- keys: (?P<section>\w+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)
ADDED = {"distribution": "/...", "numbered": "/00, ..."}


def keys_of(entry: Entry) -> str:
    """Return the keys of an entry as a reader writes them."""
    pattern = re.sub(r"\{(\w+)(?:\.\.\.)?\}", lambda found: found[1].upper(), entry.pattern) + ADDED.get(entry.kind, "")
    stages = [f"{stage}/" if stage else "" for stage in entry.stages or ("",)]
    return ", ".join(f"`{stage}{pattern}`" for stage in stages)


def row(entry: Entry) -> str:
    """Return the row of an entry."""
    meaning = entry.meaning if entry.default else f"{entry.meaning}; with `log_all` only"
    return "| " + " | ".join((keys_of(entry), entry.kind, entry.unit, meaning.replace("|", "\\|"))) + " |"


def table(section: str) -> str:
    """Return the table of a section."""
    rows = [row(entry) for entry in ENTRIES if entry.section == section]
    return "\n".join(["| key | kind | unit | meaning |", "|---|---|---|---|", *rows, ""])


def page(text: str) -> str:
    """Return the page with its tables as the registry has them.

    Raises:
        ValueError: a section of the registry has no place on the page, or a place has no section.

    """
    places = [found["section"] for found in TABLE.finditer(text)]
    if sorted(places) != sorted(SECTIONS):
        raise ValueError(f"expected one table for each of {', '.join(SECTIONS)} on the page, got {', '.join(places)}")
    return TABLE.sub(lambda found: f"{found[1]}\n{table(found['section'])}\n{found[3]}", text)


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; return the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    written = page(text)
    if "--check" not in arguments:
        PAGE.write_text(written, encoding="utf-8")
    elif written != text:
        print(f"{PAGE.name} differs from the registry of log keys: run python scripts/log_keys.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
