"""The rooms of the package: no import circle, and no room with too many files on one floor."""

from graphlib import TopologicalSorter

import grimp

import lsgen


def test_modules_import_each_other_in_no_circle() -> None:
    graph = grimp.build_graph(lsgen.__name__, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > 300
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle
