"""scripts/new writes members that pass the contracts at once, and refuses names that are bad or taken."""

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = "tests/contracts"
CASES = {  # kind -> the name of a member, and the contract tests that it enters
    "callback": ("mean_brightness", [f"{CONTRACTS}/test_callbacks.py", "tests/test_configs.py"]),
    "dataset": ("noisy_line", [f"{CONTRACTS}/test_data.py", "tests/test_configs.py"]),
    "experiment": ("vae_anew", ["tests/test_configs.py"]),
    "gan_loss": ("exponential_loss", [f"{CONTRACTS}/test_gan_losses.py", f"{CONTRACTS}/test_models.py"]),
    "likelihood": ("gumbel", [f"{CONTRACTS}/test_likelihoods.py", "tests/test_configs.py"]),
    "metric": ("squared_norm", [f"{CONTRACTS}/test_metrics.py"]),
    "prior": ("scaled_normal", [f"{CONTRACTS}/test_priors.py", f"{CONTRACTS}/test_models.py"]),
    "regulariser": ("unit_speed", [f"{CONTRACTS}/test_regularisers.py", "tests/test_configs.py"]),
    "vae_objective": ("tempered_elbo", [f"{CONTRACTS}/test_priors_and_posteriors.py", f"{CONTRACTS}/test_models.py"]),
}


@pytest.fixture(scope="module")
def new():
    spec = spec_from_file_location("new_member", ROOT / "scripts" / "new.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tree(new, tmp_path_factory):
    """Copy what members are added to, and what tests them, and add one of every kind; the last as the script does."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("lsgen", "conf", "experiments", "tests", "scripts", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, root)
    *others, last = ((kind, name) for kind, (name, _) in CASES.items())
    for kind, name in others:
        new.write(root, kind, name)
    run = _python(root, "scripts/new.py", *last)
    assert run.returncode == 0, run.stderr
    assert "lsgen/models/vae/bounds/tempered_elbo.py\n" in run.stdout
    return root


def _python(root, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "LSGEN_CONF": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_there_is_a_case_for_every_kind(new):
    assert set(CASES) == set(new.KINDS)


def test_what_is_written_is_well_formed(tree, new):
    assert _python(tree, "scripts/exports.py", "--check").returncode == 0
    assert _python(tree, "scripts/style.py").returncode == 0
    places = [p.format(name=name) for kind, (name, _) in CASES.items() for p in new.KINDS[kind].values()]
    sources = [place for place in places if place.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run(["ruff", *command, *sources], cwd=tree, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_every_new_member_passes_the_contracts_and_its_own_test(tree, new):
    """Only the tests of the new members run, in one process, with the copy in the place of the package."""
    own = [new.KINDS[kind]["test"].format(name=name) for kind, (name, _) in CASES.items() if "test" in new.KINDS[kind]]
    files = sorted({file for _, files in CASES.values() for file in files})
    run = _python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own, *files, "-k", _expression(new))
    assert run.returncode == 0, run.stdout[-6000:]
    where = _python(tree, "-c", "import lsgen; print(lsgen.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(tree)


def _expression(new):
    """Return an expression of pytest's -k that chooses the tests of the new members."""
    names = [name for name, _ in CASES.values()]
    return " or ".join([*names, *(new.class_name(name) for name in names)])


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("posterior_x", "thing", r"expected a kind out of callback, .*, vae_objective, got 'posterior_x'"),
        ("metric", "Bad-Name", "expected a name in lower case with underscores, such as tempered_elbo, got 'Bad-Name'"),
        ("metric", "lambda", "expected a name in lower case with underscores, .* got 'lambda'"),
        ("likelihood", "poisson", "got 'poisson': there is lsgen/likelihoods/poisson.py"),
        ("metric", "renyi", "got 'renyi': there is lsgen/models/vae/bounds/multisample/renyi.py"),
        ("experiment", "vae_digits", "got 'vae_digits': there is conf/experiment/vae_digits.yaml"),
        ("metric", "standard_normal", "there is a class StandardNormal in lsgen/latent/priors.py"),
    ],
)
def test_bad_and_taken_names_are_refused_before_anything_is_written(new, kind, name, sentence, tmp_path):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copytree(ROOT / "lsgen", tmp_path / "lsgen", ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=sentence):
        new.write(tmp_path, kind, name)
    assert sorted(tmp_path.rglob("*")) == before
