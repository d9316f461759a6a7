"""Products of likelihoods over named parts of an observation."""

import pytest
import torch
from torch import nn

from lsgen.geometry import immersion, mean_curvature, metric, metric_field, scalar_curvature
from lsgen.latent import LatentSpace, StandardNormal, observed_log_prob
from lsgen.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ClosedFormLikelihood,
    CubicLikelihood,
    DiscretisedLogisticMixture,
    FlatLikelihood,
    Gaussian,
    Mixed,
    NegativeBinomial,
    Poisson,
    mixed_likelihood,
)
from lsgen.nn import MLPDecoder

SHAPES = [((2,), (3,), (1,)), ((2, 4, 3), (3, 4, 3), (1, 4, 3))]


def _parts(shapes):
    return {"seen": Bernoulli(shapes[0]), "size": Gaussian(shapes[1]), "kind": Categorical(shapes[2], 5, high=4)}


def _outputs(likelihood: Mixed, *batch: int) -> torch.Tensor:
    return torch.randn(*batch, *likelihood.raw_shape, dtype=torch.float64)


@pytest.fixture(params=SHAPES, ids=["columns", "channels"])
def likelihood(request) -> Mixed:
    return mixed_likelihood(_parts(request.param))


def test_everything_is_a_sum_or_a_concatenation_over_the_parts(likelihood: Mixed) -> None:
    h, other, event = _outputs(likelihood, 2, 6), _outputs(likelihood, 2, 6), len(likelihood.shape)
    x = likelihood(h).sample()
    sizes = [part.raw_shape[0] for part in likelihood.likelihoods]
    assert sizes == [2, 6, 5]
    triples = list(zip(likelihood.likelihoods, h.split(sizes, -event), other.split(sizes, -event), strict=True))
    pieces = likelihood.observed(x)
    assert list(pieces) == ["seen", "size", "kind"]
    log_p = sum(part(a).log_prob(piece) for (part, a, _), piece in zip(triples, pieces.values(), strict=True))
    torch.testing.assert_close(likelihood(h).log_prob(x), log_p)
    torch.testing.assert_close(likelihood(h).mean, torch.cat([part(a).mean for part, a, _ in triples], -event))
    torch.testing.assert_close(likelihood(h).stddev, torch.cat([part(a).stddev for part, a, _ in triples], -event))
    torch.testing.assert_close(likelihood.embed(h), torch.cat([part.embed(a) for part, a, _ in triples], -1))
    based = torch.cat([part.embed(a, at=b) for part, a, b in triples], -1)
    torch.testing.assert_close(likelihood.embed(h, at=other), based)
    squares = torch.stack([part.distance(a, b).square() for part, a, b in triples])
    torch.testing.assert_close(likelihood.distance(h, other), squares.sum(0).sqrt())
    assert likelihood(h).batch_shape == (2, 6)
    assert likelihood(h).event_shape == likelihood.shape
    likelihood.validate(x)


def test_information_is_that_of_the_embedding(likelihood: Mixed) -> None:
    h = _outputs(likelihood, 1)
    jacobian = torch.func.jacrev(lambda a: likelihood.embed(a, at=h)[0])(h).flatten(1)
    v, w = _outputs(likelihood, 1), _outputs(likelihood, 1)
    by_embedding = ((jacobian @ v.flatten()) * likelihood.signature) @ (jacobian @ w.flatten())
    product = torch.einsum("...i,...ij,...j->", likelihood.split(v), likelihood.fisher(h), likelihood.split(w))
    torch.testing.assert_close(product, by_embedding)
    torch.testing.assert_close(likelihood.join(likelihood.split(h)), h, rtol=0, atol=0)


@pytest.mark.slow
def test_a_mixed_decoder_has_one_geometry_by_both_routes(likelihood: Mixed) -> None:
    decoder = MLPDecoder(2, likelihood.raw_shape, hidden=[8], activation=nn.Tanh)
    space = LatentSpace(decoder, likelihood, StandardNormal(2)).double()
    z = torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(metric(immersion(space), z), metric(metric_field(space), z))
    torch.testing.assert_close(
        scalar_curvature(immersion(space), z), scalar_curvature(metric_field(space), z), rtol=1e-7, atol=1e-7
    )
    assert bool(torch.isfinite(mean_curvature(immersion(space), z).within).all())


