"""Files of words that are counted: each format holds what was written, and damage is refused in a sentence."""

import io
import tarfile

import numpy as np
import pytest
import torch
from scipy import sparse

from lsgen.data import BagOfWords, TwentyNewsgroups

WORDS = ["red", "green", "blue", "grey"]
COUNTS = np.array([[2, 0, 1, 0], [0, 3, 0, 0], [1, 1, 1, 0], [0, 0, 5, 1], [4, 0, 0, 0], [1, 0, 0, 2]])
EVERY = {"most": None, "least_documents": 1}


def _lda_c(counts):
    return "".join(
        f"{(row > 0).sum()} " + " ".join(f"{word}:{row[word]}" for word in row.nonzero()[0]) + "\n" for row in counts
    )


def _written(folder, kind, counts=COUNTS, words=WORDS):
    """Write a file of counts of a kind with its vocabulary, and return its path."""
    folder.mkdir(exist_ok=True)
    path, listed = folder / f"made{kind}", "\n".join(words) + "\n"
    if kind == ".npz":
        sparse.save_npz(path, sparse.csr_matrix(counts))
    elif kind == ".tgz":
        with tarfile.open(path, "w:gz") as archive:
            for name, text in (("ap/ap.dat", _lda_c(counts)), ("ap/vocab.txt", listed), ("ap/ap.txt", "")):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        return str(path)
    else:
        path.write_text(_lda_c(counts))
    (folder / "vocab.txt").write_text(listed)
    return str(path)


def _rows(data):
    found = {}
    for split in ("train", "val", "test"):
        part = data.dataset(split)
        found |= dict(zip(part.rows.tolist(), part[torch.arange(len(part))]["x"].tolist(), strict=True))
    return [found[row] for row in range(len(found))]


@pytest.mark.parametrize("kind", [".npz", ".dat", ".tgz"])
def test_every_format_holds_what_was_written(tmp_path, kind):
    data = BagOfWords(path=_written(tmp_path, kind), words=EVERY, val_size=1, test_size=1)
    kept = COUNTS[data.dataset("train").rows.numpy()].sum(0) > 0
    assert data.vocabulary == tuple(word for word, some in zip(WORDS, kept, strict=True) if some)
    assert _rows(data) == COUNTS[:, kept].tolist()


def test_marks_at_the_beginning_are_no_part_of_numbers_and_words(tmp_path):
    path = _written(tmp_path, ".dat")
    for name in ("made.dat", "vocab.txt"):
        (tmp_path / name).write_text((tmp_path / name).read_text(), encoding="utf-8-sig")
    data = BagOfWords(path=path, words=EVERY, val_size=0, test_size=0)
    assert data.vocabulary == tuple(WORDS)
    assert _rows(data) == COUNTS.tolist()


def test_words_are_chosen_from_training_documents_as_of_texts(tmp_path):
    words = {"most": 2, "least_documents": 2, "stop_words": ["red"]}
    data = BagOfWords(path=_written(tmp_path, ".npz"), words=words, val_size=0, test_size=0)
    assert data.vocabulary == ("green", "blue")  # 4 and 7 times; grey 3 times
    assert _rows(data) == COUNTS[:, 1:3].tolist()


