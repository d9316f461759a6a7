"""Sprites in colours, with noise and over a painting, held against the sprites themselves."""

import numpy as np
import pytest
import torch
from PIL import Image

from lsgen.data import ColouredSprites, Request
from lsgen.data.factors.sprites import render

FEW = {"train_size": 40, "val_size": 50, "test_size": 60}


def of(data, split="val", epoch=0):
    """Return images, and the sprites in them."""
    dataset = data.dataset(split)
    batch = dataset[Request(torch.arange(len(dataset)), epoch)]
    assert torch.equal(batch["label"], batch["factors"][:, 0])
    return batch["x"], render(batch["factors"])


def test_one_colour_for_an_image():
    x, sprites = of(ColouredSprites(**FEW))
    colours = x.amax((2, 3), keepdim=True)
    torch.testing.assert_close(x, sprites * colours)
    assert ((colours >= 0.5) & (colours <= 1)).all()
    assert colours.mean() == pytest.approx(0.75, abs=5 * 0.5 / (12 * 150) ** 0.5)


def test_noise_behind_the_sprites():
    x, sprites = of(ColouredSprites(variant="noise", **FEW))
    behind = x[(sprites == 0).expand_as(x)]
    assert (x[(sprites == 1).expand_as(x)] == 1).all()
    n = len(behind)
    assert behind.mean().item() == pytest.approx(0.5, abs=5 / (12 * n) ** 0.5)
    assert behind.var().item() == pytest.approx(1 / 12, abs=5 / (180 * n) ** 0.5)


def test_a_painting_is_inverted_where_the_sprite_is(tmp_path):
    """Differences between the pixels of a patch are half of those of the painting."""
    steps = np.add.outer(np.arange(70), 2 * np.arange(80))
    Image.fromarray(np.stack([steps, 250 - steps, np.full_like(steps, 7)], 2).astype(np.uint8)).save(tmp_path / "a.png")
    x, sprites = of(ColouredSprites(variant="scream", picture=str(tmp_path / "a.png"), **FEW))
    background = torch.where(sprites == 1, 1 - x, x)
    torch.testing.assert_close(
        background.diff(dim=2),
        torch.tensor([0.5, -0.5, 0]).view(3, 1, 1).expand(50, 3, 63, 64) / 255,
        atol=1e-6,
        rtol=0,
    )
    torch.testing.assert_close(
        background.diff(dim=3),
        torch.tensor([1.0, -1.0, 0]).view(3, 1, 1).expand(50, 3, 64, 63) / 255,
        atol=1e-6,
        rtol=0,
    )
    corners = background[:, :2, 0, 0].sum(1)  # (250/255 + c1 + c2) / 2 whatever the patch
    assert len(corners.unique()) == 50


def test_draws_are_new_in_every_epoch_of_training_alone():
    data = ColouredSprites(variant="colour", **FEW)
    assert not torch.equal(of(data, "train", 0)[0], of(data, "train", 1)[0])
    assert torch.equal(of(data, "train", 1)[0], of(ColouredSprites(**FEW), "train", 1)[0])
    assert not torch.equal(of(data, "train", 1)[0], of(ColouredSprites(seed=1, **FEW), "train", 1)[0])
    assert torch.equal(of(data, "val", 0)[0], of(ColouredSprites(seed=1, **FEW), "val", 1)[0])


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'expected variant "colour", "noise" or "scream", got \'grey\''):
        ColouredSprites(variant="grey")
    with pytest.raises(ValueError, match=r'expected a picture for the variant "scream" and for no other, got None'):
        ColouredSprites(variant="scream")
    with pytest.raises(
        FileNotFoundError, match=r"expected the painting data at .*, found nothing: data.picture names it"
    ):
        ColouredSprites(variant="scream", picture=str(tmp_path / "none.jpg"))
    Image.new("RGB", (64, 90)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="expected more than 64 x 64 pixels, got 64 x 90"):
        ColouredSprites(variant="scream", picture=str(tmp_path / "small.png"), **FEW).dataset("val")
