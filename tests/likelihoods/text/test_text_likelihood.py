"""What likelihoods of sentences share: the support, and the names of words."""

import pytest
import torch

from lsgen.likelihoods import IndependentTokens

WORDS = ("<end>", "a", "b", "c")


def test_sentences_alone_are_allowed() -> None:
    likelihood = IndependentTokens((3,), 4)
    good = torch.tensor([[1.0, 2, 3], [3, 0, 0]])
    bad = torch.tensor([[0.0, 0, 0], [1, 0, 2], [1, 4, 0], [1.5, 0, 0], [float("nan"), 0, 0], [-1, 0, 0]])
    assert bool(likelihood.allows(good))
    likelihood.validate(good)
    for row in bad:
        assert not bool(likelihood.allows(row[None]))
        with pytest.raises(ValueError, match="expected observations that are sentences: numbers of words from 1 to 3"):
            likelihood.validate(row[None])
    for rows, expected in ((good, [True] * 2), (bad, [False] * 6)):
        verdicts = [judge.in_support(value) for judge, value in likelihood.witnesses(rows)]
        assert torch.stack(verdicts).all(0).tolist() == expected


def test_words_are_kept_with_the_weights() -> None:
    likelihood, other = IndependentTokens((3,), 4), IndependentTokens((3,), 4)
    assert likelihood.texts(torch.tensor([[1.0, 3, 0]])) == ["1 3"]
    likelihood.name(WORDS)
    assert likelihood.texts(torch.tensor([[1.0, 3, 0]])) == ["a c"]
    other.load_state_dict(likelihood.state_dict())
    assert other.words == WORDS
    other.name(list(WORDS))


def test_another_vocabulary_is_refused() -> None:
    likelihood = IndependentTokens((3,), 4)
    with pytest.raises(ValueError, match="expected a vocabulary of 4 words, got 3"):
        likelihood.name(("<end>", "a", "b"))
    likelihood.name(WORDS)
    with pytest.raises(ValueError, match="that the model has learned, whose word 3 is 'c', got 'd'"):
        likelihood.name(("<end>", "a", "b", "d"))


@pytest.mark.parametrize(("shape", "size"), [((1, 3), 4), ((3,), 1)])
def test_what_is_no_language_is_refused(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(ValueError, match=r"expected the shape \(L,\)|expected a size of at least 2"):
        IndependentTokens(shape, size)