def test_a_vocabulary_may_lie_elsewhere_and_be_longer_for_lda_c(tmp_path):
    path = _written(tmp_path, ".dat", COUNTS, WORDS)
    (tmp_path / "longer.txt").write_text("\n".join([*WORDS, "pink"]))
    data = BagOfWords(path=path, words=EVERY, val_size=0, test_size=0, vocabulary=str(tmp_path / "longer.txt"))
    assert data.vocabulary == tuple(WORDS)  # pink is in no document
    with pytest.raises(ValueError, match=r"expected a vocabulary of 4 words for .*made\.npz, got 5"):
        BagOfWords(path=_written(tmp_path, ".npz"), vocabulary=str(tmp_path / "longer.txt"))
    with pytest.raises(ValueError, match=r"expected a file of counts with data\.vocabulary, got no path"):
        BagOfWords(vocabulary=str(tmp_path / "longer.txt"))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({(1, 1): -3}, r"expected counts 0, 1, 2, \.\.\. in .*, got -3 of 'green' in document 1"),
        ({(3, 2): 0.5}, r"got 0\.5 of 'blue' in document 3"),
        ({(3, 2): np.nan}, "got nan of 'blue' in document 3"),
        ({(0, 0): 2.0**31}, r"got 2\.14748e\+09 of 'red' in document 0"),
        ({(1, 1): 0}, "expected documents with words in .*, got 1 without, such as 1"),
    ],
)
def test_counts_that_are_none_are_refused(tmp_path, changed, sentence):
    counts = COUNTS.astype(float)
    for at, value in changed.items():
        counts[at] = value
    with pytest.raises(ValueError, match=sentence):
        BagOfWords(path=_written(tmp_path, ".npz", counts))


def test_files_that_are_damaged_are_refused(tmp_path):
    path = _written(tmp_path, ".npz", words=WORDS[:3])
    with pytest.raises(ValueError, match=r"expected a vocabulary of 4 words for .*made\.npz, got 3"):
        BagOfWords(path=path)
    (tmp_path / "vocab.txt").write_text("red\nblue\nred\ngrey")
    with pytest.raises(ValueError, match=r"expected 4 different words in the vocabulary of .*, got 'red' again"):
        BagOfWords(path=path)
    (tmp_path / "vocab.txt").write_bytes(b"red\nblau\xdf\n")
    with pytest.raises(ValueError, match=r"expected text in UTF-8 in .*vocab\.txt, got another encoding at byte 8"):
        BagOfWords(path=path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected a vocabulary, a word a line, at .*b\.txt, found nothing"):
        BagOfWords(path=path)
    with pytest.raises(FileNotFoundError, match=r"expected documents at .*none\.npz, found nothing"):
        BagOfWords(path=str(tmp_path / "none.npz"))
    lines = tmp_path / "lines.dat"
    for text, sentence in (
        ("2 0:1", "begin with its number of pairs, got 2 before 1 in document 0"),
        ("1 0:1\n1 red", "expected pairs WORD:COUNT in .*, got 'red' in document 1"),
        ("1 -1:2", "expected words numbered from 0 in .*, got -1"),
    ):
        lines.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            BagOfWords(path=str(lines))
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"expected the counts of words data in .*no\.npz, got what is cut short"):
        BagOfWords(path=str(tmp_path / "no.npz"))
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        archive.add(lines, "a.dat")
    with pytest.raises(ValueError, match=r"expected one file \.dat and one vocab\.txt in .*other\.tgz, got a\.dat"):
        BagOfWords(path=str(tmp_path / "other.tgz"))
    with pytest.raises(ValueError, match="as they are by default for a file of counts"):
        BagOfWords(path=_written(tmp_path, ".npz"), words={"lowercase": False})


def test_newsgroups_have_the_splits_of_the_file(tmp_path):
    (tmp_path / "20ng").mkdir()
    parts = {}
    for name, rows in (("tr", COUNTS[:3]), ("va", COUNTS[3:4]), ("ts", COUNTS[4:])):
        matrix = sparse.csr_matrix(rows)
        parts |= {f"{name}_indptr": matrix.indptr, f"{name}_indices": matrix.indices, f"{name}_counts": matrix.data}
    np.savez(tmp_path / "20ng" / "bow.npz", vocab=np.array(WORDS), **parts)
    data = TwentyNewsgroups(root=str(tmp_path))
    assert (data.vocabulary, data.shape) == (tuple(WORDS), (4,))
    for split, rows in (("train", COUNTS[:3]), ("val", COUNTS[3:4]), ("test", COUNTS[4:])):
        part = data.dataset(split)
        assert part[torch.arange(len(part))]["x"].tolist() == rows.tolist()
    with pytest.raises(FileNotFoundError, match=r"expected the 20 Newsgroups data at .*bow\.npz, found nothing"):
        TwentyNewsgroups(root=str(tmp_path / "none"))
