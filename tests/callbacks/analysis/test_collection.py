"""Codes of a model's observations, against spaces whose posteriors, bounds and reconstructions are known."""

import math
import random

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lsgen.callbacks.analysis import collection
from lsgen.callbacks.analysis.collection import collect_codes, untrained_codes
from lsgen.callbacks.analysis.observations import sample_observations
from lsgen.data import Digits, Sprites
from lsgen.latent import (
    CodebookPrior,
    Codes,
    Deterministic,
    EncodableLatentSpace,
    FeatureSpace,
    ItemSpace,
    LatentSpace,
    Sphere,
    StandardNormal,
    VectorQuantiser,
)
from lsgen.likelihoods import Categorical, FixedGaussian, IndependentTokens, modalities_likelihood
from lsgen.nn import MLPDecoder, MLPEncoder

D = 4


class Known(nn.Module):
    """q(z|x) = N(x, 1), the posterior of p(x|z) = N(z, 1) under a flat prior."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return torch.cat([self.weight * x, torch.zeros_like(x)], -1)


class Words(ItemSpace):
    dim, manifold = 2, None

    def items(self):
        return Codes(torch.arange(12.0).reshape(6, 2), ["a", "b", "c", "d", "é", "f"], columns={"count": np.arange(6)})


def _linear_space():
    return EncodableLatentSpace(Known(), nn.Identity(), FixedGaussian((D,), 1.0), StandardNormal(D))


def _batches(n=10, size=4):
    x = torch.randn(n, D, generator=torch.Generator().manual_seed(0))
    return [{"x": part, "label": torch.arange(len(part))} for part in x.split(size)], x


def test_codes_reconstructions_and_scores_are_those_of_the_model():
    batches, x = _batches()
    found = collect_codes(_linear_space(), batches, n=7)
    codes = found.codes
    assert torch.equal(codes.tensor(), x[:7])
    assert np.allclose(codes.scale, 1)
    assert codes.ids.tolist() == [f"given/{i}" for i in range(7)]
    assert codes.columns["label"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert np.allclose(codes.columns["reconstruction_error"], 0)
    expected = 0.5 * (x[:7].square().sum(1) + D * math.log(2 * math.pi))
    assert np.allclose(codes.columns["prior_nll"], expected, rtol=1e-5)
    assert torch.equal(found.reconstructions, found.observations)
    assert (found.source, found.left_out, found.total) == ("encoder", 0, None)


def test_the_bound_is_below_the_evidence_on_average_by_the_known_gap():
    """log p(x) = log N(x; 0, 2), and the gap is KL(q || posterior) of N(x, 1) and N(x/2, 1/2)."""
    x = torch.full((4000, D), 0.7)
    found = collect_codes(_linear_space(), [x], n=None, chunk_size=4000).codes.columns["elbo"]
    evidence = D * (-0.5 * math.log(4 * math.pi) - 0.49 / 4)
    gap = D * (0.5 * math.log(0.5) + (1 + 0.35**2) / (2 * 0.5) - 0.5)
    error = 4 * float(found.std()) / math.sqrt(len(found))
    assert found.mean() == pytest.approx(evidence - gap, abs=error)


def test_values_that_are_missing_count_in_no_score(monkeypatch):
    monkeypatch.setattr(collection, "counts_observed", lambda model: True)
    x = torch.randn(5, D, generator=torch.Generator().manual_seed(1))
    observed = torch.ones(5, D, dtype=torch.bool)
    observed[:, 0] = False
    holes = x.masked_fill(~observed, math.nan)
    space = _linear_space()
    space.encoder.weight.data.fill_(2.0)
    found = collect_codes(space, [{"x": holes, "observed": observed}])
    assert torch.equal(found.observations, x.masked_fill(~observed, 0.0))
    assert found.left_out == 0
    assert np.allclose(found.codes.columns["reconstruction_error"], x[:, 1:].square().mean(1))


def test_numbers_of_words_and_of_classes_are_no_amounts_that_could_be_far_off():
    parts = {
        "class": Categorical((1,), 10, high=9),
        "words": IndependentTokens((2,), 4),
        "numbers": FixedGaussian((D,), 1.0),
    }
    likelihood = modalities_likelihood(parts)
    decoder = MLPDecoder(2, likelihood.raw_shape, ())
    x = likelihood.packing.pack(
        {"class": torch.full((3, 1), 9.0), "words": torch.full((3, 2), 3.0), "numbers": torch.randn(3, D)}
    )
    space = EncodableLatentSpace(MLPEncoder((D + 3,), 2, ()), decoder, likelihood, StandardNormal(2))
    found = collect_codes(space, [x])
    off = likelihood.packing.unpack(found.reconstructions - x)["numbers"].square().mean(1)
    assert np.allclose(found.codes.columns["reconstruction_error"], off, rtol=1e-5)
    alone = EncodableLatentSpace(
        MLPEncoder((1,), 2, ()), MLPDecoder(2, (1,), (), heads=10), parts["class"], StandardNormal(2)
    )
    assert "reconstruction_error" not in collect_codes(alone, [torch.ones(3, 1)]).codes.columns


def test_codes_that_are_not_finite_are_left_out_and_counted():
    x = torch.randn(6, D, generator=torch.Generator().manual_seed(1))
    x[2, 1] = math.nan
    found = collect_codes(_linear_space(), [x])
    assert (len(found), found.left_out) == (5, 1)
    assert found.codes.ids.tolist() == [f"given/{i}" for i in (0, 1, 3, 4, 5)]
    assert torch.equal(found.observations, x[[0, 1, 3, 4, 5]])
    with pytest.raises(ValueError, match="got none among 6 observations"):
        collect_codes(_linear_space(), [torch.full((6, D), math.nan)])


def test_observations_of_a_data_module_are_drawn_by_the_seed_alone():
    data, model = Digits(), _digits_space()
    one, two, other = (collect_codes(model, data, n=60, seed=seed) for seed in (3, 3, 4))
    assert one.codes == two.codes
    assert one.codes.ids.tolist() != other.codes.ids.tolist()
    sizes = {split: len(data.dataset(split)) for split in ("val", "test")}
    assert one.total == sum(sizes.values())
    for split, count in sizes.items():
        chosen = one.codes.columns["split"] == split
        assert chosen.sum() == pytest.approx(60 * count / one.total, abs=1)
    row = int(one.codes.ids[0].split("/")[1])
    assert torch.equal(one.observations[0], data.dataset("val")[torch.tensor([row])]["x"][0])
    everything = collect_codes(model, data, n=None)
    assert len(everything) == everything.total
    assert set(one.codes.ids) < set(everything.codes.ids)


def test_more_observations_contain_the_fewer():
    data = Digits()
    few, many = (collect_codes(_digits_space(), data, n=n, splits=("train",)).codes.ids for n in (20, 50))
    assert set(few) < set(many)


def test_factors_have_their_own_names():
    data = Sprites(train_size=64, val_size=8, test_size=8)
    space = EncodableLatentSpace(
        MLPEncoder(data.shape, 2, (4,)),
        MLPDecoder(2, data.shape, (4,)),
        FixedGaussian(data.shape, 1.0),
        StandardNormal(2),
    )
    found = collect_codes(space, data, n=8)
    assert set(data.factor_names) <= set(found.codes.columns)


def test_other_data_modules_give_their_first_observations():
    class Theirs(LightningDataModule):
        def val_dataloader(self):
            return DataLoader(TensorDataset(torch.arange(20.0).reshape(5, D)), batch_size=2)

    found = collect_codes(_linear_space(), Theirs(), n=3)
    assert torch.equal(found.observations, torch.arange(12.0).reshape(3, D))
    assert found.codes.columns["split"].tolist() == ["val"] * 3


def test_a_model_without_encoder_gives_draws_from_its_prior():
    space = LatentSpace(MLPDecoder(2, (3,), (4,)), FixedGaussian((3,), 1.0), StandardNormal(2))
    found = collect_codes(space, n=9, seed=5)
    assert found.source == "prior"
    assert "no encoder" in found.sampling
    assert found.observations is None
    assert torch.allclose(found.reconstructions, space.decode(found.codes.tensor()).mean.detach(), atol=1e-6)
    assert found.codes == collect_codes(Wrapped(space), n=9, seed=5).codes
    with pytest.raises(ValueError, match="expected a number of codes"):
        collect_codes(space, n=None)


class Wrapped(nn.Module):
    def __init__(self, space):
        super().__init__()
        self.latent_space = space


def test_features_items_points_and_discrete_codes():
    x = torch.randn(5, D, generator=torch.Generator().manual_seed(2))
    features = collect_codes(FeatureSpace(nn.Linear(D, 3), 3, Sphere()), [x])
    assert np.allclose(np.linalg.norm(features.codes.z, axis=1), 1)
    assert features.reconstructions is None
    assert set(features.codes.columns) == {"split"}
    items = collect_codes(Words(), n=4)
    assert items.source == "items"
    assert items.codes == Words().items().select(ids=items.codes.ids)
    points = EncodableLatentSpace(
        nn.Linear(D, 2), nn.Linear(2, D), FixedGaussian((D,), 1.0), StandardNormal(2), Deterministic()
    )
    found = collect_codes(points, [x]).codes
    assert found.scale is None
    assert "elbo" not in found.columns
    quantiser = VectorQuantiser(4, 5, 2)
    discrete = EncodableLatentSpace(
        nn.Linear(D, 4), nn.Linear(4, D), FixedGaussian((D,), 1.0), CodebookPrior(4), quantiser
    )
    table = collect_codes(discrete, [x]).codes
    entries = quantiser.codebook.detach().numpy()
    for half in table.z.reshape(-1, 2):
        assert np.abs(entries - half).sum(1).min() < 1e-6


def test_modes_and_random_numbers_stay_as_they_were():
    space = _digits_space()
    space.train()
    space.encoder.eval()
    torch.manual_seed(7)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    found = collect_codes(space, Digits(), n=5)
    untrained_codes(space, found)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()
    assert space.training
    assert not space.encoder.training


def test_an_untrained_copy_has_learned_nothing_and_is_the_same_every_time():
    space = _digits_space()
    before = {name: value.clone() for name, value in space.state_dict().items()}
    with torch.no_grad():
        for parameter in space.parameters():
            parameter.add_(100.0)
    found = collect_codes(space, Digits(), n=5)
    one, two = (untrained_codes(space, found, seed) for seed in (0, 1))
    assert one == untrained_codes(space, found, 0)
    assert one != two
    assert np.abs(one.z).max() < 10
    assert one.ids.tolist() == found.codes.ids.tolist()
    assert all(torch.equal(before[name] + 100, value) for name, value in space.state_dict().items())
    learned = untrained_codes(_linear_space(), collect_codes(_linear_space(), [torch.ones(3, D)]))
    assert np.allclose(learned.z, 1)  # a single number, permuted, is what it was


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: collect_codes(nn.Linear(1, 1)), "expected a model with a latent_space"),
        (lambda: collect_codes(_linear_space()), "expected data for the encoder"),
        (lambda: collect_codes(_linear_space(), [torch.ones(2, D)], n=0), "at least one code"),
        (lambda: collect_codes(_linear_space(), torch.ones(2, D)), "expected a data module or batches"),
        (lambda: collect_codes(_linear_space(), LightningDataModule()), "to have a loader of observations"),
        (lambda: sample_observations([], -1, 0), "at least one observation"),
    ],
)
def test_what_cannot_be_collected_is_refused_in_a_sentence(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def _digits_space():
    torch.manual_seed(0)
    shape = Digits().shape
    return EncodableLatentSpace(
        MLPEncoder(shape, 3, (8,)), MLPDecoder(3, shape, (8,)), FixedGaussian(shape, 1.0), StandardNormal(3)
    )
