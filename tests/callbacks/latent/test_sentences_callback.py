"""What is logged of sentences, against the same by hand."""

import csv
from math import log

import pytest
import torch

from lsgen.callbacks import WritingTests
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Grammar, Sentences
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import AutoregressiveTokens, IndependentTokens
from lsgen.nn import GRUDecoder, GRUEncoder, MLPDecoder


@pytest.fixture(scope="module")
def data() -> Sentences:
    return Sentences(example=Grammar(120), wording={"most": 20, "unknown": "<unk>"}, val_size=20, test_size=10)


def _space(data: Sentences, kind: str) -> EncodableLatentSpace:
    torch.manual_seed(0)
    (length,), size = data.shape, data.vocabulary_size
    likelihood = {
        "autoregressive": lambda: AutoregressiveTokens(GRUDecoder((length,), size, 3, 4, 8), (length,), size),
        "independent": lambda: IndependentTokens((length,), size),
    }[kind]()
    likelihood.name(data.vocabularies["sentence"].words)
    shape, heads = ((3,), 1) if kind == "autoregressive" else ((length,), size)
    decoder = MLPDecoder(2, shape, (), heads=heads)
    return EncodableLatentSpace(GRUEncoder((length,), size, 2, 2, 4, 8), decoder, likelihood, StandardNormal(2))


def _turn(data: Sentences, kind: str, tmp_path) -> tuple[EncodableLatentSpace, dict[str, float], dict[str, list]]:
    callback, space, sink = WritingTests(n=16, samples=6, pairs=2, points=3, baseline_steps=2), _space(data, kind), None
    callback._data, sink = data, Sink(tmp_path, 1)
    callback.run(space, None, sink)
    tables = {file.parent.name: list(csv.reader(file.open())) for file in tmp_path.rglob("*.csv")}
    return space, sink.values, tables


@pytest.mark.parametrize("kind", ["autoregressive", "independent"])
def test_what_is_logged_is_what_the_model_says(data: Sentences, kind: str, tmp_path) -> None:
    space, values, tables = _turn(data, kind, tmp_path)
    names = {"model", "elbo", "unigram", "bigram"} | ({"no_code"} if kind == "autoregressive" else set())
    assert set(values) == {f"sentences/{name}/{key}" for name in names for key in ("bits_per_token", "perplexity")}
    for name in names:
        bits = values[f"sentences/{name}/bits_per_token"]
        assert log(values[f"sentences/{name}/perplexity"], 2) == pytest.approx(bits)
    assert values["sentences/bigram/bits_per_token"] < values["sentences/unigram/bits_per_token"] + 0.2
    space.eval()
    dataset = data.dataset("val")
    x = dataset[torch.arange(4)]["x"]
    z = space.encode(x).mean.unflatten(0, (2, 2))
    rows = tables["interpolations"][1:]
    assert len(rows) == 6
    for pair in range(2):
        p = space.decode(z[pair].mean(0)[None])
        assert rows[3 * pair + 1][2] == space.likelihood.texts(p.mean)[0]
        if kind == "autoregressive":
            assert rows[3 * pair + 1][3] == space.likelihood.texts(p.beam(8))[0]
    texts = data.vocabularies["sentence"].decode(x)
    assert [row[1:] for row in tables["ends"][1:]] == [texts[:2], texts[2:]]


def test_other_spaces_are_left_out(data: Sentences) -> None:
    space = _space(data, "independent")
    assert WritingTests().left_out(space) is None
    from lsgen.likelihoods import Bernoulli

    other = EncodableLatentSpace(torch.nn.Linear(4, 4), torch.nn.Linear(2, 4), Bernoulli((4,)), StandardNormal(2))
    assert WritingTests().left_out(other) == "its likelihood is Bernoulli, none of sentences"
