"""Augmentation draws by observation and epoch, touches no other random numbers, and is refused where it contradicts."""

import pytest
import torch

from lsgen.data import Digits, Loading, Sprites, Table
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