def test_what_the_product_can_do_is_what_every_part_can() -> None:
    closed = mixed_likelihood({"a": Bernoulli((1,)), "b": Poisson((2,))})
    flat = mixed_likelihood({"a": Bernoulli((1,)), "b": DiscretisedLogisticMixture((2,), 4, 1)})
    neither = mixed_likelihood({"a": Bernoulli((1,)), "b": Beta((2,))})
    assert [isinstance(x, ClosedFormLikelihood) for x in (closed, flat, neither)] == [True, False, False]
    assert [isinstance(x, FlatLikelihood) for x in (closed, flat, neither)] == [True, True, False]
    assert [x.discrete for x in (closed, flat, neither)] == [True, True, False]
    h = _outputs(neither, 3)
    assert neither.fisher(h).shape == (3, 3, 2, 2)
    torch.testing.assert_close(neither.fisher(h)[:, 1:], Beta((2,)).fisher(h[:, 1:]))
    nested = mixed_likelihood({"c": closed, "d": Gaussian((1,))})
    torch.testing.assert_close(nested.join(nested.split(h := _outputs(nested, 2))), h)
    assert isinstance(nested, ClosedFormLikelihood)
    odd = mixed_likelihood({"c": closed, "d": NegativeBinomial((1,))})
    assert [isinstance(x, CubicLikelihood) for x in (closed, flat, neither, nested, odd)] == [True] * 4 + [False]


def test_third_moments_of_the_score_add_over_the_parts(likelihood: Mixed) -> None:
    h, v, event = _outputs(likelihood, 2), _outputs(likelihood, 2, 3), len(likelihood.shape)
    sizes = [part.raw_shape[0] for part in likelihood.likelihoods]
    triples = zip(likelihood.likelihoods, h.split(sizes, -event), v.split(sizes, -event), strict=True)
    torch.testing.assert_close(
        likelihood.amari_chentsov(h, v), sum(part.amari_chentsov(a, u) for part, a, u in triples)
    )


def test_missing_parts_can_be_left_out(likelihood: Mixed) -> None:
    h = _outputs(likelihood, 4)
    x = likelihood(h).sample()
    observed = torch.zeros(x.shape, dtype=torch.bool)
    observed[:, 2:5] = True
    part, own = likelihood.likelihoods[1], h[:, 2:8]
    torch.testing.assert_close(observed_log_prob(likelihood(h), x, observed), part(own).log_prob(x[:, 2:5]))


def test_reparameterised_only_where_every_part_is() -> None:
    h = torch.zeros(3, 4, requires_grad=True)
    both = mixed_likelihood({"a": Gaussian((1,)), "b": Gaussian((1,))})
    assert both(h).has_rsample
    assert both(h).rsample().requires_grad
    assert not mixed_likelihood({"a": Gaussian((1,)), "b": Poisson((2,))})(h).has_rsample


def test_wrong_parts_outputs_and_observations_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shapes differ in their first dimension only, got \{'a': \(1, 2\), 'b': \(1, 3\)"
    ):
        mixed_likelihood({"a": Bernoulli((1, 2)), "b": Bernoulli((1, 3))})
    with pytest.raises(ValueError, match=r"shapes differ in their first dimension only, got \{\}"):
        mixed_likelihood({})
    with pytest.raises(TypeError, match="expected part 'a' to be a Likelihood, got Identity"):
        mixed_likelihood({"a": nn.Identity()})
    pair = mixed_likelihood({"a": Bernoulli((1,)), "b": Gaussian((2,))})
    with pytest.raises(ValueError, match=r"raw outputs of shape \(B, 5\), got \(3, 6\)"):
        pair(torch.zeros(3, 6))
    with pytest.raises(ValueError, match="a: between 0 and 1; b: any real number, got values between"):
        pair.validate(torch.tensor([[2.0, 2.0, 2.0]]))
