"""Write a new member of a kind: a small one that works, its yaml and its test. It passes the contracts at once.

    scripts/new KIND NAME        for example scripts/new vae_objective tempered_elbo

NAME is that of the module and of the yaml, in lower case with underscores; the class is named after it: TemperedElbo.
Then change what the member computes, its docstrings with their formulas, and what its test compares it with. Nothing
else is edited: this script also runs scripts/exports.py, which exports the class from its room.
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {  # kind -> template -> the file that is made of it
    "callback": {
        "module": "lsgen/callbacks/evaluation/{name}.py",
        "config": "conf/callbacks/{name}.yaml",
        "test": "tests/callbacks/evaluation/test_{name}.py",
    },
    "dataset": {
        "module": "lsgen/data/toys/{name}.py",
        "config": "conf/data/{name}.yaml",
        "test": "tests/data/toys/test_{name}.py",
    },
    "experiment": {"config": "conf/experiment/{name}.yaml"},
    "gan_loss": {
        "module": "lsgen/models/gan/{name}.py",
        "config": "conf/model/{name}.yaml",
        "test": "tests/models/gan/test_{name}.py",
    },
    "likelihood": {
        "module": "lsgen/likelihoods/{name}.py",
        "config": "conf/likelihood/{name}.yaml",
        "test": "tests/likelihoods/test_{name}.py",
    },
    "metric": {"module": "lsgen/metrics/{name}.py", "test": "tests/metrics/test_{name}.py"},
    "prior": {
        "module": "lsgen/latent/families/{name}.py",
        "config": "conf/model/{name}_vae.yaml",
        "test": "tests/latent/families/test_{name}.py",
    },
    "regulariser": {
        "module": "lsgen/models/regularisers/{name}.py",
        "config": "conf/regulariser/{name}.yaml",
        "test": "tests/models/regularisers/test_{name}.py",
    },
    "vae_objective": {
        "module": "lsgen/models/vae/bounds/{name}.py",
        "config": "conf/model/{name}.yaml",
        "test": "tests/models/test_{name}.py",
    },
}


def class_name(name: str) -> str:
    """Return the name of the class that a module is named after."""
    return "".join(word.capitalize() for word in name.split("_"))


def refusal(root: Path, kind: str, name: str) -> str | None:
    """Return why a member cannot be made, in one sentence; None where it can."""
    if kind not in KINDS:
        return f"expected a kind out of {', '.join(KINDS)}, got {kind!r}"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        return f"expected a name in lower case with underscores, such as tempered_elbo, got {name!r}"
    taken = [place.format(name=name) for place in KINDS[kind].values()]
    if found := next((place for place in taken if (root / place).exists()), None):
        return f"expected a name that is not taken, got {name!r}: there is {found}"
    if "module" not in KINDS[kind]:
        return None
    if found := next((root / "lsgen").rglob(f"{name}.py"), None) or next((root / "lsgen").rglob(f"{name}/"), None):
        return f"expected a name that is not taken, got {name!r}: there is {found.relative_to(root)}"
    pattern = re.compile(rf"^class {class_name(name)}\b", re.MULTILINE)
    for path in sorted((root / "lsgen").rglob("*.py")):
        if pattern.search(path.read_text()):
            there = f"there is a class {class_name(name)} in {path.relative_to(root)}"
            return f"expected a name that is not taken, got {name!r}: {there}"
    return None


def write(root: Path, kind: str, name: str) -> list[Path]:
    """Write the files of a member and return their paths.

    Raises:
        ValueError: the kind is not known, or the name is bad or taken.

    """
    if sentence := refusal(root, kind, name):
        raise ValueError(sentence)
    written = []
    for template, place in KINDS[kind].items():
        text = (ROOT / "scripts" / "templates" / kind / f"{template}.txt").read_text()
        path = root / place.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"\bCLASS\b", class_name(name), re.sub(r"\bNAME\b", name, text)))
        written.append(path)
    sources = [path for path in written if path.suffix == ".py"]
    if sources:
        subprocess.run(["ruff", "check", "--fix-only", "--select", "I", "--quiet", *sources], cwd=root, check=True)
        subprocess.run(["ruff", "format", "--quiet", *sources], cwd=root, check=True)
    return written


def main() -> int:
    """Write the files, and export the class."""
    parser = argparse.ArgumentParser(prog="scripts/new", description=__doc__.splitlines()[0])
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="of the module and the yaml, such as tempered_elbo")
    arguments = parser.parse_args()
    try:
        for path in write(ROOT, arguments.kind, arguments.name):
            print(path.relative_to(ROOT))
    except ValueError as error:
        print(f"scripts/new: {error}", file=sys.stderr)
        return 2
    return subprocess.run([sys.executable, ROOT / "scripts" / "exports.py"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
