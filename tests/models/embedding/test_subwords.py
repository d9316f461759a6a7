"""n-grams of words: fastText's hash against gensim's, averages by hand, and vectors for unknown words."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.data import Corpus, Grammar
from lsgen.models.embedding import NegativeSampling, Subwords, SubwordVectors, Word2Vec, fnv_1a

quiet = partial(Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, num_sanity_val_steps=0, max_epochs=-1, limit_val_batches=0)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = ["where", "a", "naïve", "日本語", "über", "\U0001f600x", "don't", "of"]


def test_hashes_and_buckets_are_those_of_gensim() -> None:
    inner = pytest.importorskip("gensim.models.fasttext_inner")
    for word in WORDS:
        assert fnv_1a(word) == inner.ft_hash_bytes(word.encode())
        for least, most in ((3, 6), (1, 2), (2, 9)):
            theirs = inner.compute_ngrams(word, least, most)
            ours = Subwords(least, most, 1000)
            assert set(ours.grams(word)) == {gram for gram in theirs if least > 1 or gram not in "<>"}
            assert sorted(ours.rows(word)) == sorted(fnv_1a(gram) % 1000 for gram in ours.grams(word))


def test_the_hash_is_signed() -> None:
    assert fnv_1a("") == 2166136261
    assert fnv_1a("a") == 0xE40C292C  # of FNV-1a
    assert fnv_1a("ï") == (((2166136261 ^ 0xFFFFFFC3) * 16777619 % 2**32) ^ 0xFFFFFFAF) * 16777619 % 2**32


def test_the_code_of_a_word_is_the_average_of_its_vectors() -> None:
    torch.manual_seed(0)
    subwords = Subwords(3, 4, 50)
    table = SubwordVectors(WORDS, 6, subwords)
    lists = [[i, *(len(WORDS) + fnv_1a(gram) % 50 for gram in subwords.grams(word))] for i, word in enumerate(WORDS)]
    expected = torch.stack([table.weight[rows].mean(0) for rows in lists])
    torch.testing.assert_close(table(), expected)
    some = torch.tensor([4, 0])
    torch.testing.assert_close(table(some), expected[some])
    before = table.weight.detach().clone()
    change = torch.randn(2, 6)
    table.add(some, change)
    for word, one in zip((4, 0), change, strict=True):
        for row in lists[word]:
            before[row] += one
    torch.testing.assert_close(table.weight.detach(), before)
    unknown = table.of_grams(["nowhere"])
    rows = [len(WORDS) + fnv_1a(gram) % 50 for gram in subwords.grams("nowhere")]
    torch.testing.assert_close(unknown[0], table.weight[rows].mean(0))
    with pytest.raises(ValueError, match="expected words with n-grams of 4 characters, got 'a'"):
        SubwordVectors(["a"], 2, Subwords(4, 6, 5)).of_grams(["a"])
    with pytest.raises(ValueError, match="expected 1 <= least <= most"):
        Subwords(5, 4)
    for options in ({"longest": 6}, True):
        with pytest.raises(
            ValueError, match="expected subwords to be a mapping with some of least, most, buckets, got"
        ):
            Subwords.of(options)  # type: ignore[arg-type]


def test_training_shares_vectors_so_that_unknown_words_lie_by_their_kin() -> None:
    pytest.importorskip("numba")
    data = Corpus(example=Grammar(4000), batch_size=16)
    torch.manual_seed(0)
    options = {"least": 3, "most": 5, "buckets": 5000}
    model = Word2Vec(NegativeSampling(data.vocabulary_size, 16), rate=0.05, subwords=options, max_steps=120)
    quiet().fit(model, data)
    codes = model.latent_space.codes
    assert isinstance(codes, SubwordVectors)
    table = model.latent_space.items()
    assert table.ids.tolist() == list(data.vocabulary)
    np.testing.assert_array_equal(table.z, codes().detach().numpy())
    place = {word: row for row, word in enumerate(data.vocabulary)}

    def cosine(a: torch.Tensor, b: str) -> float:
        return float(torch.cosine_similarity(a, codes()[place[b]], 0))

    kin = codes.of_grams(["thailands"])[0]
    assert cosine(kin, "thailand") > max(cosine(kin, "sister"), cosine(kin, "coats")) + 0.1
    again = Word2Vec(NegativeSampling(data.vocabulary_size, 16), subwords=Subwords(**options))
    again.latent_space.rename(data.vocabulary)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.latent_space.table(), model.latent_space.table())
    (loss := again.loss({"x": data.dataset("train")[torch.arange(2)]["x"]}).loss).backward()
    assert torch.isfinite(loss)
    assert codes.weight.grad is None
    assert isinstance(again.latent_space.codes, SubwordVectors)
    assert again.latent_space.codes.weight.grad is not None
    assert again.latent_space.codes.weight.grad.abs().sum() > 0
