"""Check the style budget of the package: sizes of files and functions, annotations, and what must not be there."""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

FILE_LIMIT, FILE_MEDIAN, FUNCTION_LIMIT, FUNCTION_MEDIAN, ARGUMENT_LIMIT = 400, 200, 60, 8, 10
ROOM_LIMIT = 16  # modules at the top of a room
Function = ast.FunctionDef | ast.AsyncFunctionDef


def body_length(function: Function) -> int:
    """Return the number of lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def arguments(method: Function) -> int:
    """Return how many arguments a method takes beside its object."""
    return len(method.args.posonlyargs) + len(method.args.args) + len(method.args.kwonlyargs) - 1


def faults(path: Path, tree: ast.Module, text: str) -> Iterator[str]:
    """Yield one sentence for every place of a file that is outside the budget."""
    lines = text.count("\n")
    if lines > FILE_LIMIT:
        yield f"{path}: {lines} lines, at most {FILE_LIMIT}"
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{path}:{number}: unfinished work is left in a comment"
    for node in ast.walk(tree):
        if isinstance(node, Function) and body_length(node) > FUNCTION_LIMIT:
            yield f"{path}:{node.lineno}: {node.name} has {body_length(node)} lines, at most {FUNCTION_LIMIT}"
        if isinstance(node, Function) and node.name == "__init__" and arguments(node) > ARGUMENT_LIMIT:
            yield f"{path}:{node.lineno}: a constructor takes {arguments(node)} arguments, at most {ARGUMENT_LIMIT}"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{path}:{node.lineno}: bare except"


def crowded(files: Sequence[Path]) -> Iterator[str]:
    """Yield one sentence for every room that holds too many modules at its top; a room of its own holds the rest."""
    for room, modules in sorted(Counter(path.parent for path in files if path.name != "__init__.py").items()):
        if modules > ROOM_LIMIT:
            yield f"{room}: {modules} modules, at most {ROOM_LIMIT}"


def main() -> int:
    """Print every fault and the sizes; return the number of faults."""
    root = Path(__file__).resolve().parent.parent
    files = sorted((root / "lsgen").rglob("*.py"))
    sizes, functions, found = [], [], []
    for path in files:
        text = path.read_text()
        tree = ast.parse(text)
        sizes.append(text.count("\n"))
        functions += [body_length(node) for node in ast.walk(tree) if isinstance(node, Function)]
        found += faults(path.relative_to(root), tree, text)
    found += crowded([path.relative_to(root) for path in files])
    file_median, function_median = statistics.median(sizes), statistics.median(functions)
    if file_median > FILE_MEDIAN:
        found.append(f"the median file has {file_median} lines, at most {FILE_MEDIAN}")
    if function_median > FUNCTION_MEDIAN:
        found.append(f"the median function has {function_median} lines, at most {FUNCTION_MEDIAN}")
    print(
        "\n".join(found)
        or f"{len(files)} files, median {file_median:g} lines; "
        f"{len(functions)} functions, median {function_median:g} lines"
    )
    return min(len(found), 100)


if __name__ == "__main__":
    sys.exit(main())
