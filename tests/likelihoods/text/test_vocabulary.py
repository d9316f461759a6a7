"""Words have numbers, and sentences are rows of them that end."""

import pytest
import torch

from lsgen.likelihoods.text.vocabulary import Vocabulary, ends, tokens

TEXTS = ["The cat sat.", "the dog sat down", "A dog's <unk>, I said!"]


def test_sentences_come_back_from_their_numbers() -> None:
    vocabulary = Vocabulary.of(TEXTS)
    x = vocabulary.encode(TEXTS, 8)
    assert (x.shape, x.dtype) == ((3, 8), torch.int64)
    assert vocabulary.decode(x) == ["the cat sat .", "the dog sat down", "a dog's <unk> , i said !"]
    assert vocabulary.decode(x.float()) == vocabulary.decode(x)
    torch.testing.assert_close(vocabulary.encode(vocabulary.decode(x), 8), x)


def test_frequent_words_come_first_and_equal_ones_by_alphabet() -> None:
    vocabulary = Vocabulary.of(["b a", "c b", "a b d"])
    assert vocabulary.words == ("<end>", "b", "a", "c", "d")
    assert Vocabulary.of(["b a", "c b", "a b d"], least=2).words == ("<end>", "b", "a")
    assert Vocabulary.of(["b a", "c b", "a b d"], most=1, unknown="<unk>").words == ("<end>", "<unk>", "b")
    assert Vocabulary.of(["b a"], pattern=r"[ab] ?[ab]?").words == ("<end>", "b a")


def test_what_comes_after_the_end_is_not_read() -> None:
    vocabulary = Vocabulary(("<end>", "a", "b"))
    assert vocabulary.decode(torch.tensor([[1, 2, 0, 2], [0, 1, 1, 1]])) == ["a b", ""]
    assert vocabulary.decode(torch.zeros(0, 3)) == []


def test_unknown_words_are_refused_unless_a_word_stands_for_them() -> None:
    with pytest.raises(ValueError, match="expected words of the vocabulary of 2 words, got 'c' in 'a c'"):
        Vocabulary(("<end>", "a", "b")).encode(["a c"], 3)
    lenient = Vocabulary(("<end>", "a", "<unk>"), unknown="<unk>")
    assert lenient.encode(["a c d"], 4).tolist() == [[1, 2, 2, 0]]
    with pytest.raises(ValueError, match="got '<end>' in 'a <end>'"):
        lenient.encode(["a <end>"], 4)


def test_what_is_no_sentence_is_refused() -> None:
    vocabulary = Vocabulary(("<end>", "a"))
    with pytest.raises(ValueError, match="expected a sentence with a word at least, got ' ' as number 1"):
        vocabulary.encode(["a", " "], 3)
    with pytest.raises(ValueError, match="expected sentences of at most 2 words, got 3"):
        vocabulary.encode(["a a a"], 2)
    with pytest.raises(ValueError, match="expected numbers of words from 0 to 1, got 0 to 2"):
        vocabulary.decode(torch.tensor([[2, 0]]))
    with pytest.raises(ValueError, match=r"expected rows of numbers of words \(N, L\), got \(3,\)"):
        vocabulary.decode(torch.zeros(3))


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (("a", "b"), {}, "expected '<end>' and then at least one word, got a, b"),
        (("<end>",), {}, "at least one word, got <end>"),
        (("<end>", "a", "a"), {}, "expected 3 different words, got 'a' again"),
        (("<end>", "a"), {"unknown": "b"}, "expected one of the words for the unknown ones, got 'b'"),
        (("<end>", "a"), {"pattern": "("}, "expected a regular expression as pattern"),
    ],
)
def test_what_is_no_vocabulary_is_refused(words: tuple[str, ...], options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(words, **options)


def test_texts_without_words_are_refused() -> None:
    with pytest.raises(ValueError, match="expected words that occur 2 times in the texts, got none"):
        Vocabulary.of(["a b"], least=2)
    with pytest.raises(ValueError, match="expected texts without '<end>'"):
        Vocabulary.of(["a <end>"])


def test_tokens_are_the_words_and_the_first_end() -> None:
    x = torch.tensor([[1.0, 2, 0, 0], [1, 2, 1, 2], [0, 0, 0, 0], [1, 0, 1, 0]])
    expected = [[True, True, True, False], [True] * 4, [True] + 3 * [False], [True, True, False, False]]
    assert tokens(x).tolist() == expected
    assert ends(x).tolist() == [True, True, False, False]
