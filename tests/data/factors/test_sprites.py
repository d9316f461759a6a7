"""Sprites against what their factors mean: positions, sizes, angles, symmetries."""

from math import pi

import pytest
import torch

from lsgen.data.factors.sprites import FACTOR_SIZES, Sprites, factors_of, render
from lsgen.data.loading import Loading


def grid(shape=(0, 1, 2), scale=(5,), orientation=(0,), x=(15,), y=(15,)):
    return torch.cartesian_prod(*(torch.tensor(values) for values in (shape, scale, orientation, x, y)))


def moments(images):
    """Return area (N,), centroid (N, 2) in (x, y), and central second moments (N, 2, 2)."""
    images = images.double().squeeze(1)
    ticks = torch.arange(64, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1).view(-1, 2)
    weights = images.flatten(1)
    area = weights.sum(1)
    centroid = weights @ points / area[:, None]
    offset = points - centroid[:, None]
    second = torch.einsum("np,npi,npj->nij", weights, offset, offset) / area[:, None, None]
    return area, centroid, second


def test_images_are_binary_and_all_distinct_up_to_symmetry():
    factors = grid(scale=range(6), orientation=range(40))
    images = render(factors)
    assert images.shape == (720, 1, 64, 64)
    assert images.dtype == torch.float32
    assert set(images.unique().tolist()) == {0.0, 1.0}
    for shape, period in ((0, 10), (1, 20), (2, 40)):
        distinct = images[factors[:, 0] == shape].flatten(1).unique(dim=0)
        assert len(distinct) == 6 * period


@pytest.mark.parametrize(("shape", "period"), [(0, 10), (1, 20)])
def test_symmetric_shapes_repeat(shape, period):
    turned = render(grid((shape,), range(6), range(40))).view(6, 40, 64, 64)
    assert torch.equal(turned, turned.roll(period, dims=1))


def test_a_quarter_turn_turns_the_picture():
    # 31 + 2 x 16.5 = 64: at posX + posY = 31 the centre of a sprite is that of the picture, up to half a pixel.
    heart = render(grid((2,), (5,), range(40)))[:, 0, 15:48, 15:48]
    difference = (heart.roll(-10, dims=0) - heart.rot90(-1, dims=(1, 2))).abs().flatten(1).sum(1)
    assert (difference <= 0.02 * heart.flatten(1).sum(1)).all()


def test_sprites_are_never_clipped():
    corners = grid(scale=range(6), orientation=range(40), x=(0, 31), y=(0, 31))
    area = render(corners).flatten(1).sum(1)
    middle = corners.clone()
    middle[:, 3:] = 15
    assert torch.equal(area, render(middle).flatten(1).sum(1))


def test_centroid_is_linear_in_both_positions():
    factors = grid(scale=(0, 5), orientation=(0, 7), x=range(0, 32, 3), y=range(0, 32, 3))
    _, centroid, _ = moments(render(factors))
    residue = (centroid - factors[:, 3:]).view(12, -1, 2)
    torch.testing.assert_close(residue, residue[:, :1].expand_as(residue), atol=1e-12, rtol=0)


def test_the_centre_of_rotation_is_the_centroid():
    # Within a third of a pixel, which thresholding may cost.
    _, centroid, _ = moments(render(grid(scale=range(6), orientation=range(40))))
    torch.testing.assert_close(centroid, torch.full_like(centroid, 15 + 16.0), atol=0.34, rtol=0)


