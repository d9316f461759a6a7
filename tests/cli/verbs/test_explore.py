"""`lsgen explore`: pages of trained runs, of tables of codes, and of several runs."""

import json
import re
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest

from lsgen.cli.output.summary import print_summary
from lsgen.latent import Codes
from lsgen.latent.vectors import read_vectors
from lsgen.runs import RunDirectory


def header(page):
    return json.loads(re.search(r'id="header">(.*?)</script>', page.read_text(), re.DOTALL).group(1))


@pytest.mark.slow
def test_a_run_its_codes_and_a_comparison(lsgen, trained, small, tmp_path):
    done = lsgen("explore", str(trained), "n=50", "maps=pca")
    assert done.code == 0, done.err
    assert "explorer.html" in done.out
    with redirect_stdout(StringIO()) as said:
        print_summary(RunDirectory.open(trained), {})
    assert f"explorer {trained}/explorer.html" in said.getvalue()
    first = header(trained / "explorer.html")
    assert (first["count"], first["title"]) == (50, "trained")
    assert first["decoder"]

    other = lsgen("train", *small, "seed=1", f"run_dir={tmp_path}/other")
    assert other.code == 0, other.err
    done = lsgen("explore", str(trained), "n=50", "maps=", "out=both.html", "--compare", str(tmp_path / "other"))
    assert done.code == 2
    done = lsgen("explore", str(trained), "n=50", "maps=pca", "out=both.html", f"--compare={tmp_path}/other")
    assert done.code == 0, done.err
    both = header(tmp_path / "both.html")
    assert [space["name"] for space in both["spaces"]] == ["other"]
    assert both["count"] == 50

    z = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    Codes(z, columns={"kind": ["a", "b"] * 20}).save(tmp_path / "mine.npz")
    assert lsgen("explore", str(trained), "--codes", "mine.npz", "maps=pca", "out=of_run.html").code == 0
    page = header(tmp_path / "of_run.html")
    assert page["count"] == 40
    assert page["decoder"]
    assert page["reconstructions"] or page["pictures"]
    assert lsgen("explore", "--codes", "mine.npz", "maps=pca").code == 0
    alone = header(tmp_path / "mine.html")
    assert [alone["count"], alone["decoder"], alone["pictures"]] == [40, None, None]

    Codes(z[:, :3]).save(tmp_path / "three.npz")
    refused = lsgen("explore", str(trained), "--codes=three.npz")
    assert (refused.code, "expected codes of 4 dimensions, got 3" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs/none",), "runs/none"),
        (("--codes", "none.npz"), "none.npz"),
        (("--codes", "none.npz", "device=cpu"), "expected no device="),
        (("--codes", "none.npz", "split=val"), "expected no split="),
        (("run", "--codes", "none.npz", "split=val"), "expected no split="),
        (("--codes", "none.npz", "--compare", "run"), "expected no --compare"),
        (("--codes",), "to be followed by a file"),
        (("run", "--compare"), "to be followed by a run"),
        (("run", *["--compare=r"] * 4), "up to 3 times"),
        (("run", "n=0"), "at least 1, got '0'"),
        (("run", "maps=pca,mds"), "expected maps= to be some of pca,tsne,umap, got 'mds'"),
        (("run", "split=dev"), "expected split= to be some of val,test,train"),
        (("run", "seed=4294967296"), "expected a seed from 0 to 4294967295, got 4294967296"),
        (("--codes", "none.npz", "out=none/page.html"), "in a directory that exists, got no directory at none"),
        (
            ("--codes", "none.npz", "out=."),
            "to be a file in a directory that exists, got a directory at .",
        ),
    ],
)
def test_bad_input_is_one_sentence(lsgen, refused, tmp_path, arguments, said):
    refused(lsgen("explore", *arguments), tmp_path, said)


def test_of_codes_of_a_file_all_are_shown_or_as_many_as_are_asked_for(lsgen, tmp_path):
    Codes(np.random.default_rng(0).normal(size=(40, 2))).save(tmp_path / "mine.npz")
    for asked, shown in (((), 40), (("n=12",), 12)):
        assert lsgen("explore", "--codes", "mine.npz", "maps=pca", *asked).code == 0
        assert header(tmp_path / "mine.html")["count"] == shown


def test_damaged_word_vectors_are_refused_with_file_and_line(lsgen, tmp_path):
    (tmp_path / "bad.txt").write_text("the 1 2\nof 3\n")
    refused = lsgen("explore", "--codes", str(tmp_path / "bad.txt"))
    assert (refused.code, refused.err.count("bad.txt"), "in line 2" in refused.err) == (2, 1, True)


@pytest.mark.slow
def test_a_run_is_exported_and_what_cannot_be_is_refused(lsgen, trained):
    done = lsgen("export", str(trained), "format=npz", "n=30", "maps=pca")
    assert done.code == 0, done.err
    found = Codes.load(trained / "export" / "codes.npz")
    assert len(found) == 30
    assert {"label", "PCA/x", "PCA in 3-D/z"} <= set(found.columns)
    done = lsgen("export", str(trained), "format=word2vec", "n=30")
    assert done.code == 0, done.err
    vectors = read_vectors(trained / "export" / "vectors.txt")
    assert vectors.ids.tolist() == [str(name) for name in found.ids.tolist()]
    assert np.array_equal(vectors.z, found.z)
    refused = lsgen("export", str(trained), "format=csv")
    assert (
        refused.code,
        "projector, atlas, anndata, npz, word2vec, word2vec_binary, glove, gensim, got csv" in refused.err,
    ) == (2, True)
    refused = lsgen("export", str(trained), "format=npz", "n=30", "maps=pca", "out=codes.txt")
    assert (refused.code, "npz" in refused.err) == (2, True)
