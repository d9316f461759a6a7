"""The space of several modalities is an ordinary latent space whose parts are those of each modality."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from lsgen.geometry import immersion, metric, metric_field, scalar_curvature
from lsgen.latent import MixtureOfNormals, StandardNormal, VampPrior
from lsgen.latent.multimodal import (
    JointPosterior,
    MixtureOfExperts,
    MixtureOfProducts,
    MultimodalSpace,
    ProductOfExperts,
)
from lsgen.likelihoods import (
    AutoregressiveTokens,
    Bernoulli,
    Beta,
    Categorical,
    FixedGaussian,
    Gaussian,
    Likelihood,
    Multinomial,
    modalities_likelihood,
)
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.nn.sequences.gru import GRUDecoder

REAL = torch.float64
FLAT: dict[str, Likelihood] = {
    "image": Bernoulli((1, 3, 3)),
    "label": Categorical((1,), 4, high=3),
    "sound": Gaussian((4,)),
    "words": Multinomial((5,), 7),
}


def _space(
    parts: dict[str, Likelihood] = FLAT, joint: JointPosterior | None = None, private: int = 0, **changes: Any
) -> MultimodalSpace:
    torch.manual_seed(0)
    dim = 2 + private
    given: dict[str, Any] = {
        "encoders": {name: MLPEncoder(part.shape, dim, [6], nn.Tanh) for name, part in parts.items()},
        "decoders": {
            name: MLPDecoder(dim, part.shape, [6], activation=nn.Tanh, heads=part.heads) for name, part in parts.items()
        },
        "likelihood": modalities_likelihood(parts),
        "prior": StandardNormal(2 + len(parts) * private),
        "joint": joint,
        "private": private,
    }
    return MultimodalSpace(**(given | changes)).double().eval()


def _observations(space: MultimodalSpace, n: int = 5) -> Tensor:
    torch.manual_seed(1)
    return space.observe(torch.randn(n, space.dim, dtype=REAL))


@pytest.mark.slow
@pytest.mark.parametrize("private", [0, 1])
def test_the_metric_of_the_joint_space_is_the_sum_of_those_of_its_modalities(private: int) -> None:
    """g = sum_i g_i, and what curves it is the joint embedding: both routes agree."""
    space = _space(private=private)
    z = torch.randn(4, space.dim, dtype=REAL)
    whole = metric(immersion(space), z)
    parts = [
        metric_field(space.modality(name))(z) if private else metric(immersion(space.modality(name)), z)
        for name in FLAT
    ]
    torch.testing.assert_close(whole, torch.stack(parts).sum(0), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(metric_field(space)(z), whole, rtol=1e-12, atol=1e-13)


def test_a_modality_without_a_flat_embedding_goes_the_intrinsic_route() -> None:
    """Its metric is still the sum; an immersion is refused in a sentence."""
    space = _space({"image": FLAT["image"], "share": Beta((3,)), "words": FLAT["words"]})
    z = torch.randn(3, 2, dtype=REAL)
    parts = [metric_field(space.modality(name))(z) for name in space.names]
    torch.testing.assert_close(metric_field(space)(z), torch.stack(parts).sum(0), rtol=1e-12, atol=1e-13)
    with pytest.raises(TypeError, match=r"expected a likelihood with a flat embedding .* got CubicModalities"):
        immersion(space)


def test_sentences_that_a_network_writes_are_a_modality_too() -> None:
    """Words are one member with a condition for coordinates; the metric is the sum, and absent words are not read."""
    words = AutoregressiveTokens(GRUDecoder((4,), 6, 3, 4, 8), (4,), 6)
    encoders = {"image": MLPEncoder((1, 3, 3), 2, [6]), "caption": MLPEncoder((4,), 2, [6])}
    decoders = {"image": MLPDecoder(2, (1, 3, 3), [6], activation=nn.Tanh), "caption": nn.Linear(2, 3)}
    parts: dict[str, Likelihood] = {"image": FLAT["image"], "caption": words}
    space = _space(parts, encoders=encoders, decoders=decoders)
    z, x = torch.randn(3, 2, dtype=REAL), _observations(space, 3)
    metrics = [metric_field(space.modality(name))(z) for name in parts]
    torch.testing.assert_close(metric_field(space)(z), sum(metrics), rtol=1e-12, atol=1e-13)
    none, hidden = torch.zeros(3, 2, dtype=torch.bool), x.clone()
    none[:, 0], hidden[:, 9:] = True, 0.0
    torch.testing.assert_close(space.decode(z).log_prob(hidden, none), space.decode(z).log_probs(x)["image"])
    space.likelihood.validate(space.complete(hidden, ["image"], 2))


@pytest.mark.slow
def test_curvature_is_the_same_by_both_routes() -> None:
    """The scalar curvature of the joint surface, from the embedding and from the metric."""
    space = _space({name: FLAT[name] for name in ("image", "sound")})
    z = torch.randn(2, 2, dtype=REAL)
    torch.testing.assert_close(
        scalar_curvature(immersion(space), z), scalar_curvature(metric_field(space), z), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("private", [0, 1])
@pytest.mark.parametrize(
    "joint", [ProductOfExperts(), MixtureOfExperts(), MixtureOfProducts()], ids=lambda one: type(one).__name__
)
def test_a_modality_alone_is_the_subset_of_one(joint: JointPosterior, private: int) -> None:
    """Posteriors by name, by mask and of the modality's own space are one; so are its decoder's distributions."""
    space = _space(joint=joint, private=private)
    x = _observations(space)
    z = torch.randn(5, space.dim, dtype=REAL)
    for i, (name, own) in enumerate(space.packing.unpack(x).items()):
        alone = space.modality(name)
        mask = torch.zeros(5, len(FLAT), dtype=torch.bool)
        mask[:, i] = True
        expected = alone.encode(own)
        for q in (space.encode(x, [name]), space.encode(x, mask), space.alone(space.experts(x), name)):
            torch.testing.assert_close(q.log_prob(z), expected.log_prob(z))
        assert (alone.dim, alone.likelihood.shape) == (space.dim, FLAT[name].shape)
        torch.testing.assert_close(alone.decode(z).log_prob(own), space.decode(z).log_probs(x)[name])
        torch.testing.assert_close(space.decode_one(name, z).log_prob(own), space.decode(z).log_probs(x)[name])
    every = torch.ones(5, len(FLAT), dtype=torch.bool)
    torch.testing.assert_close(space.encode(x, every).log_prob(z), space.encode(x).log_prob(z))


def test_an_absent_modality_is_not_read() -> None:
    """A subset's posterior does not depend on what x holds elsewhere."""
    space = _space(joint=MixtureOfProducts(), private=1)
    x, names = _observations(space), ["label", "words"]
    other = space.packing.unpack(x) | {"image": torch.ones(5, 1, 3, 3), "sound": torch.full((5, 4), 9.0)}
    unknown = space.packing.unpack(x) | {"image": torch.full((5, 1, 3, 3), torch.nan), "sound": torch.full((5, 4), 9.0)}
    q = space.encode(x, names)
    for parts in (other, unknown):
        q_ = space.encode(space.packing.pack(parts), names)
        torch.testing.assert_close(q.mean, q_.mean, rtol=0, atol=0)
        torch.testing.assert_close(q.variance, q_.variance, rtol=0, atol=0)
    completed = space.complete(space.packing.pack(unknown), names)
    torch.testing.assert_close(completed, space.complete(x, names), rtol=0, atol=0)


