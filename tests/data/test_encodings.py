"""Random draws are uniform, reproducible and independent; encodings have the laws that their names promise."""

from math import sqrt

import pytest
import torch
from scipy import stats

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import key, stream, uniform
from lsgen.data.encodings import AsStored, Binarise, Dequantise, Grey, Standardise, Values, image_encoding
from lsgen.data.sampler import Request

ROWS = torch.arange(2000)


def noise(*path):
    return lambda size: uniform(key(*path), ROWS, size)


def test_draws_are_uniform_and_uncorrelated():
    u = uniform(key(0, 1, 2), ROWS, 50).double()
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3
    other = uniform(key(0, 1, 3), ROWS, 50).double()
    for a, b in ((u, other), (u[:, :-1], u[:, 1:]), (u[:-1], u[1:])):
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(correlation) < 4 / sqrt(a.numel())


def test_a_draw_depends_on_its_row_and_column_alone():
    u = uniform(key(5), ROWS, 7)
    rows = torch.tensor([1999, 3, 3, 0])
    assert torch.equal(uniform(key(5), rows, 7), u[rows])


def test_keys_and_streams_differ_in_every_entry_and_repeat():
    keys = {key(seed, purpose, epoch) for seed in range(6) for purpose in range(6) for epoch in range(6)}
    assert len(keys) == 6**3
    assert torch.equal(torch.rand(3, generator=stream(1, 2)), torch.rand(3, generator=stream(1, 2)))
    assert not torch.equal(torch.rand(3, generator=stream(1, 2)), torch.rand(3, generator=stream(2, 1)))


def levels(top, dtype=torch.uint8):
    return torch.randint(0, top + 1, (2000, 1, 4, 4), generator=stream(0), dtype=torch.int64).to(dtype)


def test_grey_levels_are_equidistant():
    v = levels(16)
    x = Grey(17)(v, noise(0))
    assert torch.equal((x * 16).round(), v.float())
    assert (x.min(), x.max()) == (0, 1)


def test_dequantised_values_fill_their_level_and_no_other():
    v = levels(255)
    x = Dequantise(256)(v, noise(0))
    assert torch.equal(torch.floor(x.double() * 256), v.double())
    assert stats.kstest((x.double() * 256 - v).flatten().numpy(), "uniform").pvalue > 1e-3


def test_dequantised_values_are_inside_the_unit_interval_whatever_is_drawn():
    v = torch.tensor([[0.0, 255.0]])
    for draw in (0.0, 1 - 2.0**-24):
        x = Dequantise(256)(v, lambda d, draw=draw: torch.full((1, d), draw))
        assert bool(((x > 0) & (x < 1)).all())


def test_dequantisation_never_reaches_the_next_level():
    top = torch.full((2000, 1, 4, 4), 255, dtype=torch.uint8)
    almost_one = lambda size: torch.full((2000, size), 1 - 2.0**-24)
    x = Dequantise(256)(top, almost_one)
    assert (x < 1).all()


def test_threshold_splits_levels_in_the_middle():
    v = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
    x = Binarise(256, "threshold")(v, noise(0)).flatten()
    assert torch.equal(x, (torch.arange(256) >= 127.5).float())


def test_stochastic_binarisation_has_the_grey_value_as_its_mean():
    grey = torch.arange(0, 256, 15, dtype=torch.uint8)
    v = grey.repeat(2000, 1).view(2000, 1, 1, -1)
    x = Binarise(256, "static")(v, noise(0)).view(2000, -1).double()
    p = grey.double() / 255
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert ((x.mean(0) - p).abs() <= 4 * torch.sqrt(p * (1 - p) / 2000)).all()


def dataset(encoding, seed=0, redrawn=True, **options):
    source = TensorSource(x=levels(255), label=torch.arange(2000))
    return BatchDataset(source, torch.arange(2000), encoding, seed, redrawn and encoding.redrawn, **options)


@pytest.mark.parametrize(("mode", "changes"), [("static", False), ("dynamic", True), ("threshold", False)])
def test_only_dynamic_binarisation_changes_with_the_epoch(mode, changes):
    data = dataset(Binarise(256, mode))
    everything = torch.arange(2000)
    first, again, later = (data[Request(everything, epoch)]["x"] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(first, later) != changes


def test_held_out_draws_are_fixed_and_do_not_depend_on_the_batch():
    data = dataset(Dequantise(256), redrawn=False)
    whole = data[torch.arange(2000)]["x"]
    assert torch.equal(data[Request(torch.arange(2000), 3)]["x"], whole)
    assert torch.equal(data[torch.tensor([7, 1999])]["x"], whole[[7, 1999]])


def test_flips_mirror_half_of_the_images_in_every_epoch_anew():
    data, plain = dataset(Grey(256), flip=True), dataset(Grey(256))[ROWS]["x"]
    first, later = data[Request(ROWS, 0)]["x"], data[Request(ROWS, 1)]["x"]
    mirrored = (first == plain.flip(-1)).flatten(1).all(1)
    assert ((first == plain).flatten(1).all(1) | mirrored).all()
    assert abs(mirrored.double().mean() - 0.5) < 4 * 0.5 / sqrt(2000)
    assert not torch.equal(first, later)


def test_values_say_what_bits_per_dimension_need():
    known = [Values(2), Values(256), Values(256, dequantised=True), Values(None)]
    assert [values.kind for values in known] == ["binary", "grey levels", "dequantised", "continuous"]
    assert [values.discrete for values in known] == [True, True, False, False]


def test_options_are_checked():
    with pytest.raises(ValueError, match='"none", "threshold", "static" or "dynamic", got \'sometimes\''):
        image_encoding(256, False, "sometimes")
    with pytest.raises(ValueError, match=r'dequantise: false or binarise: none, got dequantise: true and .* "static"'):
        image_encoding(256, True, "static")
    assert isinstance(image_encoding(256, False), Grey)
    assert isinstance(image_encoding(256, True), Dequantise)


def test_continuous_values_pass_unchanged():
    x = torch.randn(2000, 2, generator=stream(0))
    assert torch.equal(AsStored(None)(x, noise(0)), x)


def test_the_rounding_of_a_mean_is_no_variation():
    """The mean of many times 0.1 is not 0.1, and its distance would become 1."""
    constant = torch.full((1000, 1), 0.1, dtype=torch.float64)
    standardise = Standardise()
    standardise.fit(lambda: constant.split(300))
    assert standardise.scale.item() == 1
    assert standardise(torch.tensor([[0.2]]), None).item() == pytest.approx(0.1)
