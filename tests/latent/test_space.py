import numpy as np
import pytest
import torch
from torch import nn

from lsgen.latent import (
    Codes,
    Deterministic,
    DiagonalNormal,
    EncodableLatentSpace,
    EncodableSpace,
    Euclidean,
    FeatureSpace,
    ItemSpace,
    LatentSpace,
    PoincareBall,
    Posterior,
    Prior,
    Simplex,
    Space,
    Sphere,
    StandardNormal,
    Uniform,
    WrappedNormalPosterior,
    WrappedNormalPrior,
    encode_observations,
)
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian
from lsgen.nn import MLPDecoder, MLPEncoder


def test_codes_may_have_any_batch_shape() -> None:
    space = LatentSpace(MLPDecoder(3, (2, 4, 4)), Bernoulli((2, 4, 4)), StandardNormal(3))
    z = torch.randn(5, 2, 3)
    assert space.raw(z).shape == (5, 2, 2, 4, 4)
    torch.testing.assert_close(space.raw(z)[3, 1], space.raw(z[3, 1]))
    assert space.decode(z).batch_shape == (5, 2)


def test_samples_are_observations_without_a_graph() -> None:
    space = LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3))
    x = space.sample(11)
    assert x.shape == (11, 6)
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    assert not x.requires_grad


def test_samples_follow_the_marginal_of_a_linear_model() -> None:
    torch.manual_seed(0)
    decoder = nn.Linear(2, 3)
    space = LatentSpace(decoder, FixedGaussian((3,), sigma=0.5), StandardNormal(2))
    x, n = space.sample(40_000), 40_000
    exact = (decoder.weight @ decoder.weight.T + 0.25 * torch.eye(3)).detach()
    standard_error = ((exact.diagonal()[:, None] * exact.diagonal() + exact**2) / n).sqrt()
    assert bool(((torch.cov(x.T) - exact).abs() < 5 * standard_error).all())


def test_prior_follows_the_module_to_another_type() -> None:
    assert StandardNormal(2).double()().sample().dtype == torch.float64


def test_parts_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected decoder.heads = likelihood.heads = 2, got decoder.heads = 1"):
        LatentSpace(MLPDecoder(3, (6,)), Gaussian((6,)), StandardNormal(3))
    with pytest.raises(ValueError, match=r"expected decoder.dim = prior.dim = 4, got decoder.dim = 3"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(4))
    with pytest.raises(ValueError, match=r"expected encoder.dim = prior.dim = 3, got encoder.dim = 2"):
        EncodableLatentSpace(MLPEncoder((6,), 2), MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3))
    with pytest.raises(ValueError, match=r"expected a latent dimension of at least 1, got 0"):
        StandardNormal(0)
    with pytest.raises(ValueError, match=r"expected codes of shape \(B, 3\), got \(2, 4\)"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3)).raw(torch.zeros(2, 4))


