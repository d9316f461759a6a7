"""The gallery in docs has a page for every model, in the navigation and in the overview, without a list by hand."""

import re
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

import lsgen.geometry
import lsgen.metrics.disentanglement
import lsgen.nn

pytest.importorskip("mkdocs", reason="the documentation is built by the extra `docs`")
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml") if not path.stem.startswith("_"))


@pytest.fixture
def hooks(monkeypatch):
    spec = spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "docs_hooks", module)
    spec.loader.exec_module(module)
    return module


def test_every_model_is_in_the_navigation_and_the_overview(hooks, monkeypatch):
    config = load_config(str(ROOT / "docs" / "mkdocs.yml"))
    monkeypatch.setattr(config.plugins, "_current_plugin", "hooks", raising=False)
    files = [file.src_uri for file in hooks.on_files(Files([]), config)]
    added = [name for name in files if name.startswith("gallery/")]
    entries = next(entry["Models"] for entry in config.nav if "Models" in entry)
    paths = [path for entry in entries for path in entry.values()]
    assert sorted(paths) == sorted(["gallery/index.md", *(f"gallery/{name}.md" for name in MODELS)])
    assert len({title for entry in entries for title in entry}) == len(entries)
    written = [f"gallery/{path.name}" for path in (ROOT / "docs" / "pages" / "gallery").glob("*.md")]
    assert sorted([*added, *written]) == sorted(paths)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="gallery/index.md"))
    index = (ROOT / "docs" / "pages" / "gallery" / "index.md").read_text()
    assert (
        sorted(re.findall(r"^\| \[.+?\]\((\w+)\.md\) \| .+ \|$", hooks.on_page_markdown(index, page=page), re.M))
        == MODELS
    )


def test_every_picture_is_in_the_overview(hooks):
    index = (ROOT / "docs" / "pages" / "gallery" / "index.md").read_text()
    thumbnail = r"\[!\[.+?\]\(images/(\w+)\.png\)\{ width=\d+ loading=lazy \}\]\(\1\.md\) \|$"
    drawn = {path.stem for path in (ROOT / "docs" / "pages" / "gallery" / "images").glob("*.png")}
    assert set(re.findall(thumbnail, hooks.overview(index), re.M)) == drawn & set(MODELS)
    assert drawn & set(MODELS)


def test_the_list_of_public_names_is_that_of_the_doors(hooks):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/index.md"))
    listed = set(
        re.findall(
            r"^\| \[`\w+`\]\[([\w.]+)\] \| \S.* \|$", hooks.on_page_markdown("# Every public name\n", page=page), re.M
        )
    )
    for room in (lsgen.geometry, lsgen.metrics.disentanglement, lsgen.nn):
        names = [name for name in room.__all__ if callable(getattr(room, name))]
        assert {f"{room.__name__}.{name}" for name in names} <= listed
    assert not {name for name in listed if not hasattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2])}


def test_every_paper_has_a_page_in_the_navigation(hooks, monkeypatch):
    config = load_config(str(ROOT / "docs" / "mkdocs.yml"))
    monkeypatch.setattr(config.plugins, "_current_plugin", "hooks", raising=False)
    added = {file.src_uri for file in hooks.on_files(Files([]), config)}
    entries = next(entry["Reproduced papers"] for entry in config.nav if "Reproduced papers" in entry)
    paths = {path for entry in entries for path in entry.values()}
    names = {file.parent.name for file in (ROOT / "experiments").glob("*/target.yaml")}
    assert paths == {"papers/index.md", *(f"papers/{name}.md" for name in names)}
    assert paths <= added
    assert {name for name in added if name.endswith(".png") and name.startswith("papers/")}


def test_a_page_made_from_a_config_says_what_the_model_is_built_of(hooks):
    pages = {
        name: hooks.Page(name, hooks.made(ROOT / "conf" / "model" / f"{name}.yaml")) for name in ("iwae", "wgan_gp")
    }
    assert (pages["iwae"].section, pages["wgan_gp"].section) == ("More models", "Adversarial networks")
    assert "| `models.gan.Wasserstein` | " in pages["wgan_gp"].text
    assert "    lsgen train experiment=iwae_digits\n" in pages["iwae"].text
    assert pages["iwae"].summary


def test_a_page_outside_every_section_is_refused(hooks, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "pages" / "gallery" / "iwae.md").read_text()
    monkeypatch.setattr(hooks, "GALLERY", tmp_path)
    (tmp_path / "index.md").write_text("# Models\n\n## Bounds\n")
    (tmp_path / "iwae.md").write_text(text)
    with pytest.raises(PluginError, match=r"expected a section out of Bounds in .*, got Bounds on the evidence"):
        hooks.pages()
    (tmp_path / "iwae.md").write_text(text.replace("<!-- section", "<!-- part"))
    with pytest.raises(PluginError, match=r"expected a line <!-- section: SECTION --> in gallery/iwae.md, found none"):
        hooks.pages()
