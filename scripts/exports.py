"""Write what follows from the modules: the `__init__` of rooms, and the list of packages in setup.cfg.

A room's `__init__` is its door. It imports the public names of the room and lists them in `__all__`, so that editors
and type checkers see them without running anything. Which names those are:

- every class in a module's `__all__` that derives from a class in KINDS, such as a likelihood or a callback, is
  exported from the room it lies in, or from the nearest room above that has a kind;
- other names are exported where the door imports them already; to export one more, add its import by hand, and this
  script completes the rest: it finds names again in a module that was moved, drops those that are gone, sorts, and
  writes `__all__`.

`scripts/exports.py` writes; `scripts/exports.py --check` ends with status 1 and says which files are out of date.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {  # room -> base classes of what contributors add to it
    "lsgen.callbacks": ("pytorch_lightning.Callback",),
    "lsgen.data": ("lsgen.data.module.DataModule",),
    "lsgen.latent": ("lsgen.latent.priors.Prior", "lsgen.latent.posteriors.Posterior"),
    "lsgen.likelihoods": ("lsgen.likelihoods.base.Likelihood",),
    "lsgen.metrics": ("torchmetrics.Metric",),
    "lsgen.metrics.disentanglement": ("torchmetrics.Metric",),
    "lsgen.metrics.graphs": ("torchmetrics.Metric",),
    "lsgen.metrics.multimodal": ("torchmetrics.Metric",),
    "lsgen.metrics.quality": ("torchmetrics.Metric",),
    "lsgen.metrics.retrieval": ("torchmetrics.Metric",),
    "lsgen.metrics.topics": ("torchmetrics.Metric",),
    "lsgen.metrics.words": ("torchmetrics.Metric",),
    "lsgen.models.diffusion.weightings": ("lsgen.models.diffusion.weightings.base.Weighting",),
    "lsgen.models.gan": (
        "lsgen.models.gan.adversarial.AdversarialModel",
        "lsgen.models.gan.losses.AdversarialLoss",
        "lsgen.models.gan.regularisers.base.Regulariser",
    ),
    "lsgen.models.regularisers": ("lsgen.models.regularisers.base.MetricRegulariser",),
    "lsgen.models.vae": ("lsgen.models.vae.objective.Objective",),
    "lsgen.models.vae.estimators": ("lsgen.models.vae.estimators.base.GradientEstimator",),
    "lsgen.nn": ("torch.nn.Module",),
}
HELPERS = {"lsgen.nn.adversarial": ()}  # rooms within a room above whose members are imported from their modules


@dataclass
class Module:
    """What the text of a module says about its names."""

    name: str
    tree: ast.Module
    package: bool
    exported: list[str] = field(default_factory=list)

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name -> (module, name) of every `from ... import` at the top."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        } | {
            alias.asname or alias.name: (alias.name, "")
            for node in self.tree.body
            if isinstance(node, ast.Import)
            for alias in node.names
        }

    @cached_property
    def bases(self) -> dict[str, list[str]]:
        """Class -> its bases as they are written, without type arguments."""
        return {
            node.name: [ast.unparse(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
            for node in self.tree.body
            if isinstance(node, ast.ClassDef)
        }


def names_in_all(tree: ast.Module) -> list[str]:
    """Return the literal value of `__all__`, or nothing where a module has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


