"""Derive the gallery's navigation, its overview and the pages of models without one, when mkdocs builds.

The pages of reproduced papers are made of experiments/: the overview by lsgen.reproduction, and a page for each paper
of its README, its results and their figures.

A page docs/pages/gallery/NAME.md is written by hand: a title, a line `<!-- section: SECTION -->` with one of the
headings of the overview, and a first paragraph that says in one sentence what the model is. A model in conf/model
that has no such page gets one that is made of its config: the comment at its head, the parts that it is built of, and
its picture gallery/images/NAME.png, which `scripts/gallery` draws.

The list of public names in the reference is made of the doors of the rooms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import getdoc, isclass, isfunction
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from hydra import compose, initialize_config_dir
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from omegaconf import OmegaConf

import lsgen
from lsgen.reproduction.paper import Paper

ROOT = Path(__file__).resolve().parent.parent
GALLERY = ROOT / "docs" / "pages" / "gallery"
SECTION = re.compile(r"^<!-- section: (.+) -->$", re.MULTILINE)
FAMILIES = {
    "lsgen.models.gan.": "Adversarial networks",
    "lsgen.models.diffusion.": "Diffusion and flows",
    "lsgen.models.graphs.": "Networks",
    "lsgen.models.multimodal.": "Several modalities",
}
OTHERS = "More models"


@dataclass(frozen=True)
class Page:
    """A page of the gallery.

    Attributes:
        name: of the model.
        text: in markdown.

    """

    name: str
    text: str

    @property
    def title(self) -> str:
        """The heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def section(self) -> str:
        """The section of the overview that it belongs to."""
        found = SECTION.search(self.text)
        if found is None:
            raise PluginError(f"expected a line <!-- section: SECTION --> in gallery/{self.name}.md, found none")
        return found[1]

    @property
    def summary(self) -> str:
        """The first paragraph."""
        body = SECTION.sub("", self.text.partition("\n")[2]).strip()
        return body.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def sections() -> list[str]:
    """Return the headings of the overview, in order."""
    return re.findall(r"^## (.+)$", (GALLERY / "index.md").read_text(), re.MULTILINE)


@cache
def pages() -> list[Page]:
    """Return the pages of all models, those written by hand and those made here, by section and title."""
    written = [Page(path.stem, path.read_text()) for path in GALLERY.glob("*.md") if path.stem != "index"]
    order = sections()
    for page in written:
        if page.section not in order:
            raise PluginError(
                f"expected a section out of {', '.join(order)} in gallery/{page.name}.md, got {page.section}"
            )
    known = {page.name for page in written}
    models = [path for path in (ROOT / "conf" / "model").glob("*.yaml") if not path.stem.startswith("_")]
    found = [*written, *(Page(path.stem, made(path)) for path in models if path.stem not in known)]
    return sorted(found, key=lambda page: (order.index(page.section), page.title.lower()))


def made(path: Path) -> str:
    """Return a page for a model that has none of its own."""
    comments = re.match(r"(?:#.*\n)+", path.read_text())
    lines = [line.lstrip("# ") for line in (comments[0].splitlines() if comments else []) if "@package" not in line]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", [f"model={path.stem}"], return_hydra_config=True)
    model = OmegaConf.to_container(composed.model, resolve=False)
    targets = list(dict.fromkeys(target for target in _targets(model) if target.startswith("lsgen.")))
    rows = [f"| `{target.removeprefix('lsgen.')}` | {_sentence(target)} |" for target in targets]
    section = next((title for room, title in FAMILIES.items() if any(one.startswith(room) for one in targets)), OTHERS)
    drawn = (GALLERY / "images" / f"{path.stem}.png").is_file()
    small = (ROOT / "conf" / "experiment" / f"{path.stem}_digits.yaml").is_file()
    data = " data=digits" if composed.hydra.runtime.choices.data == _usual_data() else ""  # some choose their own
    command = f"experiment={path.stem}_digits" if small else f"model={path.stem}{data} model.max_steps=2000"
    return "\n".join(
        [
            f"# {path.stem}\n\n<!-- section: {section} -->\n",
            f"{' '.join(lines) or _sentence(targets[0])}\n",
            f"    lsgen train {command}\n",
            f"![what it makes of the digits](images/{path.stem}.png)\n" if drawn else "",
            "## Parts\n",
            "| part | |\n|---|---|",
            *rows,
            "",
        ]
    )


