"""Files of analogies and similarities: those of gensim in full, others in their variants; damage with its line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lsgen.analysis.analogies import read_questions
from lsgen.data.text.benchmarks import benchmark_file, read_similarities


def test_the_files_that_gensim_brings_are_read_whole() -> None:
    pytest.importorskip("gensim")
    questions, each = read_questions(benchmark_file("google"), lower=True)
    sections = Counter(each)
    assert len(questions) == 19_544
    assert sum(count for name, count in sections.items() if not name.startswith("gram")) == 8869
    assert len(sections) == 14
    assert (each[0], questions[0]) == ("capital-common-countries", ("athens", "greece", "baghdad", "iraq"))
    wordsim, simlex = (read_similarities(benchmark_file(name)) for name in ("wordsim353", "simlex999"))
    assert (len(wordsim), len(simlex)) == (353, 999)
    assert wordsim[2] == ("tiger", "tiger", 10.0)
    assert simlex[0] == ("old", "new", 1.58)


def test_variants_of_the_formats(tmp_path: Path) -> None:
    file = tmp_path / "a"
    expected = (("love", "sex", 6.77), ("new york", "city", 5.0))
    for text in (
        "Word 1,Word 2,Human (mean)\nlove,sex,6.77\nNew York,city,5\n",
        "word1\tword2\tSimLex999\tPOS\nlove\tsex\t6.77\tN\nnew york\tcity\t5\tN\n",
        "# comment\nlove; sex ;6.77\nnew york;city;5.0",
    ):
        file.write_text(text)
        assert read_similarities(file) == expected
    file.write_text("love sex 6.77\ncar  train 1e0\n")
    assert read_similarities(file, lowercase=False)[1] == ("car", "train", 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b 1\nc d x\n", "expected two words and a number in line 2 of .*, got 'c d x'"),
        (b"a b\n", "expected two words and a number in line 1"),
        (b"a b 1\nc d nan\n", "expected two words and a number in line 2"),
        (b"a b 1\n,b,1\n", "expected two words and a number in line 2"),
        (b"a b \xff\n", "expected text in UTF-8"),
        (b"word word rating\n", "expected pairs of words in .*, got none"),
        (b"", "expected pairs of words in .*, got none"),
    ],
)
def test_damaged_similarities_are_refused_with_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_similarities(tmp_path / "a")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected google, wordsim353, simlex999 or a file, got .*none"):
        benchmark_file(str(tmp_path / "none"))
    (tmp_path / "mine").write_text("a b c d")
    assert benchmark_file(str(tmp_path / "mine")) == tmp_path / "mine"