def test_parts_in_each_others_place_are_refused() -> None:
    with pytest.raises(TypeError, match="expected likelihood to be a Likelihood, got MLPDecoder"):
        LatentSpace(Bernoulli((6,)), MLPDecoder(3, (6,)), StandardNormal(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected prior to be a Prior, got Bernoulli"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), Bernoulli((6,)))  # type: ignore[arg-type]


def test_a_feature_space_has_an_encoder_alone() -> None:
    encoder = nn.Linear(5, 3)
    x = torch.randn(7, 5)
    flat = FeatureSpace(encoder, 3)
    torch.testing.assert_close(flat.encode(x).mean, encoder(x))
    assert (flat.dim, flat.manifold) == (3, Euclidean())
    assert isinstance(flat, EncodableSpace) and not isinstance(flat, LatentSpace | ItemSpace)  # noqa: PT018
    ball = FeatureSpace(encoder, 3, Sphere())
    torch.testing.assert_close(ball.encode(x).mean, torch.nn.functional.normalize(encoder(x), dim=1))
    assert ball.encode(x).mean.requires_grad
    for make, sentence in (
        (lambda: FeatureSpace(encoder, 0), "expected a dimension of at least 1, got 0"),
        (lambda: FeatureSpace(MLPEncoder((6,), 2, heads=1), 3), "expected encoder.dim = dim = 3, got encoder.dim = 2"),
        (lambda: FeatureSpace(MLPEncoder((6,), 2), 2), "expected encoder.heads = heads = 1, got encoder.heads = 2"),
        (lambda: FeatureSpace(encoder, 3, Simplex(4)), "expected manifold.coordinates = dim = 3, got"),
        (lambda: FeatureSpace(encoder, 4).encode(x), r"expected an encoder with outputs \(7, 4\), got \(7, 3\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            make()


class Words(LatentSpace, ItemSpace):
    """Word vectors: a latent space, whose codes are those of a vocabulary."""

    def items(self) -> Codes:
        return Codes(self.decoder.weight, ["cat", "dog"])


def test_what_a_space_can_do_is_its_type() -> None:
    words = Words(nn.Linear(3, 2), Bernoulli((2,)), StandardNormal(3))
    assert isinstance(words, ItemSpace) and isinstance(words, LatentSpace)  # noqa: PT018
    assert not isinstance(words, EncodableSpace)
    assert words.items().select(ids=["dog"]).tensor().tolist() == [words.decoder.weight[1].tolist()]
    assert words.items().dim == words.dim
    for kind in (Space, EncodableSpace, ItemSpace):
        with pytest.raises(TypeError, match="abstract"):
            kind()  # type: ignore[abstract]


def _encodable(posterior: Posterior | None = None, prior: Prior | None = None) -> EncodableLatentSpace:
    posterior = DiagonalNormal() if posterior is None else posterior
    prior = StandardNormal(3) if prior is None else prior
    encoder = MLPEncoder((6,), 3, heads=posterior.heads)
    return EncodableLatentSpace(encoder, MLPDecoder(3, (6,)), Bernoulli((6,)), prior, posterior).eval()


def test_observations_become_a_table_of_codes() -> None:
    space, x = _encodable(), torch.rand(10, 6)
    label, factors = torch.arange(10) % 3, torch.stack([torch.arange(10), -torch.arange(10)], 1)
    batch = {"x": x, "label": label, "factors": factors, "observed": x > 0.5, "name": "digits"}
    pieces = [
        {key: value[part] if key != "name" else value for key, value in batch.items()}
        for part in (slice(4), slice(4, 10))
    ]
    table, q = encode_observations(space, pieces), space.encode(x)
    np.testing.assert_allclose(table.z, q.mean.detach(), rtol=1e-6)
    np.testing.assert_allclose(table.scale, q.stddev.detach(), rtol=1e-6)
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        "label": label.tolist(),
        "factors_0": factors[:, 0].tolist(),
        "factors_1": factors[:, 1].tolist(),
    }
    named = encode_observations(space, pieces, [f"row {i}" for i in range(10)], ["label"])
    assert (list(named.columns), named.ids[9]) == (["label"], "row 9")


def test_tables_know_where_codes_lie_and_whether_they_have_a_spread() -> None:
    batches = [{"x": torch.rand(8, 6)}]
    ball = encode_observations(_encodable(WrappedNormalPosterior(2.0), WrappedNormalPrior(3, 2.0)), batches)
    assert (ball.manifold, ball.scale is None) == (PoincareBall(2.0), False)
    sphere = encode_observations(FeatureSpace(nn.Linear(6, 3), 3, Sphere()).eval(), batches)
    assert (sphere.manifold, sphere.scale) == (Sphere(), None)
    assert encode_observations(_encodable(Deterministic()), batches).scale is None
    walls = _encodable(prior=Uniform(3, -1e-3, 1e-3))
    assert np.abs(encode_observations(walls, batches).z).max() == np.float32(1e-3)


def test_what_cannot_be_encoded_is_refused() -> None:
    space, x = _encodable(), torch.rand(4, 6)
    for act, sentence in (
        (lambda: encode_observations(space, []), "expected batches of observations, got none"),
        (
            lambda: encode_observations(space, [{"y": x}]),
            'expected batches that are mappings with the tensor "x", got a dict',
        ),
        (lambda: encode_observations(space, [{"x": x}], None, ["label"]), 'with an entry "label" of shape .* got none'),
        (lambda: encode_observations(space.train(), [{"x": x}]), "in evaluation mode, got one in training mode"),
    ):
        with pytest.raises(ValueError, match=sentence):
            act()
