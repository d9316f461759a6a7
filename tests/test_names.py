"""Names are single: no module shares one with a function that it defines, and no two public classes have the same."""

import importlib
import inspect
import pkgutil
from collections import defaultdict
from types import ModuleType

import lsgen

SHARED_MODULES = {
    # what remains: a name that becomes single leaves the list
    "lsgen.cli.config.build",
    "lsgen.cli.config.freeze",
    "lsgen.cli.config.prepare",
    "lsgen.cli.launchers.start",
    "lsgen.cli.load",
    "lsgen.cli.resume",
    "lsgen.cli.sweeps.sweep_table",
    "lsgen.cli.verbs.evaluate",
    "lsgen.cli.verbs.traverse",
    "lsgen.geometry.immersion",
    "lsgen.geometry.metric_field",
    "lsgen.geometry.pointwise",
    "lsgen.metrics.quality.path_length",
    "lsgen.report.collect",
    "lsgen.runs.aggregate",
    "lsgen.viz.grid",
    "lsgen.viz.responses",
}
SHARED_CLASSES = {"Frame", "Progress"}


def _modules() -> list[ModuleType]:
    names = [m.name for m in pkgutil.walk_packages(lsgen.__path__, "lsgen.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def _defined(module: ModuleType, kind: object) -> list[str]:
    return [
        name
        for name, member in inspect.getmembers(module, kind)
        if member.__module__ == module.__name__ and not name.startswith("_")
    ]


def test_no_module_shares_its_name_with_a_function_it_defines() -> None:
    found = {m.__name__ for m in _modules() if m.__name__.rpartition(".")[2] in _defined(m, inspect.isfunction)}
    assert found == SHARED_MODULES


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for module in _modules():
        for name in _defined(module, inspect.isclass):
            places[name].append(module.__name__)
    assert {name for name, modules in places.items() if len(modules) > 1} == SHARED_CLASSES
