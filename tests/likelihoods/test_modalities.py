"""A product over modalities is what its parts are, side by side, whatever their shapes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lsgen.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ClosedFormLikelihood,
    CubicClosedFormModalities,
    CubicLikelihood,
    DiscretisedLogisticMixture,
    FixedGaussian,
    FlatLikelihood,
    Gaussian,
    Likelihood,
    Modalities,
    Multinomial,
    NegativeBinomial,
    Poisson,
    mixed_likelihood,
    modalities_likelihood,
)

PARTS = {
    "image": Bernoulli((1, 2, 3)),
    "label": Categorical((1,), 4, high=3),
    "sound": Gaussian((5,)),
    "words": Multinomial((3,), 6),
    "table": mixed_likelihood({"size": Gaussian((1,)), "kind": Poisson((2,))}),
}


@pytest.fixture
def likelihood() -> CubicClosedFormModalities:
    """Five modalities of different shapes: of one member a value, of one for all, and of columns."""
    made = modalities_likelihood(PARTS)
    assert isinstance(made, CubicClosedFormModalities)
    return made


def _outputs(likelihood: Likelihood, *batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, *likelihood.raw_shape, dtype=torch.float64, generator=generator)


def _own(likelihood: Modalities, h: Tensor) -> list[tuple[Any, Tensor]]:
    """Cut raw outputs by hand."""
    found: list[tuple[Any, Tensor]] = []
    start = 0
    for part in PARTS.values():
        size = torch.Size(part.raw_shape).numel()
        found.append((part, h[..., start : start + size].unflatten(-1, part.raw_shape)))
        start += size
    assert start == h.shape[-1]
    return found


def test_everything_is_that_of_the_parts_side_by_side(likelihood: CubicClosedFormModalities) -> None:
    """Density, means, samples, embeddings and distances."""
    h, other = _outputs(likelihood, 2, 3), _outputs(likelihood, 2, 3, seed=1)
    pairs, pairs_ = _own(likelihood, h), _own(likelihood, other)
    p = likelihood(h)
    x = p.sample((4,))
    assert x.shape == (4, 2, 3, likelihood.dimensions)
    likelihood.validate(x)
    pieces = likelihood.packing.unpack(x)
    by_hand = [part(own).log_prob(piece) for (part, own), piece in zip(pairs, pieces.values(), strict=True)]
    torch.testing.assert_close(torch.stack(list(p.log_probs(x).values())), torch.stack(by_hand))
    torch.testing.assert_close(p.log_prob(x), sum(by_hand))
    for name in ("mean", "variance"):
        parts = [getattr(part(own), name).flatten(2) for part, own in pairs]
        torch.testing.assert_close(getattr(p, name), torch.cat(parts, -1))
    torch.testing.assert_close(likelihood.embed(h), torch.cat([part.embed(own) for part, own in pairs], -1))
    based = [part.embed(own, at=base) for (part, own), (_, base) in zip(pairs, pairs_, strict=True)]
    torch.testing.assert_close(likelihood.embed(h, at=other), torch.cat(based, -1))
    squares = [part.distance(a, b).square() for (part, a), (_, b) in zip(pairs, pairs_, strict=True)]
    torch.testing.assert_close(likelihood.distance(h, other), sum(squares).sqrt())


def test_the_information_of_any_vectors_is_the_sum_of_the_parts(likelihood: CubicClosedFormModalities) -> None:
    """v^T F w from padded blocks is that of each part, and that of the embedding."""
    h, v, w = (_outputs(likelihood, 1, seed=seed) for seed in range(3))
    product = torch.einsum("...i,...ij,...j->", likelihood.split(v), likelihood.fisher(h), likelihood.split(w))
    triples = zip(_own(likelihood, h), _own(likelihood, v), _own(likelihood, w), strict=True)
    by_parts = [
        torch.einsum("...i,...ij,...j->", part.split(a), part.fisher(own), part.split(b))
        for (part, own), (_, a), (_, b) in triples
    ]
    torch.testing.assert_close(product, sum(by_parts))
    jacobian = torch.func.jacrev(lambda a: likelihood.embed(a, at=h)[0])(h).flatten(1)
    by_embedding = ((jacobian @ v.flatten()) * likelihood.signature) @ (jacobian @ w.flatten())
    torch.testing.assert_close(product, by_embedding)
    torch.testing.assert_close(likelihood.join(likelihood.split(h)), h, rtol=0, atol=0)
    assert likelihood.split(h).shape == (1, 6 + 1 + 5 + 1 + 3, 4)


def test_third_moments_add_over_the_parts(likelihood: CubicClosedFormModalities) -> None:
    """T = sum_i T_i."""
    h, v = _outputs(likelihood, 2), _outputs(likelihood, 2, 3, seed=4)
    pairs = zip(_own(likelihood, h), _own(likelihood, v), strict=True)
    by_parts = [part.amari_chentsov(own, u) for (part, own), (_, u) in pairs]
    torch.testing.assert_close(likelihood.amari_chentsov(h, v), sum(by_parts))


def test_what_the_product_can_do_is_what_every_modality_can() -> None:
    """Closed form, flat and cubic are types."""
    first = Bernoulli((1, 2, 2))
    closed = modalities_likelihood({"a": first, "b": Poisson((2,))})
    flat = modalities_likelihood({"a": first, "b": DiscretisedLogisticMixture((2,), 4, 1)})
    neither = modalities_likelihood({"a": first, "b": Beta((2,))})
    odd = modalities_likelihood({"a": first, "b": NegativeBinomial((2,))})
    every = (closed, flat, neither, odd)
    assert [isinstance(x, ClosedFormLikelihood) for x in every] == [True, False, False, False]
    assert [isinstance(x, FlatLikelihood) for x in every] == [True, True, False, False]
    assert [isinstance(x, CubicLikelihood) for x in every] == [True, True, True, False]
    assert [x.discrete for x in every] == [True, True, False, True]


def test_an_absent_modality_counts_nothing_and_passes_no_gradient() -> None:
    """What x holds in its place does not matter, though it may be impossible there."""
    likelihood = modalities_likelihood({"share": Beta((2,)), "size": FixedGaussian((3,), 0.5)})
    h = _outputs(likelihood, 4).requires_grad_()
    x = likelihood(h).sample()
    present = torch.tensor([[True, True], [False, True], [True, False], [False, False]])
    hidden = torch.where(likelihood.spread(present), x, torch.nan)
    p = likelihood(h)
    each = {name: p.parts[name].log_prob(own) for name, own in likelihood.observed(x).items()}
    expected = each["share"] * present[:, 0] + each["size"] * present[:, 1]
    found = likelihood(h).log_prob(hidden, present)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), h)
    (exact,) = torch.autograd.grad(expected.sum(), h)
    torch.testing.assert_close(gradient, exact)


def test_the_support_is_that_of_each_modality(likelihood: CubicClosedFormModalities) -> None:
    """A value is refused by the modality it belongs to, and the witnesses find it."""
    x = likelihood(_outputs(likelihood, 3)).sample()
    assert bool(likelihood.allows(x))
    x[1, likelihood.packing.slices["label"]] = 7.0
    assert likelihood.in_support(x).logical_not().nonzero().tolist() == [[1, 6]]
    assert not bool(likelihood.allows(x))
    refused = [judge.in_support(values).logical_not() for judge, values in likelihood.witnesses(x)]
    assert torch.stack(refused).any(0).tolist() == [False, True, False]


def test_wrong_parts_and_outputs_are_refused() -> None:
    """Each is one sentence."""
    with pytest.raises(TypeError, match="expected part 'a' to be a Likelihood, got Identity"):
        modalities_likelihood({"a": nn.Identity()})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="expected the shape of at least one modality, got none"):
        modalities_likelihood({})
    pair = modalities_likelihood({"a": Bernoulli((1, 2, 2)), "b": Gaussian((2,))})
    with pytest.raises(ValueError, match=re.escape("raw outputs of shape (B, 8), got (3, 6)")):
        pair(torch.zeros(3, 6))
