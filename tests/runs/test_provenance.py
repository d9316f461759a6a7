"""Where a run came from, without its secrets."""

import subprocess
from importlib.metadata import version

import pytest

from lsgen.runs import literal_secrets, new_id, provenance, redact

ENVIRONMENT = {
    "WANDB_API_KEY": "0123456789abcdef",
    "HF_TOKEN": "hf_secretsecret",
    "TOKENIZERS_PARALLELISM": "falsefalse",
    "HOME": "/home/somebody",
    "DB_PASSWORD": "abc",
}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("key 0123456789abcdef here", "key *** here"),
        ("+logger.wandb.api_key=xyz", "+logger.wandb.api_key=***"),
        ("GITHUB_TOKEN: ghp_1", "GITHUB_TOKEN: ***"),
        ("https://user:pass@host/x", "https://***@host/x"),
        ("logger.wandb.api_key=${oc.env:WANDB_API_KEY}", "logger.wandb.api_key=${oc.env:WANDB_API_KEY}"),
        ("run_dir=/home/somebody/x falsefalse", "run_dir=/home/somebody/x falsefalse"),
        ("model.tokens=64", "model.tokens=64"),
    ],
)
def test_redaction(text, redacted):
    assert redact(text, ENVIRONMENT) == redacted


def test_literal_secrets_are_found_by_name_and_by_value():
    config = {
        "logger": {"wandb": {"api_key": "xyz", "entity": "me", "password": "${oc.env:DB_PASSWORD}"}},
        "data": [{"url": "https://host?key=hf_secretsecret"}],
        "keys": ["monkey"],
        "tokens": 3,
    }
    by_name, by_value = literal_secrets(config, ENVIRONMENT)
    assert by_name == "logger.wandb.api_key"
    assert by_value == "data[0].url, which holds the value of the environment variable HF_TOKEN,"


@pytest.mark.parametrize("word", ["adam", "10", "digits", "Checkpoint", "default", "100000", "2026"])
def test_an_ordinary_word_in_the_environment_is_no_secret(word):
    environment = {"MY_TOKEN": word, "API_KEY": word}
    assert redact(f"train optimizer={word}", environment) == f"train optimizer={word}"
    assert literal_secrets({"optimizer": word, "data": [f"a {word} b"]}, environment) == []
    assert redact(f"my_token={word}", environment) == "my_token=***"


@pytest.mark.parametrize("word", ["conv64x9Qz", "hf_secretsecretsecret", "correcthorsebatterystaple", "0123456789"])
def test_what_no_word_is_stays_a_secret(word):
    environment = {"MY_TOKEN": word}
    assert redact(f"train x={word}", environment) == "train x=***"
    assert len(literal_secrets({"x": f"a{word}b"}, environment)) == 1


def test_provenance_masks_and_names(monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "very-secret-value")
    record = provenance("id", 0, ["lsgen", "a=very-secret-value"], {"model": "vae", "hydra/launcher": "basic"}, ["b=1"])
    assert record["argv"] == ["lsgen", "a=***"]
    assert record["choices"] == {"model": "vae"}
    assert record["seed"] == 0
    assert record["packages"]["torch"] == version("torch")
    assert "very-secret-value" not in str(record)


def test_the_diff_of_the_working_tree_is_recorded_without_secrets(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr("lsgen.runs.origin.__file__", str(tmp_path / "elsewhere" / "x.py"))
    monkeypatch.setenv("SERVICE_TOKEN", "very-secret-value")
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    file = tmp_path / "train.py"
    file.write_text("old\n")
    git("add", "train.py")
    git("commit", "-qm", "first")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    assert provenance("id", 0, [], {}, [])["git"]["dirty"] is False
    file.write_text("new = 'very-secret-value'\n")
    found = provenance("id", 0, [], {}, [])["git"]
    assert found["sha"] == head
    assert "-old\n+new = '***'\n" in found["diff"]
    assert found["dirty"]


def test_no_repository_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr("lsgen.runs.origin.__file__", str(tmp_path / "x.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance("id", 0, [], {}, [])["git"] is None


def test_ids_differ_and_suit_wandb():
    ids = {new_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(one) == 8 and one.isalnum() and one == one.lower() for one in ids)
