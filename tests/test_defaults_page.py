"""The page of defaults that differ from their papers against the files themselves, read by other means."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import lsgen

ROOT = Path(lsgen.__file__).parents[1]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("defaults_script", ROOT / "scripts" / "defaults.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


def test_the_page_is_what_the_comments_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert SCRIPT.PAGE.read_text() == SCRIPT.page(SCRIPT.everything()), "run python scripts/defaults.py"
    assert SCRIPT.main(["--check"]) == 0
    monkeypatch.setattr(SCRIPT, "ROOT", tmp_path)
    monkeypatch.setattr(SCRIPT, "PAGE", tmp_path / "defaults.md")
    assert SCRIPT.main(["--check"]) == 1


def _module(file: str) -> ModuleType:
    return importlib.import_module(file.removesuffix(".py").replace("/", "."))


def _defaults(file: str, key: str) -> list[object]:
    """Return the defaults of an argument in the functions and classes of a file."""
    module = _module(file)
    own = [x for x in vars(module).values() if callable(x) and getattr(x, "__module__", "") == module.__name__]
    return [p.default for x in own for name, p in inspect.signature(x).parameters.items() if name == key]


def test_every_statement_is_found_and_stands_at_a_key_of_its_file() -> None:
    found = SCRIPT.everything()
    folders = [ROOT / "conf", ROOT / "lsgen"]
    texts = [path.read_text() for folder in folders for kind in ("py", "yaml") for path in folder.rglob(f"*.{kind}")]
    assert len(found) == sum(text.count("# differs from ") for text in texts) > 50
    for one in found:
        if one.file.endswith(".py"):
            assert eval(one.here, vars(_module(one.file))) in _defaults(one.file, one.key)
            continue
        value = yaml.safe_load((ROOT / one.file).read_text())
        if one.key.startswith("/"):
            assert {f"override {one.key}": one.here} in value["defaults"]
            continue
        for part in one.key.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert value == yaml.safe_load(one.here) if one.here else isinstance(value, dict)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# differs from A: 3\n\nkey: 1\n", "conf/a.yaml:2: expected a default below what it differs from, got ''"),
        (
            "# differs from A: 3\n",
            "conf/a.yaml: expected a default below what it differs from, got the end of the file",
        ),
        ("# differs from A: 3\n- word\n", "conf/a.yaml:2: expected a default below what it differs from, got '- word'"),
    ],
)
def test_statements_without_a_default_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected a default") as refusal:
        list(SCRIPT.differences(text, "conf/a.yaml"))
    assert str(refusal.value) == message


def test_lists_continued_remarks_and_several_sources() -> None:
    text = (
        "top:\n  items:\n    - name: a\n      # differs from A (2020), from memory: 3; because\n      #   of this\n"
        "      # differs from B: [4]\n      size: 1  # of it\n    - name: b\n      # differs from A: 5\n      size: 2\n"
    )
    found = list(SCRIPT.differences(text, "conf/a.yaml"))
    assert [(one.key, one.here, one.there, one.remark) for one in found] == [
        ("top.items.0.size", "1", "3", "because of this"),
        ("top.items.0.size", "1", "[4]", ""),
        ("top.items.1.size", "2", "5", ""),
    ]
    assert "3: A (2020) *(from memory)* | because of this |" in SCRIPT.page(found)
