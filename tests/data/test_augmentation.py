"""Augmentation draws by observation and epoch, touches no other random numbers, and is refused where it contradicts."""

from itertools import islice

import pytest
import torch

from lsgen.data import AffineDistortion, Digits, Loading, RandomShift, Sprites, Table
from lsgen.data.augmentation import Augmentation, augmentation_draws


def shift(image):
    """Add one number to an image, the next of the generator."""
    return image + torch.rand(())


def test_an_image_gets_the_numbers_of_its_row_and_epoch_whatever_is_beside_it():
    x, rows = torch.zeros(6, 1, 2, 2), torch.tensor([5, 0, 3, 9, 2, 7])
    draws = augmentation_draws(3, 1, rows)
    torch.manual_seed(4)
    state, augment = torch.get_rng_state(), Augmentation([shift, shift])
    found = augment(x, draws.tolist())
    assert torch.equal(torch.get_rng_state(), state)
    assert not x.any()
    for row, image in zip(rows.tolist(), found, strict=True):
        (draw,) = augmentation_draws(3, 1, torch.tensor([row])).tolist()
        numbers = torch.rand(2, generator=torch.Generator().manual_seed(draw))
        torch.testing.assert_close(image, torch.full_like(image, numbers.sum().item()))
    assert (
        len({*draws.tolist(), *augmentation_draws(3, 2, rows).tolist(), *augmentation_draws(4, 1, rows).tolist()}) == 18
    )


def test_training_batches_alone_are_augmented_and_keep_their_entries():
    data = Digits(loading=Loading(augment=[lambda image: image + 10.0]))
    for loader, least in ((data.train_dataloader(), 10), (data.val_dataloader(), 0), (data.test_dataloader(), 0)):
        batch = data.on_after_batch_transfer(data.on_before_batch_transfer(next(iter(loader)), 0), 0)
        assert set(batch) == {"x", "label"}
        assert least <= batch["x"].min() < 10.5
        assert batch["x"].max() <= least + 1
    assert data.dataset("train")[torch.arange(3)]["x"].max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Table, r"images \(C, H, W\) for data.loading.augment, got observations \(30,\)"),
        (
            lambda loading: Digits(missing=0.5, loading=loading),
            'no data.loading.augment for Digits, .* have "observed"',
        ),
        (lambda loading: Sprites(loading=loading), 'augment for Sprites, whose batches have "factors" that augmented'),
    ],
)
def test_augmentation_is_refused_where_it_contradicts_the_batch(make, message):
    with pytest.raises(ValueError, match=message):
        make(loading=Loading(augment=[shift])).setup("fit")


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"to keep images of shape \(1, 2, 2\), got \(1, 1, 2\)"):
        Augmentation([lambda image: image[:, :1]])(torch.zeros(1, 1, 2, 2), [0])


def test_a_second_view_is_drawn_by_the_row_and_the_epoch():
    """Noise of either view is independent of the other, the same after a resume, and the same in every validation."""
    data = Digits(batch_size=32, loading=Loading(augment=[lambda image: torch.rand_like(image)], views=2))

    def batches(loader):
        return [data.on_after_batch_transfer(data.on_before_batch_transfer(one, 0), 0) for one in islice(loader, 2)]

    first, again = batches(data.train_dataloader()), batches(data.train_dataloader())
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["x"], other["x"])
        assert torch.equal(one["pair"], other["pair"])
    views = torch.stack([torch.cat([one[name] for one in first]).flatten() for name in ("x", "pair")])
    assert abs(torch.corrcoef(views)[0, 1]) < 4 / views.shape[1] ** 0.5
    later = data.train_dataloader()
    later.sampler.set_epoch(1)
    assert not torch.equal(next(iter(batches(later)))["pair"][:32], first[0]["pair"])
    val = batches(data.val_dataloader())
    assert torch.equal(val[0]["pair"], batches(data.val_dataloader())[0]["pair"])
    assert not torch.equal(val[0]["pair"], val[0]["x"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"views": 3}, "data.loading.views of 1, or 2 with data.loading.augment, got 3"),
        ({"views": 2}, "data.loading.views of 1, or 2 with data.loading.augment, got 2 without"),
        ({"per_class": 1}, "data.loading.per_class of at least 2, which makes pairs, got 1"),
    ],
)
def test_views_and_members_that_make_no_pairs_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Loading(**options)


def test_distortions_are_the_affine_maps_that_they_say():
    """No distortion is none; a turn keeps the middle; the map of the grid is that of rotation, shear and scale."""
    x = torch.rand(1, 7, 7)
    nothing = AffineDistortion(probability=0.0)
    torch.testing.assert_close(nothing(x), x)
    zero = AffineDistortion(0.0, 0.0, 0.0, 0.0, 1.0)
    torch.testing.assert_close(zero(x), x)
    torch.manual_seed(1)
    found = AffineDistortion(30.0, 0.2, 0.2, 0.1, 1.0)(x)
    torch.manual_seed(1)
    draws = (2 * torch.rand(7) - 1).double() * torch.tensor([torch.pi / 6, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]).double()
    turn, (a, b), scale, shift = draws[0], draws[1:3], 1 + draws[3:5], draws[5:]
    rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()]).reshape(2, 2)
    matrix = rotation @ torch.tensor([[1.0, a], [b, 1.0]], dtype=torch.float64) @ scale.diag()
    grid = torch.nn.functional.affine_grid(
        torch.cat([matrix, shift[:, None]], 1)[None].float(), [1, 1, 7, 7], align_corners=False
    )
    torch.testing.assert_close(found, torch.nn.functional.grid_sample(x[None], grid, align_corners=False)[0])
    inside = torch.nn.functional.pad(torch.ones(1, 1, 1), (3, 3, 3, 3))
    torch.testing.assert_close(AffineDistortion(45.0, 0.0, 0.0, 0.0, 1.0)(inside)[0, 3, 3], torch.ones(()))
    torch.manual_seed(0)
    sides = {int(RandomShift([-2, 2])(inside)[0, 3].argmax()) for _ in range(20)}
    assert sides == {1, 5}
    for refused in ({"scale": 1.0}, {"degrees": -1.0}, {"probability": 2.0}):
        with pytest.raises(ValueError, match="expected numbers of at least 0, a scale below 1 and a probability"):
            AffineDistortion(**refused)
    with pytest.raises(ValueError, match="expected at least one number of pixels"):
        RandomShift([])
