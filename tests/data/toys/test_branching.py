"""The branching diffusion: the shape of its tree, and variances of a nested analysis of variance."""

import pytest
import torch

from lsgen.data import BranchingDiffusion, Loading

SPLITS = ("train", "val", "test")


def observations(data):
    """Return all observations and labels in the order in which they were made."""
    rows = torch.cat([data.dataset(split).rows for split in SPLITS]).long()
    parts = [data.dataset(split)[torch.arange(len(data.dataset(split)))] for split in SPLITS]
    x, label = (torch.cat([part[key] for part in parts]) for key in ("x", "label"))
    order = rows.argsort()
    return x[order].double(), label[order]


def test_the_tree_of_the_paper_has_635_scaled_observations():
    data = BranchingDiffusion()
    x, label = observations(data)
    assert [len(data.dataset(split)) for split in SPLITS] == [380, 64, 191]
    assert label.bincount().tolist() == [5 * 2**depth for depth in range(7)]
    torch.testing.assert_close(x.mean(0), torch.zeros(50, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.square().mean(0), torch.ones(50, dtype=torch.float64), atol=1e-5, rtol=0)


def test_without_validation_the_validation_split_is_the_test_split():
    data = BranchingDiffusion(val_size=0)
    assert [len(data.dataset(split)) for split in SPLITS] == [444, 191, 191]
    assert torch.equal(data.dataset("val").rows, data.dataset("test").rows)


def test_observations_vary_about_their_nodes_as_the_analysis_of_variance_says():
    # MS_within = 1/f and MS_between/m = 1 + 1/(f m), in any unit of a coordinate.
    nodes, m, f, dim = 400, 10, 5.0, 50
    x, label = observations(BranchingDiffusion((50,), 1, nodes, m, f, 1, 1))
    groups = x[label == 1].view(nodes, m, dim)
    within = groups.var(1).mean(0)
    between = groups.mean(1).var(0)
    error = (2 / (nodes - 1) / dim) ** 0.5
    assert (between / within).mean().item() == pytest.approx(f + 1 / m, rel=4.5 * error)


def test_every_step_from_parent_to_child_has_the_same_variance():
    children, dim = 50, 50
    x, label = observations(BranchingDiffusion((50,), 2, children, 1, 1e10, 1, 1))
    root, parents, leaves = (x[label == depth] for depth in range(3))
    first = (parents - root).square().mean(0)
    second = (leaves.view(children, children, dim) - parents[:, None]).square().mean((0, 1))
    error = (2 / children / dim) ** 0.5
    assert (first / second).mean().item() == pytest.approx(1, abs=4.5 * error)
    assert (leaves.var(0) > 1.5 * second).all()


def test_the_tree_depends_on_the_seed_of_the_splits():
    one, other = (observations(BranchingDiffusion(loading=Loading(split_seed=seed)))[0] for seed in (0, 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 0}, "depth"),
        ({"children": 0}, "children"),
        ({"siblings": 0}, "siblings"),
        ({"factor": -1.0}, "factor"),
        ({"val_size": 444}, "training"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        BranchingDiffusion(**options)
