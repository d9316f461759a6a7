"""The table of features of explorer.md: a tick for lsgen where a browser test is marked to show the feature."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TESTS, ROWS = ROOT / "tests" / "explorer", ROOT / "docs" / "features.yaml"
PLACE = "<!-- features -->"


def shown(folder: Path = TESTS) -> dict[str, list[str]]:
    """Return, by feature, the browser tests that are marked to show it, as FILE::TEST."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
        whole = any(line.startswith("pytestmark") and "mark.browser" in line for line in lines)
        for test in (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")):
            if whole or any("mark.browser" in ast.unparse(one) for one in test.decorator_list):
                for name in _marks(test):
                    found.setdefault(name, []).append(f"{path.name}::{test.name}")
    return found


def _marks(test: ast.FunctionDef) -> Iterator[str]:
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shows":
            yield from (ast.literal_eval(argument) for argument in mark.args)


def table() -> str:
    """Return the table in markdown.

    Raises:
        ValueError: a test shows a feature that is no row.

    """
    about: dict[str, Any] = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    tests = shown()
    if unknown := sorted(tests.keys() - about["rows"].keys()):
        raise ValueError(f"expected tests to show features of docs/features.yaml, got {unknown[0]!r}")
    lines = ["| | " + " | ".join(about["columns"]) + " | lsgen |", "|---" * (len(about["columns"]) + 2) + "|"]
    for name, row in about["rows"].items():
        tick = "✓" if name in tests else "no"
        lines.append(f"| {row['feature']} | " + " | ".join(row["others"]) + f" | {tick} |")
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table in its place, when mkdocs builds."""
    return markdown.replace(PLACE, table()) if PLACE in markdown else markdown
