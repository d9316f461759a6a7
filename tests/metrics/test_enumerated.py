"""The sum over all codes against codes listed by hand, and against importance sampling by the exact posterior."""

from functools import partial
from itertools import product

import pytest
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from lsgen.callbacks import EvidenceMetrics
from lsgen.latent import (
    BernoulliPosterior,
    BernoulliPrior,
    CategoricalPrior,
    CodebookPrior,
    EncodableLatentSpace,
    LatentSpace,
    LatticePrior,
    OneHot,
    Prior,
    Product,
    ResidualQuantiser,
    StandardNormal,
    every_code,
    number_of_codes,
)
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.metrics import enumerated_log_evidence, log_evidence
from lsgen.models import VAE
from lsgen.models.vae import VIMCO

D, REAL = 3, torch.float64
X = torch.tensor([[0.3, -0.4, 0.2], [0.9, 0.1, -0.8]], dtype=REAL)
EYE = torch.eye(3).tolist()
CODES = {  # a prior, and all of its codes by hand
    "bits": (BernoulliPrior(4), [list(z) for z in product([0.0, 1.0], repeat=4)]),
    "levels": (LatticePrior(2, [2, 3]), [[a, b] for a in (-1.0, 0.0) for b in (-1.0, 0.0, 1.0)]),
    "categories": (CategoricalPrior(6, 3), [[*a, *b] for a in EYE for b in EYE]),
    "parts": (Product([BernoulliPrior(1), OneHot(3)]), [[a, *b] for a in (0.0, 1.0) for b in EYE]),
}


def _space(prior: Prior) -> LatentSpace:
    torch.manual_seed(0)
    decoder = torch.nn.Sequential(torch.nn.Linear(prior.dim, 8), torch.nn.Tanh(), torch.nn.Linear(8, D))
    return LatentSpace(decoder, FixedGaussian((D,), 0.4), prior).to(REAL).eval()


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("chunk_size", [1, 5, 100])
def test_evidence_is_the_sum_over_codes_that_are_listed_by_hand(name: str, chunk_size: int) -> None:
    prior, listed = CODES[name]
    space, z = _space(prior), torch.tensor(listed, dtype=REAL)
    assert torch.equal(torch.cat(list(every_code(space.manifold, X, chunk_size))), z)
    assert number_of_codes(space.manifold) == len(z)
    terms = [space.decode(one).log_prob(X).exp() for one in z]
    found = enumerated_log_evidence(space, X, chunk_size=chunk_size)
    torch.testing.assert_close(found, (torch.stack(terms).mean(0)).log())


def test_entries_of_every_stage_are_looked_at() -> None:
    quantiser, prior = ResidualQuantiser(4, 2, 3, 1), CodebookPrior(4)
    EncodableLatentSpace(torch.nn.Linear(D, 2), torch.nn.Linear(4, D), FixedGaussian((D,)), prior, quantiser)
    codes = torch.cat(list(every_code(quantiser.manifold, torch.zeros(()))))
    assert len(codes.unique(dim=0)) == number_of_codes(quantiser.manifold) == 3**4
    assert bool(quantiser.manifold.contains(codes).all())


def test_what_cannot_be_counted_or_is_too_much_is_refused() -> None:
    for prior in (StandardNormal(2), Product([StandardNormal(1), BernoulliPrior(2)])):
        with pytest.raises(TypeError, match=r"expected codes that can be counted, got those of"):
            enumerated_log_evidence(_space(prior), X)
    with pytest.raises(ValueError, match=r"expected a latent space of at most 15 codes, got 16 on Lattice"):
        enumerated_log_evidence(_space(BernoulliPrior(4)), X, most_codes=15)
    with pytest.raises(ValueError, match="expected a chunk_size of at least 1, got 0"):
        enumerated_log_evidence(_space(BernoulliPrior(4)), X, chunk_size=0)


def test_the_callback_logs_the_sum_which_importance_sampling_estimates() -> None:
    torch.manual_seed(0)
    parts = torch.nn.Linear(D, 2), torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, D))
    model = VAE(*parts, Bernoulli((D,)), BernoulliPrior(2), VIMCO(2), BernoulliPosterior(2))
    x = torch.tensor(list(product([0.0, 1.0], repeat=D)))
    exact = -enumerated_log_evidence(model.latent_space, x).mean().item()
    quiet = partial(Trainer, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    loader = DataLoader([{"x": row} for row in x], 5)
    (values,) = quiet(callbacks=[EvidenceMetrics(samples=4000, most_codes=4)]).test(model, loader, verbose=False)
    assert values["test/nll_exact"] == pytest.approx(exact, rel=1e-6)
    assert values["test/nll"] == pytest.approx(exact, abs=0.05)
    with pytest.raises(ValueError, match="expected a latent space of at most 3 codes, got 4"):
        quiet(callbacks=[EvidenceMetrics(most_codes=3)]).test(model, loader, verbose=False)
    torch.manual_seed(0)
    estimate = log_evidence(model.latent_space, x, 4000).log_evidence
    torch.testing.assert_close(
        estimate.float(), enumerated_log_evidence(model.latent_space, x).float(), rtol=0, atol=0.1
    )
