"""Every verb of the command line keeps the contract. Verbs enrol themselves: each module of lsgen.cli.verbs is one."""

import ast
import pkgutil
import subprocess
import sys

import pytest

from lsgen.cli import main, verbs

VERBS = [info.name for info in pkgutil.iter_modules(verbs.__path__)]
HEAVY = {"torch", "hydra", "matplotlib", "wandb", "pytorch_lightning"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_how_it_is_used(verb: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, flag]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: lsgen {verb}")
    assert f"lsgen {verb} " in out[len("usage: ") + len(f"lsgen {verb}") :]  # an example, after the usage
    assert err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_is_not_there_is_one_sentence_and_exit_code_2(
    verb: str, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, "no/such/thing=[1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("lsgen: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_of_every_verb_imports_nothing_heavy() -> None:
    code = f"""
import sys
from lsgen.cli import main
for verb in {VERBS}:
    main([verb, "--help"])
print(sorted(sys.modules.keys() & {HEAVY}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(run.stdout.splitlines()[-1]) == []


def test_the_help_names_every_verb_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for verb in VERBS:
        (line,) = [line for line in lines if line.startswith(f"  {verb} ")]
        assert len(line.split()) > 2
