"""Config files that are no yaml, or that would be misread, against the sentences that say so."""

import pytest

OWN = b"# @package _global_\ndefaults:\n  - vae_digits\n  - _self_\n"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"data:\n\tbatch_size: 32\n", "own.yaml, line 6, column 1: found a tab where yaml indents by spaces"),
        (b"data: {batch_size: 32}\ndata: {seed: 1}\n", "own.yaml, line 6, column 1: found duplicate key data"),
        (b"run: {name: a: b}\n", "own.yaml, line 5, column 14: expected ',' or '}'"),
        (b"run: {name: 'a}\n", "own.yaml, line 6, column 1: found unexpected end of stream"),
        (b"run: *x\n", "own.yaml, line 5, column 6: found undefined alias 'x'"),
        (b"run: !!python/object:os.system {}\n", "own.yaml, line 5, column 6: could not determine a constructor"),
        (b"run: {name: \x00}\n", "own.yaml: special characters are not allowed"),
        (b"run: {name: caf\xe9}\n", r"own.yaml, line 5: expected text in UTF-8, got the byte b'\xe9'"),
    ],
)
def test_a_config_that_is_no_yaml(body, sentence, lsgen, tmp_path, refused):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "own.yaml").write_bytes(OWN + body)
    refused(lsgen("train", "--cfg", "job", "experiment=own"), tmp_path, str(tmp_path / "conf"), sentence)


BOM = "own.yaml begins with a byte order mark (BOM): save it as UTF-8 without BOM"
PACKAGE = "own.yaml: expected '# @package _global_' as its first line"


@pytest.mark.parametrize(
    ("group", "content", "sentence"),
    [
        ("experiment", b"\xef\xbb\xbf" + OWN, BOM),
        ("experiment", OWN.decode().encode("utf-16"), BOM),
        ("experiment", b"seed: 3\n", PACKAGE),
        ("experiment", b"defaults: [override /data: toy]\n", PACKAGE),
        ("experiment", b"# mine\n" + OWN + b"seed: 3\n", PACKAGE),
        ("net", b"encoder: {hidden: [3]}\n", "own.yaml: expected '# @package model' as its first line"),
        ("experiment", b"# @package\nseed: 3\n", "own.yaml: Expected header format: KEY VALUE"),
        ("experiment", b"# @package _global_\n- a\n", "own.yaml: expected a mapping of keys to values, got a list"),
        ("experiment", b"# @package _global_\ndefaults: [own]\n", "a config may not include itself"),
        ("experiment", b"3\n", "own.yaml: expected a mapping of keys to values, got something else"),
        ("experiment", b"# @package _global_\nnull: 3\n", "own.yaml: Incompatible key type 'NoneType'"),
    ],
)
@pytest.mark.parametrize("where", ["conf", "elsewhere"])
def test_a_config_that_would_be_misread(group, content, sentence, where, lsgen, tmp_path, refused):
    (tmp_path / where / group).mkdir(parents=True)
    (tmp_path / where / group / "own.yaml").write_bytes(content)
    flag = [] if where == "conf" else ["--config-dir", where]
    refused(lsgen("train", *flag, f"{group}=own", "--cfg", "job"), tmp_path, sentence)


def test_configs_that_hydra_reads_rightly_are_read(lsgen, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "data").mkdir()
    (tmp_path / "conf" / "experiment" / "own.yaml").write_bytes(b"\n\n" + OWN + "run: {name: é}\n".encode())
    (tmp_path / "conf" / "experiment" / "same.yaml").write_text("defaults: [vae_digits]\n")
    (tmp_path / "conf" / "data" / "own.yaml").write_text("_target_: lsgen.data.Digits\nseed: 7\n")
    assert "name: é" in lsgen("train", "--cfg", "job", "experiment=own").out
    assert "seed: 7" in lsgen("train", "--cfg", "job", "data=own").out
    assert "lsgen.data.Digits" in lsgen("train", "--cfg", "job", "experiment=same").out