@cache
def _usual_data() -> str:
    """Return the data set that models train on unless they choose another."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return str(compose("train", return_hydra_config=True).hydra.runtime.choices.data)


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _sentence(target: str) -> str:
    """Return the first sentence of what a class or function says about itself."""
    module, _, name = target.rpartition(".")
    return _first_sentence(getattr(import_module(module), name))


def _first_sentence(thing: Any) -> str:
    return (getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and put all into the navigation."""
    found = pages()
    for page in found:
        if not (GALLERY / f"{page.name}.md").is_file():
            files.append(File.generated(config, f"gallery/{page.name}.md", content=page.text))
    entries = [{"Overview": "gallery/index.md"}, *({page.title: f"gallery/{page.name}.md"} for page in found)]
    reproduced = _papers(files, config)
    for entry in config.nav or []:
        if "Models" in entry:
            entry["Models"] = entries
        if "Reproduced papers" in entry:
            entry["Reproduced papers"] = reproduced
    return files


def _papers(files: Files, config: MkDocsConfig) -> list[dict[str, str]]:
    """Add the pages and figures of reproduced papers, and return their entries in the navigation."""
    experiments, entries = ROOT / "experiments", [{"Overview": "papers/index.md"}]
    text = (experiments / "README.md").read_text()
    text = re.sub(r"\((\w+)/(?:results/results|README)\.md\)", r"(\1.md)", text)
    files.append(File.generated(config, "papers/index.md", content=text))
    for file in sorted(experiments.glob("*/target.yaml")):
        name, results = file.parent.name, file.parent / "results"
        page = [(file.parent / "README.md").read_text()]
        if (results / "results.md").exists():
            shown = (results / "results.md").read_text().partition("\n")[2]
            page.append("## Results\n" + shown.replace("](figures/", f"](figures/{name}/").replace("\n## ", "\n### "))
        for figure in sorted((results / "figures").glob("*.png")):
            place = f"papers/figures/{name}/{figure.name}"
            files.append(File.generated(config, place, abs_src_path=str(figure)))
        files.append(File.generated(config, f"papers/{name}.md", content="\n\n".join(page)))
        entries.append({Paper.read(file.parent).document.title: f"papers/{name}.md"})
    return entries


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the models below the headings of their overview, and the public names below the title of theirs."""
    if page.file.src_uri == "gallery/index.md":
        return overview(markdown)
    return markdown + names() if page.file.src_uri == "reference/index.md" else markdown


def names() -> str:
    """Return a table of the public names of every room that has a door, linked to what the reference says of them."""
    tables = []
    for found in walk_packages(lsgen.__path__, "lsgen."):
        if not found.ispkg or found.name.startswith(("lsgen.conf", "lsgen.experiments")):
            continue
        door = import_module(found.name)
        shown = [name for name in getattr(door, "__all__", ()) if _documented(getattr(door, name))]
        if shown:
            rows = [f"| [`{name}`][{found.name}.{name}] | {_first_sentence(getattr(door, name))} |" for name in shown]
            tables.append(
                "\n".join([f"\n## {found.name}\n", _first_sentence(door), "\n| name | |\n|---|---|", *rows, ""])
            )
    return "\n".join(tables)


def _documented(thing: Any) -> bool:
    return (isclass(thing) or isfunction(thing)) and bool(getdoc(thing))


def overview(markdown: str) -> str:
    """Return the overview with its tables."""
    found = pages()

    def table(heading: re.Match[str]) -> str:
        rows = [
            f"| [{page.title}]({page.name}.md) | {page.summary} | {_thumbnail(page)} |"
            for page in found
            if page.section == heading[1]
        ]
        return (
            "" if not rows else "\n".join([heading[0], "", "| model | in one sentence | |", "|---|---|---|", *rows, ""])
        )

    return re.sub(r"^## (.+)$", table, markdown, flags=re.MULTILINE)


def _thumbnail(page: Page) -> str:
    if not (GALLERY / "images" / f"{page.name}.png").is_file():
        return ""
    return f"[![{page.title}](images/{page.name}.png){{ width=240 loading=lazy }}]({page.name}.md)"
