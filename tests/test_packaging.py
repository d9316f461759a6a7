"""What is shipped: packages, configs, requirements; a wheel that works elsewhere."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


@pytest.fixture(scope="module")
def setup():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def normal(requirement):
    """Return the name, as PyPI compares names, and the sorted bounds of a requirement."""
    name, bounds = re.fullmatch(r"([\w.\-]+)(.*)", requirement.replace(" ", "")).groups()
    name = re.sub(r"[-_.]+", "-", name).lower()
    return CONDA_NAMES.get(name, name), tuple(sorted(bounds.split(","))) if bounds else ()


def test_every_package_of_the_tree_is_listed(setup):
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "lsgen").rglob("__init__.py")}
    listed = lines(setup["options"]["packages"])
    assert listed == sorted(listed, key=lambda name: name.split("."))
    assert set(listed) == found | {"lsgen.conf", "lsgen.experiments"}


def test_conda_and_pip_ask_for_the_same(setup):
    content = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str) and entry != "pip"]
    python = f"python{setup['options']['python_requires']}"
    pip = [*lines(setup["options"]["install_requires"]), python]
    assert {normal(entry) for entry in conda} == {normal(entry) for entry in pip}


def imported(path):
    """Return the top names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_everything_imported_is_asked_for(setup):
    extras = [entry for text in setup["options.extras_require"].values() for entry in lines(text)]
    asked = [*lines(setup["options"]["install_requires"]), *(re.sub(r"\[.*?\]", "", entry) for entry in extras)]
    known = {normal(entry)[0] for entry in asked} | {"lsgen", "lightning-fabric", "IPython"}  # a notebook brings it
    names = {
        "yaml": "pyyaml",
        "PIL": "pillow",
        "sklearn": "scikit-learn",
        "skdim": "scikit-dimension",
        "faiss": "faiss-cpu",
        "umap": "umap-learn",
        "openTSNE": "opentsne",
        "hydra": "hydra-core",
        "laplace": "laplace-torch",
    }
    for path in (ROOT / "lsgen").rglob("*.py"):
        third = set(imported(path)) - set(sys.stdlib_module_names)
        assert {names.get(name, name.replace("_", "-")) for name in third} <= known, path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from what a clean checkout would hold."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("lsgen", "conf", "experiments"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", out, source], check=True)
    return next(out.glob("lsgen-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Unpack the wheel as pip does and return a function that runs its `lsgen` from a given directory."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def run(cwd, *arguments):
        code = "import sys; from lsgen.cli import main; sys.argv[0] = 'lsgen'; sys.exit(main())"
        environment = {**os.environ, "PYTHONPATH": str(site), "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        environment.pop("LSGEN_CONF", None)
        command = [sys.executable, "-P", "-c", code, *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    run.site = site
    return run


@pytest.mark.slow
def test_the_wheel_holds_every_file_that_is_needed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, kinds in (
        ("lsgen", ("py", "typed", "css", "js", "html", "txt")),
        ("conf", ("py", "yaml")),
        ("experiments", ("py", "yaml", "md", "json", "npz")),
    ):
        for kind in kinds:
            for path in (ROOT / folder).rglob(f"*.{kind}"):
                shipped = path.relative_to(ROOT).as_posix()
                assert (shipped if folder == "lsgen" else f"lsgen/{shipped}") in names
    assert {name.split("/")[0] for name in names} == {"lsgen", next(n.split("/")[0] for n in names if "dist-info" in n)}


@pytest.mark.slow
def test_a_wheel_trains_from_another_directory_with_the_users_configs(installed, tmp_path):
    shown = installed(tmp_path, "train", "experiment=vae_digits", "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    assert yaml.safe_load(shown.stdout)["data"]["_target_"] == "lsgen.data.Digits"
    folder = tmp_path / "conf" / "likelihood"
    folder.mkdir(parents=True)
    (folder / "bernoulli.yaml").write_text(
        "# @package model\n"
        "likelihood: {_target_: lsgen.likelihoods.FixedGaussian, shape: '${data.shape}', sigma: 0.5}\n"
    )
    arguments = ["train", "experiment=vae_digits", "callbacks=engine", "logger=csv", "model.max_steps=2", "run_dir=run"]
    trained = installed(tmp_path, *arguments, "report=false")
    assert trained.returncode == 0, trained.stderr
    frozen = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert frozen["model"]["likelihood"]["sigma"] == 0.5
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    recorded = yaml.safe_load((tmp_path / "run" / "provenance.json").read_text())
    assert recorded["packages"]["lsgen"]


@pytest.mark.slow
def test_it_was_the_wheel_that_ran(installed, tmp_path):
    code = "import lsgen, lsgen.conf; print(lsgen.__file__, *lsgen.conf.__path__)"
    environment = {**os.environ, "PYTHONPATH": str(installed.site)}
    command = [sys.executable, "-P", "-c", code]
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert [Path(part).is_relative_to(installed.site) for part in out.split()] == [True, True]
