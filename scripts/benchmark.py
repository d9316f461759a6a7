"""Collect `rows()` of every scripts/bench_NAME.py and print them as one table.

A row is a mapping with the keys work, bound_or_peer, ratio, target and met, and may add a note. Ratios are
measured within one run of one process, because absolute times drift with the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lsgen.runs import to_json

HERE = Path(__file__).resolve().parent


def available() -> dict[str, Path]:
    """Return the benchmarks by name."""
    return {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    """Import a benchmark and run it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    rows: list[Mapping[str, Any]] = module.rows()
    return rows


def main() -> int:
    """Run the chosen benchmarks; return 1 where a target is missed."""
    known = available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(known)}; all by default")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"expected names among {', '.join(known)}, got {', '.join(sorted(unknown))}")
    table = Table("benchmark", "work", "bound or peer", "ratio", "target", "met", "note")
    results = []
    for name in arguments.names or known:
        for row in rows_of(known[name]):
            results.append({"benchmark": name, **row})
            table.add_row(
                name,
                row["work"],
                row["bound_or_peer"],
                f"{row['ratio']:.3g}",
                row["target"],
                "yes" if row["met"] else "[red]no",
                row.get("note", ""),
            )
    Console(width=160).print(table)
    if arguments.json:
        arguments.json.write_text(to_json(results, indent=1) + "\n")
    return int(not all(row["met"] for row in results))


if __name__ == "__main__":
    sys.exit(main())