def test_private_codes_are_those_of_their_modality_or_of_the_prior() -> None:
    """z = (u, w_1, ..., w_M): w_i is what encoder i says, N(0, 1) where it is absent, and decoder i alone sees it."""
    space = _space(private=2)
    x = _observations(space)
    experts, q = space.experts(x), space.encode(x, ["image", "sound"])
    assert isinstance(q, Independent)
    assert isinstance(q.base_dist, Normal)
    own = q.mean[:, 2:].unflatten(1, (4, 2)), q.variance[:, 2:].unflatten(1, (4, 2))
    for i, there in enumerate([True, False, True, False]):
        torch.testing.assert_close(own[0][:, i], experts.private_mean[:, i] * there)
        torch.testing.assert_close(own[1][:, i], (experts.private_log_variance[:, i] * there).exp())
    z = torch.randn(1, space.dim, dtype=REAL)
    jacobian = torch.func.jacrev(lambda c: space.raw(c[None])[0])(z[0])
    for i, part in enumerate(jacobian.split([torch.Size(one.raw_shape).numel() for one in FLAT.values()])):
        seen = part.abs().amax(0) > 0
        assert seen.tolist() == [True] * 2 + [j // 2 == i for j in range(8)]


def test_missing_modalities_are_generated_and_present_ones_kept() -> None:
    """What is there stays; the rest are draws, or means, of p(x|z) at codes of what is there."""
    space = _space()
    x = _observations(space)
    present = torch.tensor([[True, False, True, False]] * 3 + [[True] * 4, [False, False, False, True]])
    drawn, kept = space.complete(x, present, 6), space.likelihood.spread(present)
    assert drawn.shape == (6, 5, space.packing.dimensions)
    torch.testing.assert_close(drawn.where(kept, 0), x.where(kept, 0).expand(6, -1, -1), rtol=0, atol=0)
    space.likelihood.validate(drawn)
    mean = space.decode(space.encode(x, present).mean).mean
    torch.testing.assert_close(space.complete(x, present), torch.where(kept, x, mean))
    torch.testing.assert_close(space.complete(x, ["label"])[:, 9:10], x[:, 9:10])


def test_subsets_that_are_none_are_refused() -> None:
    """An unknown name, no modality at all and another shape: one sentence each."""
    space = _space()
    x = _observations(space)
    with pytest.raises(ValueError, match="expected one of the modalities image, label, sound, words, got 'smell'"):
        space.encode(x, ["image", "smell"])
    with pytest.raises(ValueError, match="expected one of the modalities image, label, sound, words, got 'smell'"):
        space.modality("smell")
    none = torch.ones(5, 4, dtype=torch.bool)
    none[3] = False
    empty: list[Any] = [[], none]
    for subset in empty:
        with pytest.raises(ValueError, match=r"expected at least one of the modalities image, label, .* got none"):
            space.encode(x, subset)
    with pytest.raises(ValueError, match=re.escape("boolean mask of shape (5, 4) of the modalities image, label")):
        space.encode(x, torch.ones(5, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=re.escape("expected packed vectors of shape (B, 19), got (5, 18)")):
        space.encode(x[:, 1:])


def test_parts_that_do_not_fit_are_refused() -> None:
    """Names, dimensions, heads and kinds: one sentence each."""
    with pytest.raises(ValueError, match=r"expected encoders of image, label, sound, words, got image"):
        _space(encoders={"image": MLPEncoder((1, 3, 3), 2)})
    with pytest.raises(TypeError, match="expected likelihood to be a Modalities, got Bernoulli"):
        _space(likelihood=Bernoulli((19,)))
    with pytest.raises(ValueError, match=r"expected encoders\.image\.dim = 3, got 2"):
        _space(prior=StandardNormal(3))
    decoders = {name: MLPDecoder(2, part.shape, [6], heads=1) for name, part in FLAT.items()}
    with pytest.raises(ValueError, match=r"expected decoders\.label\.heads = 4, got 1"):
        _space(decoders=decoders)
    with pytest.raises(ValueError, match=r"expected a prior of more than 4 x 1 dimensions, .* got 4"):
        _space(private=1, prior=StandardNormal(4))
    with pytest.raises(TypeError, match="expected a StandardNormal as the prior of private codes, got Mixture"):
        _space(private=1, prior=MixtureOfNormals(6, 2), joint=MixtureOfExperts())
    with pytest.raises(TypeError, match="expected a prior that needs no encoder, of which there are several, got Vamp"):
        _space(prior=VampPrior(2, (19,), 3), joint=MixtureOfExperts())


def test_any_subset_of_linear_gaussian_modalities_has_its_exact_posterior() -> None:
    """Encoders that are exact experts make the product exact: log p(x_A) = log p(x_A, z) - log q(z|x_A) at every z."""
    torch.manual_seed(2)
    sizes, sigma = {"a": 3, "b": 2}, {"a": 0.6, "b": 1.1}
    scale = torch.tensor([0.7, 1.4], dtype=REAL)
    maps = {name: torch.linalg.qr(torch.randn(n, 2, dtype=REAL))[0] * scale for name, n in sizes.items()}
    encoders, decoders = dict[str, nn.Module](), dict[str, nn.Module]()
    for name, size in sizes.items():
        encoder, decoder = nn.Linear(size, 4).double(), nn.Linear(2, size, bias=False).double()
        precision = (scale / sigma[name]).square()
        with torch.no_grad():
            encoder.weight.copy_(torch.cat([(maps[name] / sigma[name] ** 2 / precision).mT, torch.zeros(2, size)]))
            encoder.bias.copy_(torch.cat([torch.zeros(2), -precision.log()]))
            decoder.weight.copy_(maps[name])
        encoders[name], decoders[name] = encoder, decoder
    likelihood = modalities_likelihood({name: FixedGaussian((k,), sigma[name]) for name, k in sizes.items()})
    space = MultimodalSpace(encoders, decoders, likelihood, StandardNormal(2)).double()
    x, z = torch.randn(6, 5, dtype=REAL), torch.randn(4, 6, 2, dtype=REAL)
    for subset in (["a"], ["b"], ["a", "b"]):
        log_probs = space.decode(z).log_probs(x.expand(4, -1, -1))
        seen = torch.stack([log_probs[name] for name in subset]).sum(0)
        evidence = seen + space.prior().log_prob(z) - space.encode(x, subset).log_prob(z)
        whole = torch.cat([maps[name] for name in subset])
        noise = torch.cat([torch.full((sizes[name],), sigma[name] ** 2, dtype=REAL) for name in subset])
        exact = MultivariateNormal(torch.zeros_like(noise), whole @ whole.mT + noise.diag())
        kept = torch.cat([space.packing.unpack(x)[name] for name in subset], 1)
        torch.testing.assert_close(evidence, exact.log_prob(kept).expand(4, -1))
