"""How observations are drawn is decided by their likelihood."""

import numpy as np
import torch
from torch import nn

from lsgen import viz
from lsgen.callbacks.rendering.drawings import Many, NumberDrawing, Waves, WordDrawing, drawing, drawing_of, typical
from lsgen.latent.multimodal.views import ViewSpace
from lsgen.likelihoods import (
    Bernoulli,
    Categorical,
    FixedGaussian,
    IndependentTokens,
    Packing,
    Poisson,
    modalities_likelihood,
)
from lsgen.likelihoods.text.vocabulary import Vocabulary

MAGENTA = (214, 0, 147)


def test_images_and_profiles_are_drawn_between_the_values_of_the_data():
    x = torch.rand(6, 1, 8, 8) * 7 - 2
    draw = drawing(FixedGaussian((1, 8, 8)), x)
    assert isinstance(draw, NumberDrawing)
    assert draw.bounds == (float(x.min()), float(x.max()))
    np.testing.assert_array_equal(draw(x.unflatten(0, (2, 3))), viz.to_pixels(x, 3, draw.bounds).reshape(2, 3, 8, 8, 3))
    np.testing.assert_array_equal(drawing(FixedGaussian((1, 8, 8)), x, (0.0, 2.0))(x), viz.to_pixels(x, 3, (0.0, 2.0)))
    assert drawing(Bernoulli((1, 8, 8)), torch.full((2, 1, 8, 8), torch.nan)).bounds == (0, 1)


def test_long_continuous_vectors_are_waveforms_and_counts_are_not():
    time = torch.arange(2048) / 2048
    tone = (time * torch.sin(400 * time))[None]
    draw = drawing(FixedGaussian((2048,)), tone)
    assert isinstance(draw, Waves)
    cell = draw(tone)[0]
    assert cell.shape == (48, 128, 3)
    height = (cell[..., 0] == 255).sum(0) / 47  # of the range (-1, 1)
    expected = [float(part.max() - part.min()) / 2 for part in tone[0].split(16)]
    np.testing.assert_allclose(height, expected, atol=2 / 47)
    for other in (Poisson((2048,)), FixedGaussian((255,)), FixedGaussian((1, 1, 2048))):
        assert type(drawing(other, torch.zeros(1, *other.shape))) is NumberDrawing


def test_the_number_of_a_class_is_written():
    x = torch.tensor([[3.0], [9.0], [torch.nan], [3.0]])
    cells = drawing(Categorical((1,), 10, high=9), x)(x)
    assert (cells[0] == cells[3]).all()
    assert not (cells[0] == cells[1]).all()
    np.testing.assert_array_equal(cells[:2], viz.composed([], [viz.written(["3", "9"], 120, 1)]))
    assert (cells[2] == MAGENTA).all(-1).any(1).sum() == viz.written([""], 120, 1).shape[1]
    assert type(drawing(Categorical((1,), 256), x[:2])) is NumberDrawing  # a grey level


def test_several_modalities_have_a_cell_each():
    packing = Packing({"picture": (1, 8, 8), "name": (2,)})
    names = {"1 0": "a ship", "2 0": "an aeroplane"}

    def said(rows):
        return [names[f"{int(a)} {int(b)}"] for a, b in rows]

    draw = Many(packing, {"picture": NumberDrawing(3, (0.0, 1.0)), "name": WordDrawing(said, 1, list(names.values()))})
    picture, name = torch.rand(2, 1, 8, 8), torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    cells = draw(packing.pack({"picture": picture, "name": name})[None])
    assert cells.shape[:2] == (1, 2)
    enlarged = viz.to_pixels(picture, 3).repeat(6, 1).repeat(6, 2)
    words = viz.written(list(names.values()), 84, 1)
    assert cells.shape[2:4] == (48 + 1 + words.shape[1], 84)
    np.testing.assert_array_equal(cells[0, :, :48, 18:66], enlarged)
    np.testing.assert_array_equal(cells[0, :, 49:], words)
    lost = draw(packing.pack({"picture": torch.full((2, 1, 8, 8), torch.nan), "name": name}))
    assert (lost[:, :48, 18:66] == MAGENTA).all()
    np.testing.assert_array_equal(lost[:, 49:], words)


def test_likelihoods_of_several_modalities_are_drawn_part_by_part_with_ranges_of_their_own():
    parts = {"picture": Bernoulli((1, 8, 8)), "wave": FixedGaussian((512,)), "class": Categorical((1,), 4, high=3)}
    likelihood = modalities_likelihood(parts)
    own = {"picture": torch.rand(5, 1, 8, 8), "wave": 9 * torch.randn(5, 512), "class": torch.arange(5)[:, None] % 4}
    x = likelihood.packing.pack(own)
    draw = drawing(likelihood, x)
    assert isinstance(draw, Many)
    bounds = {name: part.bounds for name, part in draw.parts.items() if isinstance(part, NumberDrawing)}
    assert bounds == {"picture": (0, 1), "wave": (float(own["wave"].min()), float(own["wave"].max()))}
    pictures = [viz.to_pixels(own["picture"], 3), viz.waveforms(own["wave"], bounds["wave"])]
    width = viz.composed(pictures).shape[2]
    words = viz.written([str(number) for number in (0, 1, 2, 3, 0)], width, 1)
    np.testing.assert_array_equal(draw(x), viz.composed(pictures, [words]))


def test_classes_are_told_by_the_most_probable_one():
    likelihood = modalities_likelihood({"level": Categorical((1,), 4), "class": Categorical((1,), 4, high=3)})
    p = torch.tensor([0.4, 0.0, 0.25, 0.35]) + 1e-9
    h = p.log().repeat(2)[None]
    level, number = typical(likelihood, likelihood(h))[0].tolist()
    assert number == 0
    assert abs(level - (0.25 * 2 / 3 + 0.35)) < 1e-5


def test_sentences_are_written_with_their_words():
    likelihood = modalities_likelihood({"caption": IndependentTokens((3,), 4), "picture": Bernoulli((1, 8, 8))})
    likelihood.parts["caption"].name(["<end>", "a", "red", "square"])
    x = torch.cat([torch.tensor([[1.0, 2, 3], [1, 3, 0]]), torch.rand(2, 64)], 1)
    cells = drawing(likelihood, x)(x)
    words = viz.written(["a red square", "a square"], 84, 1)
    np.testing.assert_array_equal(cells[:, 49:], words)
    np.testing.assert_array_equal(
        cells[:, :48, 18:66], viz.to_pixels(x[:, 3:].view(2, 1, 8, 8), 3).repeat(6, 1).repeat(6, 2)
    )


def test_views_of_an_encoder_are_drawn_as_the_parts_that_they_are():
    packing = Packing({"image": (1, 8, 8), "caption": (2,)})
    encoders = {"image": nn.Flatten(), "caption": nn.Linear(2, 64)}
    space = ViewSpace(encoders, packing, 64)
    space.name_words({"caption": Vocabulary(("<end>", "ship", "fast"))})
    own = {"image": torch.rand(3, 1, 8, 8), "caption": torch.tensor([[1.0, 0], [2, 1], [1, 0]])}
    x = packing.pack(own)
    cells = drawing_of(space, x)(x)
    np.testing.assert_array_equal(cells[:, 49:], viz.written(["ship", "fast ship", "ship"], 84, 1))
    np.testing.assert_array_equal(cells[:, :48, 18:66], viz.to_pixels(own["image"], 3).repeat(6, 1).repeat(6, 2))
