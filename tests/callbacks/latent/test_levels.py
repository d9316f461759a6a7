"""Pictures of the levels of a hierarchy: which codes they show, and where."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.distributions import Normal, kl_divergence

from lsgen.callbacks import TraversalFigures
from lsgen.callbacks.latent.levels import active_axes, completed
from lsgen.callbacks.latent.probe_codes import encode_probes
from lsgen.callbacks.latent.traversal import LatentTraversal
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import EncodableLatentSpace, LadderDecoder, LadderPosterior, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.nn import MLPDecoder, MLPEncoder

SIZES, SHAPE = (2, 3), (1, 6, 6)


@pytest.fixture
def space():
    torch.manual_seed(5)
    decoder = LadderDecoder(nn.Linear(2, 6), MLPDecoder(3, SHAPE, (16,), nn.Tanh), *SIZES)
    made = EncodableLatentSpace(
        MLPEncoder(SHAPE, 5, (16,), nn.Tanh), decoder, Bernoulli(SHAPE), StandardNormal(5), LadderPosterior()
    )
    for parameter in made.parameters():
        parameter.data *= 2
    return made.eval()


def _pictures(space, x, tmp_path):
    figures = TraversalFigures(grid_anchors=1, level_axes=2, level_draws=3, frames=2, plane_points=2, kl_probes=30)
    LatentTraversal(points=3, sigmas=2.0, anchors=1, figures=figures).run(space, Probe(x), Sink(tmp_path, 1))
    return [
        np.asarray(Image.open(tmp_path / "figures" / "traversal" / name / "00000001.png"))
        for name in ("levels", "level_samples")
    ]


def _rows(toys, picture, space, codes):
    """Return the heights at which codes (N, d) stand, from left to right in one row."""
    with torch.no_grad():
        found = [toys.places(picture, toys.enlarged(image)) for image in space.decoder(codes).sigmoid()]
    assert all(found), "a code is not in the picture"
    heights = set.intersection(*({row for row, _ in places} for places in found))
    columns = [min(column for row, column in places if row in heights) for places in found]
    assert columns == sorted(columns)
    return min(heights)


def test_axes_of_every_level_are_swept_from_the_top_down(space, toys, tmp_path):
    x = toys.images(30)
    picture, _ = _pictures(space, x, tmp_path)
    with torch.no_grad():
        torch.manual_seed(0)
        q = space.encode(x)
        factors = q.factors(q.mean).base_dist
        kl = kl_divergence(factors, Normal(0.0, 1.0)).mean(0)
        anchor = q.mean[0]
    top = kl[:2].argsort(descending=True).tolist()
    heights = []
    for axis in top:
        codes = anchor.repeat(3, 1)
        codes[:, axis] = torch.tensor([-2.0, 0.0, 2.0])
        heights.append(_rows(toys, picture, space, codes))
    for axis in (2, 3, 4):
        codes = anchor.repeat(3, 1)
        codes[:, axis] = torch.tensor([-2.0, 0.0, 2.0])
        with torch.no_grad():
            image = space.decoder(codes).sigmoid()[0]
        heights += [row for row, _ in toys.places(picture, toys.enlarged(image))]
    assert len(heights) == 4, "two axes of each level"
    assert heights[0] < heights[1] < min(heights[2:])


def test_levels_of_an_anchor_are_completed_by_the_prior(space, toys, tmp_path):
    x = toys.images(30)
    _, picture = _pictures(space, x, tmp_path)
    with torch.no_grad():
        anchor = space.encode(x).mean[0]
    kept = _rows(toys, picture, space, anchor.repeat(3, 1))
    assert kept + 6 * 8 <= len(picture)
    with torch.no_grad():
        image = toys.enlarged(space.decoder(anchor[None]).sigmoid()[0])
    assert len(toys.places(picture, image)) == 3, "only the last row is the anchor"
    assert len(toys.places(picture, toys.enlarged(x[0]))) == 3, "each row begins with the observation"


def test_a_row_keeps_the_first_levels_and_draws_the_others():
    anchors, draws = torch.randn(2, 5), torch.randn(4, 5)
    codes = completed(anchors, draws, SIZES)
    assert codes.shape == (2, 3, 4, 5)
    for row, end in enumerate((0, 2, 5)):
        assert torch.equal(codes[:, row, :, :end], anchors[:, None, :end].expand(2, 4, end))
        assert torch.equal(codes[:, row, :, end:], draws[:, end:].expand(2, 4, 5 - end))


def test_axes_of_a_level_come_by_activity(space, toys):
    known = encode_probes(space, Probe(toys.images(30)), 30)
    assert known.kl is not None
    found = active_axes(known, SIZES, 2)
    assert [level for level, _ in found] == [1, 1, 2, 2]
    order = known.order.tolist()
    assert [axis for _, axis in found[:2]] == [axis for axis in order if axis < 2]
    assert [axis for _, axis in found[2:]] == [axis for axis in order if axis >= 2][:2]


def test_a_space_without_levels_has_no_such_pictures(toys, tmp_path):
    LatentTraversal(points=2, anchors=1, figures=TraversalFigures(frames=2, plane_points=2, kl_probes=8)).run(
        toys.space(), Probe(toys.images(8)), Sink(tmp_path, 1)
    )
    assert not (tmp_path / "figures" / "traversal" / "levels").exists()
