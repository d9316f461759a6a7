"""The table of features in the documentation has a tick where a browser test shows the feature, and nowhere else."""

import importlib.util
from pathlib import Path

import lsgen

ROOT = Path(lsgen.__file__).parents[1]


def _hook():
    spec = importlib.util.spec_from_file_location("feature_table", ROOT / "docs" / "feature_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = _hook()


def test_ticks_follow_the_marks_of_browser_tests(tmp_path, monkeypatch):
    (tmp_path / "test_one.py").write_text(
        "import pytest\npytestmark = [pytest.mark.browser]\n"
        "@pytest.mark.shows('file', 'paths')\ndef test_a(): ...\n"
        "@pytest.mark.slow\ndef test_b(): ...\n"
    )
    (tmp_path / "test_two.py").write_text(
        "import pytest\n@pytest.mark.shows('decode')\ndef test_without_a_browser(): ...\n"
        "@pytest.mark.browser\n@pytest.mark.shows('paths')\ndef test_c(): ...\n"
    )
    found = HOOK.shown(tmp_path)
    assert found == {"file": ["test_one.py::test_a"], "paths": ["test_one.py::test_a", "test_two.py::test_c"]}
    monkeypatch.setattr(HOOK, "shown", lambda: found)
    ticked = [line.split("|")[1].strip() for line in HOOK.table().splitlines()[2:] if line.endswith("| ✓ |")]
    assert [words.split(":")[0].split(",")[0] for words in ticked] == ["one file that opens from file", "paths"]


def test_the_page_has_the_table_and_every_mark_is_a_row():
    page = HOOK.on_page_markdown((ROOT / "docs" / "pages" / "explorer.md").read_text(encoding="utf-8"))
    assert HOOK.PLACE not in page
    lines = [line for line in page.splitlines() if line.startswith("| one file that opens from file://")]
    assert len(lines) == 1
    assert lines[0].endswith("| ✓ |")
    assert HOOK.on_page_markdown("another page") == "another page"
