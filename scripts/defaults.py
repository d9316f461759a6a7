"""The page of defaults that differ from their papers, from the comments where they are set.

A comment above a default says what another source has:

    # differs from SOURCE: VALUE; REMARK
    #   more of the remark
    key: value

in the configs, and the same above a parameter in Python. A source that was not looked up ends in ", from memory".

    python scripts/defaults.py           write docs/pages/defaults.md
    python scripts/defaults.py --check   end with 1 where the page is not what the comments say
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "pages" / "defaults.md"
MEMORY = ", from memory"
COMMENT = re.compile(r"\s*# differs from (?P<source>[^:]+): (?P<rest>.+)")
MORE = re.compile(r"\s*#   (?P<rest>.+)")
YAML = re.compile(r"(?P<indent>\s*)(?P<item>- )?(?:override )?(?P<key>[\w/@.]+):(?: +(?P<value>[^#]*?))?\s*(?:#.*)?")
PARAMETER = re.compile(r"\s*(?P<key>\w+)(?:: [^=]+)? = (?P<value>.+?),?")

HEAD = """# Defaults that differ from their papers

A default is the paper's, or stands here; the same words stand above it where it is set. What no paper says is not
listed: a latent dimension of 10, 20,000 generator steps and perceptrons of two hidden layers are choices of lsgen for
models that are tried on small data, and a reproduction of a paper is an experiment that sets its own. *From memory*
marks what was not looked up.

This page is written by `python scripts/defaults.py` from the comments in the files.
"""


@dataclass(frozen=True)
class Difference:
    """One default and what a source has in its place.

    Attributes:
        file: where it is set, from the root of the repository.
        key: its dotted path in the file, "/GROUP" for a choice among the defaults of a config.
        here: its value, "" for a whole block.
        source: a paper or a code.
        there: the value of the source.
        remark: what else there is to say.

    """

    file: str
    key: str
    here: str
    source: str
    there: str
    remark: str


def differences(text: str, file: str) -> Iterator[Difference]:
    """Find the statements of a file, in its order.

    Raises:
        ValueError: a statement is not followed by a default, or says no value.

    """
    pending: list[tuple[str, str]] = []
    path: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := COMMENT.fullmatch(line):
            pending.append((found["source"], found["rest"]))
        elif pending and (found := MORE.fullmatch(line)):
            source, rest = pending.pop()
            pending.append((source, f"{rest} {found['rest']}"))
        elif not line.strip() or line.lstrip().startswith("#"):
            if pending:
                raise ValueError(f"{file}:{number}: expected a default below what it differs from, got {line!r}")
        else:
            key, here = _setting(line, file, path)
            for source, rest in pending:
                there, _, remark = rest.partition("; ")
                yield Difference(file, key, here, source, there, remark)
            if pending and not key:
                raise ValueError(f"{file}:{number}: expected a default below what it differs from, got {line!r}")
            pending = []
    if pending:
        raise ValueError(f"{file}: expected a default below what it differs from, got the end of the file")


def _setting(line: str, file: str, path: list[tuple[int, str]]) -> tuple[str, str]:
    """Return the dotted path and the value that a line sets, and keep the path up to it; "" where it sets none."""
    if file.endswith(".py"):
        found = PARAMETER.fullmatch(line)
        return (found["key"], found["value"]) if found else ("", "")
    found = YAML.fullmatch(line)
    if found is None:
        return "", ""
    depth = len(found["indent"])
    if found["item"]:
        before = _cut(path, depth + 2)[-1:]
        index = int(before[0][1]) + 1 if before and before[0][0] == depth + 1 else 0
        _cut(path, depth + 1).append((depth + 1, str(index)))
        depth += 2
    key = ".".join([*(part for _, part in _cut(path, depth)), found["key"]])
    path.append((depth, found["key"]))
    return re.sub(r"^defaults\.\d+\.", "", key), (found["value"] or "").strip()


def _cut(path: list[tuple[int, str]], depth: int) -> list[tuple[int, str]]:
    """Return the path up to a depth, which is taken out of it from there on."""
    while path and path[-1][0] >= depth:
        path.pop()
    return path


def everything(root: Path = ROOT) -> list[Difference]:
    """Return all statements of the configs and of the package."""
    files = [*sorted((root / "conf").rglob("*.yaml")), *sorted((root / "lsgen").rglob("*.py"))]
    return [found for file in files for found in differences(file.read_text(), file.relative_to(root).as_posix())]


def page(found: Sequence[Difference]) -> str:
    """Return the page, a table for every folder of settings."""
    parts = [HEAD]
    for folder, rows in groupby(found, lambda one: one.file.rsplit("/", 1)[0]):
        parts.append(f"\n## `{folder}`\n\n| where | setting | here | elsewhere | remark |\n|---|---|---|---|---|\n")
        parts += [_row(one) for one in rows]
    return "".join(parts)


def _row(one: Difference) -> str:
    source, memory = one.source.removesuffix(MEMORY), " *(from memory)*" if one.source.endswith(MEMORY) else ""
    cells = (
        f"`{one.file.rsplit('/', 1)[1]}`",
        f"`{one.key}`",
        f"`{one.here}`" if one.here else "",
        f"{one.there}: {source}{memory}",
        one.remark,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or check it."""
    text = page(everything())
    if "--check" not in arguments:
        PAGE.write_text(text)
        return 0
    if PAGE.is_file() and PAGE.read_text() == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the comments say: run python scripts/defaults.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
