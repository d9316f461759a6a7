"""The shifted information of a corpus, counted by hand, against vectors that hold it exactly."""

from math import log

import pytest
import torch

from lsgen.data import Corpus
from lsgen.models.embedding import ContextWindows, FullSoftmax, NegativeSampling, Word2Vec
from lsgen.reproduction.measures.words.pointwise_information import PointwiseInformation
from lsgen.reproduction.runs import TrainedRun

TEXT = "a b c\na b\nb c a c\na c c\nb b"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT)
    return Corpus(path=str(tmp_path / "t.txt"), tokens={"least": 1, "length": 64}, val_size=0, test_size=0)


WHOLE = ContextWindows(None, shrink=False, subsample=None)


def run(data, decoder, windows=WHOLE):
    model = Word2Vec(decoder, windows)
    model.latent_space.name(data.vocabulary, data.counts)
    return TrainedRun("arm", 0, model, data, {}, None)


def by_hand(data):
    """Count the pairs of each document by its positions."""
    place = {word: row for row, word in enumerate(data.vocabulary)}
    seen = torch.zeros(3, 3, dtype=torch.float64)
    for line in TEXT.split("\n"):
        words = [place[word] for word in line.split()]
        for i, one in enumerate(words):
            for j, other in enumerate(words):
                seen[one, other] += i != j
    return seen


def test_vectors_of_the_shifted_information_have_no_error(data):
    seen = by_hand(data)
    trained = run(data, NegativeSampling(3, 3, negatives=4, power=0.5))
    q = data.counts.double() ** 0.5
    wanted = (seen / seen.sum(1, keepdim=True) / (q / q.sum())).log() - log(4)
    space = trained.model.latent_space
    with torch.no_grad():
        space.codes.copy_(torch.eye(3))
        space.decoder.weight.copy_(wanted.mT.clamp(min=-9))
    found = PointwiseInformation()(trained).values
    assert found["rmse"] == pytest.approx(0, abs=1e-6)
    assert found["correlation"] == pytest.approx(1, abs=1e-6)
    plain = (seen * seen.sum() / seen.sum(0) / seen.sum(1, keepdim=True)).log() - log(4)
    error = torch.where(seen > 0, seen / seen.sum() * (plain - wanted) ** 2, 0).sum()
    assert found["rmse_plain"] == pytest.approx(float(error.sqrt()), rel=1e-5)
    assert (found["empty"], bool((seen == 0).any())) == (0, True)


def test_runs_that_have_no_such_optimum_are_refused(data):
    with pytest.raises(TypeError, match="expected a run of Word2Vec with negative sampling, got Word2Vec"):
        PointwiseInformation()(run(data, FullSoftmax(3, 2)))
    with pytest.raises(ValueError, match="expected windows of one size without subsampling, got random ones"):
        PointwiseInformation()(run(data, NegativeSampling(3, 2), ContextWindows()))
