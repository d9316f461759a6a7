"""Unigrams, bigrams and a decoder without codes against what is known of a tiny language."""

from itertools import product
from math import log

import pytest
import torch

from lsgen.likelihoods import AutoregressiveTokens
from lsgen.metrics.words.codeless_decoder import without_codes
from lsgen.metrics.words.ngrams import bigram_log_probs, bits_per_token, perplexity, token_count, unigram_log_probs
from lsgen.nn import GRUDecoder

V, L = 3, 3
ALL = torch.tensor(
    [[*words, *[0] * (L - n)] for n in range(1, L + 1) for words in product(range(1, V), repeat=n)], dtype=torch.float32
)
TRAINING = torch.tensor([[1.0, 2, 0], [1, 2, 0], [2, 2, 2], [1, 0, 0]])


@pytest.mark.parametrize("strength", [0.1, 7.0])
def test_all_sentences_together_have_probability_one(strength: float) -> None:
    for log_p in (unigram_log_probs(TRAINING, ALL, V), bigram_log_probs(TRAINING, ALL, V, strength)):
        torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_frequencies_are_those_counted_by_hand() -> None:
    x = torch.tensor([[1.0, 2, 0]])  # training has 3 ends, 3 times 1 and 5 times 2
    one, two, end = 4 / 14, 6 / 14, 4 / 14
    expected = log(one / (one + two)) + log(two) + log(end)
    assert unigram_log_probs(TRAINING, x, V).item() == pytest.approx(expected)
    first = [(3 + one) / 5, (1 + two) / 5]  # of 4 sentences, 3 begin with 1
    second, third = (2 + two) / 4, (2 + end) / 5  # 1 is followed by 2, 2 and the end; 2 by 0, 0, 2, 2
    expected = log(first[0] / sum(first)) + log(second) + log(third)
    assert bigram_log_probs(TRAINING, x, V, 1.0).item() == pytest.approx(expected)


def test_bits_and_perplexity_count_the_first_end() -> None:
    assert token_count(TRAINING) == 3 + 3 + 3 + 2
    log_p = torch.full((4,), -11 / 4 * log(2.0), dtype=torch.float64)
    assert bits_per_token(log_p, TRAINING) == pytest.approx(1.0)
    assert perplexity(log_p, TRAINING) == pytest.approx(2.0)


@pytest.mark.slow
def test_a_decoder_without_codes_learns_the_frequencies_of_sentences() -> None:
    torch.manual_seed(0)
    likelihood = AutoregressiveTokens(GRUDecoder((L,), V, 2, embedding=16, width=64), (L,), V).train()
    before = {name: value.clone() for name, value in likelihood.state_dict().items() if name != "_extra_state"}
    training = TRAINING.repeat(50, 1)
    log_p = without_codes(likelihood, training, TRAINING, 600)
    torch.testing.assert_close(log_p.exp(), torch.tensor([0.5, 0.5, 0.25, 0.25]), rtol=0, atol=0.04)
    assert likelihood.training
    for name, value in before.items():
        torch.testing.assert_close(likelihood.state_dict()[name], value, rtol=0, atol=0)
