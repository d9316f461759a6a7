"""The rooms of the package: no import circle, and private parts of libraries in one module of a room."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

import lsgen

PACKAGE = Path(lsgen.__file__).parent


def test_modules_import_each_other_in_no_circle() -> None:
    graph = grimp.build_graph(lsgen.__name__, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > 300
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle


def private_imports(path: Path) -> list[str]:
    """Return the names that a file imports from other packages though they, or their modules, are private."""
    imports: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [f"{node.module}.{alias.name}" for alias in node.names]
    return [
        name
        for name in imports
        if not name.startswith(("lsgen.", "__future__."))
        and any(part.startswith("_") for part in name.split(".") if part != "__version__")
    ]


def test_private_parts_of_libraries_are_imported_by_compat_alone() -> None:
    found = {path.relative_to(PACKAGE): private_imports(path) for path in PACKAGE.rglob("*.py")}
    assert {path.parts[0] for path, names in found.items() if names and path.name == "compat.py"} >= {
        "cli",
        "callbacks",
    }
    assert {path: names for path, names in found.items() if names and path.name != "compat.py"} == {}