class Tree:
    """All modules of the package, by name.

    Args:
        root: directory that holds `lsgen`.

    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        for path in sorted((root / "lsgen").rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            tree = ast.parse(path.read_text())
            self.modules[name] = Module(name, tree, package, names_in_all(tree))

    def defined(self, module: str, name: str) -> tuple[str, str]:
        """Return the module that a name comes from and its name there, through any number of doors."""
        while (known := self.modules.get(module)) is not None and name in known.imports:
            module, name = known.imports[name]
        return module, name

    def ancestors(self, module: str, name: str) -> Iterator[str]:
        """Yield the full names of all base classes of a class."""
        known = self.modules.get(module)
        for base in known.bases.get(name, []) if known else []:
            first, _, rest = base.partition(".")
            if known is not None and first in known.imports:
                origin, original = known.imports[first]
                path = [part for part in (original, rest) if part]
                where, what = self.defined(origin, ".".join(path)) if len(path) == 1 else (origin, ".".join(path))
            else:
                where, what = module, base
            yield f"{where}.{what}"
            yield from self.ancestors(where, what)

    def members(self, room: str) -> Iterator[tuple[str, str]]:
        """Yield (module, class) of the public members of a room's kinds."""
        for name, module in self.modules.items():
            nearest = next((r for r in _upwards(name) if r in KINDS or r in HELPERS), None)
            if nearest != room or module.package:
                continue
            for exported in module.exported:
                if exported in module.bases:
                    full = {f"{name}.{exported}", *self.ancestors(name, exported)}
                    if full & set(KINDS[room]):
                        yield name, exported

    def chosen(self, room: str) -> Iterator[tuple[str, str, str]]:
        """Yield (module, name, local name) of what a door imports by hand, from where it stands now."""
        for local, (module, name) in self.modules[room].imports.items():
            if not module.startswith("lsgen"):
                continue
            if f"{module}.{name}" in self.modules or name in self._names(module):
                yield module, name, local
            elif homes := [other for other, m in self.modules.items() if name in m.exported and not m.package]:
                inside = [other for other in homes if other.startswith(f"{room}.")]
                yield (inside or homes)[0], name, local

    def _names(self, module: str) -> set[str]:
        known = self.modules.get(module)
        if known is None:
            return set()
        return {*known.exported, *known.bases, *known.imports} | {
            node.name for node in known.tree.body if isinstance(node, ast.FunctionDef)
        }


def _upwards(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def door(tree: Tree, room: str) -> str:
    """Return the text that the `__init__` of a room should have."""
    path = tree.root / Path(*room.split(".")) / "__init__.py"
    body = tree.modules[room].tree.body
    others = [
        ast.get_source_segment(path.read_text(), node)
        for node in body[1:]
        if not isinstance(node, ast.ImportFrom) and "__all__" not in ast.unparse(node)[:8]
    ]
    if others:
        raise SystemExit(f"expected nothing but a docstring, imports and __all__ in {path}, got {others[0]!r}")
    lines = {*tree.chosen(room), *((module, name, name) for module, name in tree.members(room))}
    imports = [f"from {m} import {n}" + (f" as {local}" if local != n else "") for m, n, local in sorted(lines)]
    names = ", ".join(f'"{local}"' for local in sorted({local for *_, local in lines}))
    text = (
        f'"""{ast.get_docstring(tree.modules[room].tree, clean=False)}"""\n\n'
        + "\n".join(imports)
        + f"\n\n__all__ = [{names}]\n"
    )
    return formatted(text, path)


def formatted(text: str, path: Path) -> str:
    """Return Python text as ruff sorts and formats it."""
    for command in (["check", "--fix-only", "--select", "I,RUF022", "--quiet"], ["format", "--quiet"]):
        run = subprocess.run(
            ["ruff", *command, "--stdin-filename", path, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = run.stdout
    return text


def packages(tree: Tree) -> str:
    """Return setup.cfg with every package of the tree; `find:` would ship conf/ as a package of its own."""
    names = [name for name, module in tree.modules.items() if module.package] + ["lsgen.conf", "lsgen.experiments"]
    listed = "".join(f"    {name}\n" for name in sorted(names, key=lambda name: name.split(".")))
    text = (tree.root / "setup.cfg").read_text()
    return re.sub(r"(?m)^packages =\n(?:    .*\n)+", f"packages =\n{listed}", text)


def derived(root: Path) -> dict[Path, str]:
    """Return every derived file and the text that it should have."""
    tree = Tree(root)
    texts = {root / Path(*room.split(".")) / "__init__.py": door(tree, room) for room in KINDS}
    return {**texts, root / "setup.cfg": packages(tree)}


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a file is out of date")
    check = parser.parse_args().check
    stale = {path: text for path, text in derived(ROOT).items() if path.read_text() != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text)
        print(f"{path.relative_to(ROOT)} {'is out of date: run scripts/exports.py' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
