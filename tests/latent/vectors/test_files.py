"""Files of word vectors against gensim and against bytes written by hand; damaged ones are refused with the line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from lsgen.latent import Codes
from lsgen.latent.vectors import from_keyed_vectors, read_vectors, to_keyed_vectors, write_vectors

WORDS = ["the", "naïve", "日本", "a\u0085b", "\u00a0", "-0.5", "'s\t", "e"]


def _codes(dim: int = 3) -> Codes:
    z = np.random.default_rng(0).standard_normal((len(WORDS), dim)).astype(np.float32)
    z[0] = [1e-38, 3e38, -0.0][:dim]
    return Codes(z, WORDS)


@pytest.mark.parametrize("kind", ["word2vec", "word2vec_binary", "glove", "gensim", "npz"])
@pytest.mark.parametrize("block", [7, 2**24])
def test_what_is_written_is_read_back_bit_for_bit(
    kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "gensim":
        pytest.importorskip("gensim")
    for module in ("lines", "records"):
        monkeypatch.setattr(f"lsgen.latent.vectors.{module}.BLOCK", block)
    codes, path = _codes(), tmp_path / ("a.npz" if kind == "npz" else "a")
    assert write_vectors(path, codes, kind) == path
    found = read_vectors(path, kind)
    assert found == codes
    assert np.signbit(found.z[0, 2])
    assert read_vectors(path, kind, most=3) == codes.select(np.arange(3))
    assert read_vectors(path, kind, most=99) == codes


@pytest.mark.parametrize("kind", ["word2vec", "word2vec_binary", "glove"])
def test_gensim_reads_the_same_and_writes_what_is_read(kind: str, tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    binary, bare = kind == "word2vec_binary", kind == "glove"
    codes = Codes(_codes().z, [f"w{i}é" for i in range(len(WORDS))])
    write_vectors(tmp_path / "ours", codes, kind)
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), binary=binary, no_header=bare)
    assert theirs.index_to_key == codes.ids.tolist()
    assert np.array_equal(theirs.vectors, codes.z)
    place = str(tmp_path / ("theirs.bin" if binary else "theirs"))
    theirs.save_word2vec_format(place, binary=binary, write_header=not bare)
    assert read_vectors(place) == codes


def test_keyed_vectors_keep_their_counts() -> None:
    pytest.importorskip("gensim")
    codes = _codes().with_columns({"count": np.arange(8), "kind": list("abcdefgh")})
    vectors = to_keyed_vectors(codes)
    assert vectors.get_vecattr("日本", "count") == 2
    assert vectors.most_similar("the", topn=1)[0][0] in WORDS
    found = from_keyed_vectors(vectors)
    assert found == Codes(codes.z, codes.ids, columns={"count": np.arange(8)})
    with pytest.raises(TypeError, match="expected gensim's KeyedVectors, got dict"):
        from_keyed_vectors({})


def test_the_formats_are_those_that_the_original_programs_write(tmp_path: Path) -> None:
    records = b"2 2\n" + b"the " + struct.pack("<2f", 1, -2) + b"\nof " + struct.pack("<2f", 10, 32) + b"\n"
    (tmp_path / "c.bin").write_bytes(records)  # word2vec.c ends each record by a line feed
    (tmp_path / "c.txt").write_bytes(b"2 2\nthe 1.000000 -2.000000 \nof 10.000000 32.000000 \n")  # and lines by a space
    (tmp_path / "glove.txt").write_bytes(b"the 1 -2\r\nof 1e1 32")
    (tmp_path / "glove.txt.gz").write_bytes(gzip.compress(b"the 1 -2\nof 10 32\n"))
    expected = Codes(np.array([[1, -2], [10, 32]], dtype=np.float32), ["the", "of"])
    for name in ("c.bin", "c.txt", "glove.txt", "glove.txt.gz"):
        assert read_vectors(tmp_path / name) == expected
    write_vectors(tmp_path / "again.gz", expected, "glove")
    assert gzip.decompress((tmp_path / "again.gz").read_bytes()) == b"the 1 -2\nof 10 32\n"


BINARY = b"2 1\na \0\0\0\0b \0\0\x80\x3f"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "expected a word and its numbers, got '' in line 1"),
        ("a", b"the\n", "expected a word and its numbers, got 'the' in line 1"),
        ("a", b"the 1 2\nof 3\n", "expected a word and 2 numbers, got 'of' and 1 of them in line 2"),
        ("a", b"the 1 2\nin fact 3 4\n", "got 'in' and 3 of them, as where a word holds a space in line 2"),
        ("a", b"the 1 2\nof  3 4\n", "got 'of' and 3 of them"),
        ("a", b"2 2\nthe 1 2\nof 3 x\n", "expected 2 finite numbers, got '3 x' in line 3"),
        ("a", b"2 2\nthe 1 2\nof nan 4\n", "expected 2 finite numbers, got 'nan 4' in line 3"),
        ("a", b"2 2\nthe 1 2\nof 1e39 4\n", "expected 2 finite numbers, got '1e39 4' in line 3"),
        ("a", b"3 2\nthe 1 2\nof 3 4\n", "expected 3 words as line 1 says, got 2 up to line 3"),
        ("a", b"1 2\nthe 1 2\nof 3 4\n", "expected 1 words as line 1 says, got 2"),
        ("a", b"2 3\nthe 1 2\nof 3 4\n", "expected a word and 3 numbers, got 'the' and 2 of them in line 2"),
        ("a", b"the 1 2\nof 3 4\nthe 5 6\n", "expected every word once, got 'the' in line 1 and in line 3"),
        ("a", b"the 1 2\n\xff\xfe 3 4\n", r"expected words in UTF-8, got b'\\xff\\xfe' in line 2"),
        ("a", b"the 1 2\n 3 4\n", "expected a word, got a space in line 2"),
        ("a", b"the 1 2\n\nof 3 4\n", "expected a word and 2 numbers, got '' and 0 of them in line 2"),
        ("a.bin", b"x\n", "expected the number of words and their dimension in the first line"),
        ("a.bin", BINARY[:-1], "expected 2 words as the first line says, got an end after 1"),
        ("a.bin", BINARY + b"c ", "expected 2 words as the first line says, got more"),
        ("a.bin", BINARY[:-4] + b"\0\0\xc0\x7f", "expected finite numbers, got others in record 2"),
        ("a.bin", BINARY.replace(b"b", b"a"), "expected every word once, got 'a' in record 1 and in record 2"),
        ("a.bin", BINARY.replace(b"b", b"\xff"), "expected words in UTF-8, got b'.*' in record 2"),
        ("a.bin", b"2 1\n" + b"a" * 5000, "expected a word of up to 4096 bytes, got none in record 1"),
        ("a.gz", gzip.compress(b"the 1 2\n" * 9, mtime=0)[:-9], "expected a whole compressed file"),
        ("a.kv", b"", "expected the format of .* to be given as gensim"),
    ],
)
def test_damaged_files_are_refused_with_the_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_vectors(tmp_path / name)


def test_what_cannot_be_asked_or_written_is_refused(tmp_path: Path) -> None:
    z = np.ones((1, 2), dtype=np.float32)
    for name in ("in fact", "", "a\nb"):
        with pytest.raises(ValueError, match="expected names without a space or an end of a line"):
            write_vectors(tmp_path / "a", Codes(z, [name]))
    assert not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match=r"expected a format out of word2vec, .*, got 'csv'"):
        write_vectors(tmp_path / "a", Codes(z), "csv")
    with pytest.raises(ValueError, match="expected to read at least one vector"):
        read_vectors(tmp_path / "a", most=0)
    (tmp_path / "b").write_bytes(b"nothing")
    pytest.importorskip("gensim")
    with pytest.raises(ValueError, match="expected a file that gensim has saved"):
        read_vectors(tmp_path / "b", "gensim")


def test_a_mark_at_the_beginning_is_no_part_of_a_word_and_numbers_are_those_of_single_precision(tmp_path: Path) -> None:
    for text in ("a 1 2\nb 3 4\n", "2 2\na 1 2\nb 3 4\n"):
        (tmp_path / "marked.txt").write_text(text, encoding="utf-8-sig")
        found = read_vectors(tmp_path / "marked.txt")
        assert found.ids.tolist() == ["a", "b"]
        assert found.z.tolist() == [[1, 2], [3, 4]]
    for kind in ("word2vec", "word2vec_binary", "glove"):
        with pytest.raises(ValueError, match=f"expected numbers of single precision for {kind}, got 1e\\+300"):
            write_vectors(tmp_path / "huge", Codes(np.array([[1e300, 0]]), ["a"]), kind)
