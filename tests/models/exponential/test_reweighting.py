"""Means over the samples of all nodes against enumeration, and the equations that they solve."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from lsgen.data.physics.ising_exact import enumerated_ising, ising_statistics
from lsgen.models.exponential import BregmanEstimator, FamilySamples, PosteriorNetwork, PotentialFit, finite_family
from lsgen.models.exponential.reweighting import Reweighting

f64 = torch.float64


def drawn(each):
    """Statistics of configurations of 3 x 3 sites with as many as are asked for at each of 25 nodes."""
    f = ising_statistics(enumerated_ising(3))
    exact = finite_family(f, (0.1, -0.4), (0.4, 0.3))
    t = torch.cartesian_prod(torch.linspace(0.1, 0.4, 5, dtype=f64), torch.linspace(-0.4, 0.3, 5, dtype=f64))
    generator = torch.Generator().manual_seed(0)
    rows = [torch.multinomial(p, n, True, generator=generator) for p, n in zip((t @ f.T).softmax(1), each, strict=True)]
    return f[torch.cat(rows)], t, exact


def test_all_samples_tell_more_of_a_node_than_its_own():
    counts = torch.tensor([100, 300] * 12 + [200])
    s, t, exact = drawn(counts.tolist())
    means = Reweighting(s, t, counts, torch.zeros(25))(t)[1]
    own = torch.stack([part.mean(0) for part in s.split(counts.tolist())])
    size = lambda found: (found - exact.gradient(t)).square().mean().sqrt()
    assert size(means) < size(own) / 3
    between = torch.tensor([[0.22, 0.05], [0.33, -0.21]], dtype=f64)
    torch.testing.assert_close(
        Reweighting(s, t, counts, torch.zeros(25))(between)[1], exact.gradient(between), rtol=0.05, atol=0.15
    )


def test_the_equations_of_the_acceptance_ratio_hold_and_log_z_has_the_means_as_derivatives():
    counts = torch.tensor([40, 80] * 12 + [60])
    s, t, _ = drawn(counts.tolist())
    weighted = Reweighting(s, t, counts, torch.zeros(25), steps=60)
    log_z = weighted(t)[0].numpy()
    logits = s.numpy() @ t.numpy().T - log_z + np.log(counts.numpy())
    expected = np.exp(logits - logsumexp(logits, axis=1, keepdims=True)).sum(0)
    np.testing.assert_allclose(expected, counts.numpy(), rtol=1e-3)
    at, step = t[7], 1e-4
    moved = torch.cat([at + step * torch.eye(2, dtype=f64), at - step * torch.eye(2, dtype=f64)])
    value = weighted(moved)[0]
    torch.testing.assert_close((value[:2] - value[2:]) / (2 * step), weighted(at[None])[1][0], rtol=1e-5, atol=1e-5)


def test_divergences_by_a_network_are_nearer_to_the_truth_than_means_over_single_nodes():
    t = torch.linspace(-1.5, 1.5, 13, dtype=f64).repeat(300)[:, None]
    x = t + torch.randn(len(t), 1, generator=torch.Generator().manual_seed(5), dtype=f64)
    samples = FamilySamples(x, t)
    learned = PosteriorNetwork(steps=150, batch_size=500, features=lambda x: x).fit(samples)
    nodes = samples.nodes
    truth = -((nodes - nodes.T) ** 2) / 2
    errors = [found - truth for found in (learned.expected(samples, nodes), learned.mean(samples, nodes))]
    ours, single = ((e - e.mean(1, keepdim=True)).square().mean().sqrt() for e in errors)
    assert ours < 0.8 * single
    elsewhere = FamilySamples(x + 0.0, t)
    torch.testing.assert_close(learned.expected(elsewhere, nodes), learned.mean(elsewhere, nodes))


@pytest.mark.slow
def test_misfit_tells_of_coordinates_that_are_not_natural():
    u = torch.linspace(-1.5, 1.5, 13, dtype=f64).repeat(300)[:, None]
    x = u + torch.randn(len(u), 1, generator=torch.Generator().manual_seed(1), dtype=f64)
    estimator = BregmanEstimator(PosteriorNetwork(steps=150, batch_size=500), PotentialFit(width=6, grid=8, steps=60))
    natural, other = (estimator.fit(FamilySamples(x, t)).misfit for t in (u, u.exp()))
    assert natural < 2
    assert other > 2 * natural


@pytest.mark.parametrize("far", [0.0, 500.0])
def test_weights_do_not_overflow(far):
    s = torch.tensor([[0.0], [1.0], [far], [far + 1]], dtype=f64)
    found = Reweighting(s, torch.tensor([[0.0], [1.0]], dtype=f64), torch.tensor([2, 2]), torch.tensor([0.0, far]))
    assert all(part.isfinite().all() for part in found(torch.tensor([[0.0], [0.5], [1.0]], dtype=f64)))
