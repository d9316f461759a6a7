"""`lsgen analyse` writes figures, numbers and a table, and leaves the run as it was."""

import csv
import json

import numpy as np
import pytest

from lsgen.analysis.neighbours import hubness
from lsgen.latent import Codes
from lsgen.runs import RunDirectory


@pytest.mark.slow
def test_a_run_is_analysed(lsgen, trained):
    before = (trained / "config.yaml").read_bytes()
    outcome = lsgen(
        "analyse",
        str(trained),
        "what=projections,anomalies,comparison",
        "n=90",
        "k=3",
        "maps=pca",
        "seed=1",
        f"compare={trained}",
    )
    assert outcome.code == 0, outcome.err
    assert "trustworthiness of pca" in outcome.out
    record = json.loads((trained / "analysis" / "last.json").read_text())
    one = record["statistics"]["analysis/map/pca/trustworthiness"]
    assert one["interval"][0] <= one["value"] <= one["interval"][1]
    assert (record["step"], record["left_out"], one["n"]) == (6, {}, 90)
    assert record["statistics"]["analysis/comparison/trained/cka"]["value"] == pytest.approx(1)
    with open(trained / "analysis" / "last.csv", encoding="utf-8") as file:
        rows = {row["statistic"]: row for row in csv.DictReader(file)}
    assert rows.keys() == record["statistics"].keys()
    assert float(rows["analysis/map/pca/trustworthiness"]["value"]) == one["value"]
    assert "p_knn" in Codes.load(trained / "figures" / "analysis" / "codes" / "00000006.npz").columns
    page = (trained / "report.html").read_text()
    assert "Maps of codes" in page
    assert "Analysis of codes of a checkpoint" in page
    assert (trained / "config.yaml").read_bytes() == before
    for mistake, words in (
        ("what=nothing", "parts out of neighbours"),
        ("n=x", "whole number for n"),
        ("k=0", "k of at"),
    ):
        refused = lsgen("analyse", str(trained), mistake)
        assert refused.code == 2
        assert words in refused.err


def _table(path, n=60, **columns):
    """Write codes of two groups, and return them."""
    z = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    codes = Codes(z, columns={"kind": ["a", "b"] * (n // 2), **columns})
    codes.save(path)
    return codes


def test_codes_of_a_file_are_analysed_without_a_model(lsgen, tmp_path):
    codes = _table(tmp_path / "mine.npz", **{"PCA/x": np.arange(60.0)})
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    Codes(codes.z @ turn, codes.ids).save(tmp_path / "turned.npz")
    done = lsgen("analyse", "--codes", "mine.npz", "what=neighbours,directions,comparison", "k=3", "compare=turned.npz")
    assert done.code == 0, done.err
    place = tmp_path / "mine_analysis"
    record = json.loads((place / "analysis" / "mine.json").read_text())
    assert (record["codes"], record["left_out"]) == ("mine.npz", {})
    found = record["statistics"]
    assert found["analysis/neighbours/skewness"]["value"] == hubness(codes, 3, 0).skewness.value
    assert found["analysis/comparison/turned/procrustes"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["analysis/comparison/turned/jaccard"]["value"] == 1
    assert not [key for key in found if "PCA" in key]  # a place on a map is no attribute
    with open(place / "analysis" / "mine.csv", encoding="utf-8") as file:
        assert {row["statistic"] for row in csv.DictReader(file)} == found.keys()
    assert "Analysis of codes of a file" in (place / "report.html").read_text()
    assert len(Codes.load(next((place / "figures" / "analysis" / "codes").iterdir()))) == 60
    done = lsgen("analyse", "--codes", "mine.npz", "what=paths,neighbours")
    assert (done.code, "parts that need no model for the codes of a file, got paths" in done.err) == (2, True)


def test_of_a_table_n_codes_are_drawn_and_of_word_vectors_the_first_are_taken(lsgen, tmp_path):
    codes = _table(tmp_path / "mine.npz")
    (tmp_path / "words.txt").write_text("".join(f"w{i} {i} {i * i % 7}\n" for i in range(50)))
    kept = {}
    for name, seed in (("mine.npz", 0), ("mine.npz", 1), ("words.txt", 0)):
        done = lsgen("analyse", f"--codes={name}", "n=40", f"seed={seed}", "what=neighbours", f"out={name}{seed}")
        assert done.code == 0, done.err
        file = next((tmp_path / f"{name}{seed}" / "figures" / "analysis" / "codes").iterdir())
        kept[name, seed] = Codes.load(file).ids.tolist()
    assert len(kept["mine.npz", 0]) == 40
    assert kept["mine.npz", 0] != kept["mine.npz", 1]
    assert set(kept["mine.npz", 0]) <= set(codes.ids.tolist())
    assert kept["words.txt", 0] == [f"w{i}" for i in range(40)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--codes", "none.npz"), "no such file: none.npz"),
        (("--codes", "."), "got the directory ."),
        (("--codes",), "expected --codes VALUE"),
        (("--codes", "mine.npz", "run"), "expected a run or --codes, got both"),
        (("--codes", "mine.npz", "split=val"), "unknown option 'split=val'"),
        (("--codes", "mine.npz", "checkpoint=best"), "expected no checkpoint="),
        (("--codes", "mine.npz", "columns=kin"), "expected columns out of kind, got 'kin'"),
        (("--codes", "mine.npz", "out=mine.npz"), "got a file: mine.npz"),
        (("--codes", "mine.npz", "compare=run"), "expected a run directory"),
        (("--codes", "mine.npz", "analogies=none.txt"), "to be a file of questions"),
        (("run", "out=x"), "expected no out= for a run"),
    ],
)
def test_bad_input_is_one_sentence(lsgen, refused, tmp_path, arguments, said):
    _table(tmp_path / "mine.npz", 6)
    refused(lsgen("analyse", *arguments), tmp_path, said)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("seed=-1", "expected a seed from 0 to 4294967295, got -1"),
        ("seed=4294967296", "expected a seed from 0 to 4294967295, got 4294967296"),
        ("maps=pca,foo", "expected maps out of pca, tsne, umap, axes, identity, disk, ternary, got 'foo'"),
        ("analogies=bytes.txt", "expected questions in UTF-8 in bytes.txt, got other bytes at position 3"),
        ("analogies=three.txt", "expected four names a line in three.txt, got 3 in line 1"),
    ],
)
def test_what_no_part_could_do_is_refused_before_the_model_is_read(lsgen, refused, tmp_path, argument, said):
    RunDirectory.create(tmp_path / "run", {}, {})
    (tmp_path / "run" / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"")
    (tmp_path / "bytes.txt").write_bytes(b"a b\xff")
    (tmp_path / "three.txt").write_text("a b c\n")
    refused(lsgen("analyse", "run", argument), tmp_path, said)