def test_area_grows_with_the_square_of_scale():
    area, _, _ = moments(render(grid(scale=range(6), orientation=range(40))))
    area = area.view(3, 6, 40)
    assert (area.diff(dim=1) > 0).all()
    scale = torch.linspace(0.5, 1, 6, dtype=torch.float64)
    # Largest distance from the centroid 1: a square of side sqrt 2, an ellipse of half axes 1 and 1/2, and a heart made
    # of a square of side sqrt 2 and two half discs of radius r = 1/sqrt 2, scaled by the distance of its tip.
    r = 0.5**0.5
    tip = 1 + (pi / 2) * (r + 4 * r / (3 * pi)) * r / (2 + pi / 2)
    bodies = torch.tensor([2.0, pi / 2, (2 + pi / 2) / tip**2], dtype=torch.float64)
    expected = bodies[:, None] * (16 * scale) ** 2
    # One per cent of the largest area, and the pixels that a boundary of this length cuts, for small ones.
    torch.testing.assert_close(area.mean(2), expected, atol=4, rtol=0.01)


def test_small_images_are_those_of_quadrants_and_tell_all_positions_apart():
    factors = grid(scale=range(6), orientation=range(0, 10, 3), x=range(32), y=(7,))
    small = render(factors, 32)
    quarters = render(factors).unflatten(3, (32, 2)).unflatten(2, (32, 2)).sum((3, 5))
    assert torch.equal(small, (quarters >= 2).float())
    assert len(small.flatten(1).unique(dim=0)) == len(factors)
    with pytest.raises(ValueError, match="sprites of 64 or 32 pixels a side, got 16"):
        render(factors, 16)


def test_orientation_is_the_angle_of_the_long_axis():
    _, _, second = moments(render(grid((1,), (5,), range(20))))
    angle = torch.atan2(2 * second[:, 0, 1], second[:, 0, 0] - second[:, 1, 1]) / 2
    expected = torch.arange(20, dtype=torch.float64) * (2 * pi / 40)
    difference = torch.remainder(angle - expected + pi / 2, pi) - pi / 2
    assert difference.abs().max() < 0.03


def test_numbers_and_factors_agree():
    index = torch.arange(0, 737_280, 997)
    factors = factors_of(index)
    weights = torch.tensor([6 * 40 * 1024, 40 * 1024, 1024, 32, 1])
    assert torch.equal((factors * weights).sum(1), index)


def test_memory_is_that_of_one_padded_bank():
    from lsgen.data.factors.sprites import _images

    view = _images(torch.device("cpu"))
    assert view.shape == (720, 32, 32, 64, 64)
    assert view.untyped_storage().nbytes() < 50e6


@pytest.mark.parametrize("size", [64, 32])
def test_factors_of_a_batch_draw_its_images(size):
    data = Sprites((1, size, size), batch_size=50, train_size=200, pairs=1)
    batch = next(iter(data.train_dataloader()))
    assert batch["pair"].shape == batch["x"].shape == (50, 1, size, size)
    assert torch.equal(render(batch["factors"], size), batch["x"])
    assert torch.equal(batch["factors"][:, 0], batch["label"])


def test_splits_cover_the_grid_without_images():
    data = Sprites()
    rows = torch.cat([data.dataset(split).rows for split in ("train", "val", "test")])
    assert len(rows.unique()) == len(rows) == 737_280
    assert data.factor_sizes == FACTOR_SIZES
    assert len(data.factor_names) == 5


def test_what_is_held_out_does_not_depend_on_the_size_of_training_or_on_the_seed():
    whole, small = Sprites(), Sprites(train_size=500, seed=8)
    assert torch.equal(whole.dataset("test").rows, small.dataset("test").rows)
    assert len(small.dataset("train")) == 500
    assert not torch.equal(Sprites(loading=Loading(split_seed=1)).dataset("test").rows, whole.dataset("test").rows)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.zeros(5, dtype=torch.int64), r"shape \(N, 5\), got torch.int64 of shape \(5,\)"),
        (torch.zeros(2, 5), "integer factors .* got torch.float32"),
        (torch.tensor([[3, 0, 0, 0, 0]]), r"from 0 to below \(3, 6, 40, 32, 32\), got values between \[3, 0"),
        (torch.tensor([[0, 0, 0, -1, 0]]), "got values between"),
    ],
)
def test_bad_factors_are_refused(factors, message):
    with pytest.raises(ValueError, match=message):
        render(factors)
