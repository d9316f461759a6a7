"""What scripts/exports.py derives from the modules is what the tree holds, and it finds new and moved members."""

import importlib
import inspect
import pkgutil
import re
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import lsgen

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def exports():
    spec = spec_from_file_location("exports", ROOT / "scripts" / "exports.py")
    module = module_from_spec(spec)
    sys.modules["exports"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["exports"]


@pytest.fixture
def copy(tmp_path):
    for name in ("lsgen", "setup.cfg"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    return tmp_path


def test_derived_files_are_up_to_date(exports):
    stale = [str(path) for path, text in exports.derived(ROOT).items() if path.read_text() != text]
    assert stale == [], "run scripts/exports.py"


def test_every_member_of_a_kind_is_exported_by_its_room(exports):
    """By the classes themselves, once everything is imported."""

    def found(name):
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    kinds = {room: tuple(found(name) for name in names) for room, names in exports.KINDS.items()}
    seen = 0
    for info in pkgutil.walk_packages(lsgen.__path__, "lsgen."):
        upwards = [info.name[: i.start()] for i in re.finditer(r"\.", info.name)][::-1]
        room = next((name for name in upwards if name in kinds or name in exports.HELPERS), None)
        if info.ispkg or room not in kinds:
            continue
        module = importlib.import_module(info.name)
        for name, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ == info.name and name in module.__all__ and issubclass(member, kinds[room]):
                seen += 1
                assert getattr(importlib.import_module(room), name) is member
                assert name in importlib.import_module(room).__all__
    assert seen > 100


def test_a_new_member_is_exported_and_a_moved_one_found_again(exports, copy):
    room = copy / "lsgen" / "likelihoods"
    text = (room / "poisson.py").read_text()
    (room / "counts.py").write_text(
        text.replace('__all__ = ["Poisson"]', '__all__ = ["Counts"]').replace("class Poisson(", "class Counts(")
    )
    (room / "odd").mkdir()
    (room / "odd" / "__init__.py").write_text('"""Families of their own."""\n')
    shutil.move(room / "beta.py", room / "odd" / "two_sided.py")
    texts = exports.derived(copy)
    door = texts[room / "__init__.py"]
    assert "from lsgen.likelihoods.counts import Counts\n" in door
    assert '    "Counts",\n' in door
    assert "from lsgen.likelihoods.odd.two_sided import Beta\n" in door
    assert "lsgen.likelihoods.beta" not in door
    assert "    lsgen.likelihoods.odd\n" in texts[copy / "setup.cfg"]
    (room / "poisson.py").unlink()
    assert "Poisson" not in exports.derived(copy)[room / "__init__.py"]


def test_a_door_that_computes_is_refused(exports, copy):
    with (copy / "lsgen" / "nn" / "__init__.py").open("a") as door:
        door.write("SIZE = 3\n")
    with pytest.raises(SystemExit, match=r"expected nothing but a docstring, imports and __all__ .* got 'SIZE = 3'"):
        exports.derived(copy)
