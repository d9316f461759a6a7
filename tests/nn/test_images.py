"""Networks for images: shapes, what passes through them, and what stays put."""

import pytest
import torch
from torch import nn

from lsgen.nn import (
    ConvDecoder,
    ConvEncoder,
    GridDecoder,
    GridEncoder,
    ResNetDecoder,
    ResNetEncoder,
    WAEDecoder,
    WAEEncoder,
)

PAIRS = [(ConvEncoder, ConvDecoder), (ResNetEncoder, ResNetDecoder)]


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize(("shape", "channels"), [((1, 28, 28), (8, 16)), ((3, 32, 32), (8, 12, 16))])
def test_shapes_mirror_each_other(
    encoder: type, decoder: type, shape: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    assert encoder(shape, 5, channels)(torch.rand(2, *shape)).shape == (2, 10)
    assert decoder(5, shape, channels, heads=2)(torch.zeros(2, 5)).shape == (2, 2 * shape[0], *shape[1:])


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_observations_do_not_see_each_other(encoder: type, decoder: type) -> None:
    torch.manual_seed(0)
    net, back = encoder((1, 28, 28), 3, (8, 16)), decoder(3, (1, 28, 28), (8, 16))
    x, z = torch.rand(4, 1, 28, 28), torch.randn(4, 3)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back(z)[1:2], back(z[1:2]), rtol=1e-4, atol=1e-5)
    trained = back(z)
    torch.testing.assert_close(back.eval()(z), trained)


def test_residual_blocks_begin_as_the_identity() -> None:
    torch.manual_seed(0)
    net = ResNetDecoder(3, (1, 8, 8), (8,), blocks=3)
    plain = ResNetDecoder(3, (1, 8, 8), (8,), blocks=0)
    plain.load_state_dict({key: value for key, value in _without_blocks(net).items() if key in plain.state_dict()})
    z = torch.randn(2, 3)
    torch.testing.assert_close(net(z), plain(z))


def _without_blocks(net: nn.Module) -> dict[str, torch.Tensor]:
    """Rename layers.4 and layers.6 of a decoder of three blocks to those of one without."""
    state = net.state_dict()
    moved = {"layers.4": "layers.1", "layers.6": "layers.3"}
    kept = {key: value for key, value in state.items() if not key.startswith("layers")}
    for old, new in moved.items():
        kept |= {key.replace(old, new): value for key, value in state.items() if key.startswith(old)}
    return kept


def test_grid_codes_list_the_vectors_of_the_places() -> None:
    torch.manual_seed(0)
    encoder = GridEncoder((1, 16, 16), 4 * 4 * 3, width=8)
    x = torch.rand(2, 1, 16, 16)
    grid = encoder.layers(x)
    vectors = encoder(x).unflatten(1, (4, 4, 3))
    torch.testing.assert_close(vectors[1, 2, 3], grid[1, :, 2, 3])
    decoder = GridDecoder(4 * 4 * 3, (1, 16, 16), width=8, heads=2)
    assert decoder(encoder(x)).shape == (2, 2, 16, 16)


def test_a_place_of_the_grid_moves_its_part_of_the_image() -> None:
    torch.manual_seed(0)
    decoder = GridDecoder(8 * 8 * 2, (1, 32, 32), width=4)
    z = torch.zeros(1, 8, 8, 2)
    moved = z.clone()
    moved[0, 0, 0] = 1.0
    difference = (decoder(moved.flatten(1)) - decoder(z.flatten(1))).abs()[0, 0]
    assert difference[:4, :4].max() > 0
    assert difference[20:, 20:].max() == 0


def test_images_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"with S a multiple of 8, got \(1, 28, 28\)"):
        ConvEncoder((1, 28, 28), 3, (8, 16, 32))
    with pytest.raises(ValueError, match="multiple of 4 x 4 = 16, got 20"):
        GridDecoder(20, (1, 16, 16))


def test_the_networks_of_a_wae_have_the_layers_of_its_authors() -> None:
    """On CelebA: 128, 256, 512 and 1024 channels of 5 x 5 filters, 64 codes; back from 8 x 8 by one layer less."""
    filters = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    encoder = filters + 2 * (128 + 256 + 512 + 1024) + (1024 * 16 + 1) * 64
    filters = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    decoder = (64 + 1) * 1024 * 64 + filters + 2 * (512 + 256 + 128) + 3
    with torch.device("meta"):
        nets = WAEEncoder((3, 64, 64), 64, 1024, heads=1), WAEDecoder(64, (3, 64, 64), 1024)
    assert [sum(p.numel() for p in net.parameters()) for net in nets] == [encoder, decoder]


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_a_wae_goes_down_and_up_again_and_ends_between_0_and_1(layers: int) -> None:
    torch.manual_seed(0)
    code = WAEEncoder((3, 32, 32), 5, 8, layers)(torch.rand(4, 3, 32, 32))
    assert code.shape == (4, 10)
    bounded, raw = (WAEDecoder(10, (3, 32, 32), 8, layers, 2, bounded=one) for one in (True, False))
    raw.load_state_dict(bounded.state_dict())
    out = bounded(100 * code)
    assert out.shape == (4, 6, 32, 32)
    torch.testing.assert_close(out, raw(100 * code).sigmoid())


def test_images_that_do_not_halve_so_often_are_refused_by_a_wae() -> None:
    for build in (lambda: WAEEncoder((1, 8, 8), 2, 8), lambda: WAEDecoder(2, (1, 8, 8), 8)):
        with pytest.raises(ValueError, match="with S a multiple of 16, got"):
            build()
