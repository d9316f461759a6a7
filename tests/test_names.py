"""No module has the name of a function that it defines, and no two public classes have the same name."""

import importlib
import inspect
import pkgutil
from collections import defaultdict
from types import ModuleType

import lsgen

EXCEPTIONS = {"lsgen.geometry.immersion", "lsgen.geometry.metric_field"}
"""The design names these functions and, with the types that they return, their modules."""


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
    assert found == EXCEPTIONS


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for module in _modules():
        for name in _defined(module, inspect.isclass):
            places[name].append(module.__name__)
    assert {name for name, modules in places.items() if len(modules) > 1} == set()
