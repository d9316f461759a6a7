"""Run the code of a page of the documentation, and renew the pictures that it shows.

    .venv/bin/python scripts/tutorial.py docs/pages/tutorials/geodesics.md

Blocks marked `python` run in one namespace, those marked `sh` hold calls of `lsgen`. They run in an empty directory, in
order; the pictures they write there are copied to the page's folder of assets.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "pages" / "assets"
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the language, the text and the first line's number of every block that runs."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield found[1], found[2], text.count("\n", 0, found.start(2)) + 1


def pictures(page: Path) -> list[str]:
    """Return the names of the pictures that a page shows from its folder of assets."""
    return re.findall(rf"\]\(\.\./assets/{page.stem}/([^)]+)\)", page.read_text(encoding="utf-8"))


def execute(page: Path, where: Path) -> dict[str, Any]:
    """Run the blocks of a page in a directory and return the names that they define."""
    from lsgen.cli import main as lsgen

    names: dict[str, Any] = {"__name__": "__tutorial__"}
    with chdir(where):
        for language, text, line in blocks(page):
            if language == "python":
                exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)
                continue
            for command in text.splitlines():
                program, *arguments = shlex.split(command)
                if program != "lsgen" or lsgen(arguments) != 0:
                    raise RuntimeError(f"{page.name}:{line}: {command} failed")
    return names


def main() -> int:
    """Renew the pictures of the pages given."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    for page in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as where:
            execute(page.resolve(), Path(where))
            (ASSETS / page.stem).mkdir(parents=True, exist_ok=True)
            for name in pictures(page):
                (ASSETS / page.stem / name).write_bytes((Path(where) / name).read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
