"""The pipeline of adaptive augmentation against matrices, exact moves of pixels, and frequencies."""

from math import pi

import pytest
import torch
from torch import Tensor, nn

from lsgen.nn.adversarial.augment import AdaptiveAugment
from lsgen.nn.adversarial.augment_pipe import AugmentPipe

X = torch.rand(48, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _reflected(image: Tensor, down: int, right: int) -> Tensor:
    """Return an image shifted by whole pixels, mirrored at its border."""
    wide = torch.cat([image.flip(1), image, image.flip(1)], 1)
    wide = torch.cat([wide.flip(2), wide, wide.flip(2)], 2)
    return wide[:, 16 - down : 32 - down, 16 - right : 32 - right]


def test_blits_move_whole_pixels() -> None:
    moved = AugmentPipe(["blit"])(X, 1.0)
    seen = set()
    for n in range(len(X)):
        matches = [
            (mirrored, turns, down, right)
            for mirrored in (False, True)
            for turns in range(4)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.allclose(
                moved[n],
                _reflected(torch.rot90(X[n].flip(2) if mirrored else X[n], turns, (1, 2)), down, right),
                atol=1e-9,
            )
        ]
        assert len(matches) == 1
        seen.add(matches[0][:2])
    assert len(seen) == 8


def test_colours_are_affine_and_pull_luma_and_chroma_apart() -> None:
    coloured = AugmentPipe(["colour"])(X, 1.0)
    luma, before = coloured.mean(1), X.mean(1)
    chroma, chroma_before = (x - x.mean(1, keepdim=True) for x in (coloured, X))
    for n in range(len(X)):
        design = torch.stack([before[n].flatten(), torch.ones(256, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(design, luma[n].flatten()[:, None]).solution
        torch.testing.assert_close(design @ solution, luma[n].flatten()[:, None])
        grams = [c[n].flatten(1) @ c[n].flatten(1).T for c in (chroma, chroma_before)]
        lengths = [c[n].norm(dim=0) for c in (chroma, chroma_before)]
        ratio = lengths[0] / lengths[1]
        torch.testing.assert_close(ratio, ratio[:1, :1].expand(16, 16))  # a rotation and a factor
        torch.testing.assert_close(grams[0].trace() / grams[1].trace(), ratio[0, 0] ** 2)
        pixels = [c[n, :, 0, :2] for c in (chroma, chroma_before)]
        volume = [torch.linalg.det(torch.cat([p, torch.ones(3, 1).double()], 1)) for p in pixels]
        torch.testing.assert_close(volume[0] / volume[1], ratio[0, 0] ** 2)  # it is proper


def test_grey_images_keep_one_channel() -> None:
    grey = X[:, :1]
    coloured = AugmentPipe(["colour"])(grey, 1.0)
    slope = (coloured - coloured.mean((2, 3), keepdim=True)) / (grey - grey.mean((2, 3), keepdim=True))
    torch.testing.assert_close(slope, slope[:, :, :1, :1].expand_as(slope), atol=1e-8, rtol=1e-8)
    assert (slope[:, 0, 0, 0] < 0).any()
    assert (slope[:, 0, 0, 0] > 0).any()


def test_a_linear_image_shows_the_affine_map_and_its_distribution() -> None:
    n = 2000
    u = torch.arange(33, dtype=torch.float64) - 16
    image = torch.stack([u[None].expand(33, 33), u[:, None].expand(33, 33)])
    out = AugmentPipe(["geometry"])(image.expand(n, 2, 33, 33), 1.0)[:, :, 16:18, 16:18]
    columns = torch.stack([out[:, :, 0, 1] - out[:, :, 0, 0], out[:, :, 1, 0] - out[:, :, 0, 0]], -1)
    determinants = torch.linalg.det(columns)
    inside = (out[:, :, 0, 0].abs() < 14).all(1) & (determinants > 0)  # elsewhere the border reflects it
    areas = determinants.log2() / 2  # minus the exponent of the scale
    assert inside.double().mean() > 0.99
    assert abs(areas[inside].mean()) < 5 * 0.2 / inside.sum() ** 0.5
    assert abs(areas[inside].std() / 0.2 - 1) < 0.1
    singular = torch.linalg.svdvals(columns[inside])
    stretches = (singular[:, 0] / singular[:, 1]).log2() / 2  # |N(0, 0.2^2)|
    assert abs(stretches.square().mean().sqrt() / 0.2 - 1) < 0.1
    rest = columns[inside] / torch.linalg.det(columns[inside]).sqrt()[:, None, None]
    angles = torch.atan2(rest[:, 1, 0] - rest[:, 0, 1], rest[:, 0, 0] + rest[:, 1, 1])
    assert abs((2 * angles).cos().mean()) < 5 / inside.sum() ** 0.5
    assert angles.abs().max() > 0.95 * pi


def test_every_transformation_has_the_probability() -> None:
    torch.manual_seed(0)
    x, n = X.repeat(50, 1, 1, 1), 2400
    assert torch.equal(AugmentPipe()(x, 0.0), x)
    changed = (AugmentPipe(["colour"])(x[:, :1], 0.3) != x[:, :1]).flatten(1).any(1).double().mean()
    expected = 1 - 0.7 * 0.7 * 0.85  # brightness, contrast, and the flip, half of whose draws do nothing
    assert abs(changed - expected) < 5 * (expected * (1 - expected) / n) ** 0.5


def test_rotations_together_have_the_probability() -> None:
    n, p = 4000, 0.3
    u = torch.arange(9, dtype=torch.float64) - 4
    image = torch.stack([u[None].expand(9, 9), u[:, None].expand(9, 9)]).expand(n, 2, 9, 9)
    out = AugmentPipe(["geometry"])(image, p)
    sheared = out[:, 1, 4, 5] - out[:, 1, 4, 4]
    expected = p
    assert abs((sheared.abs() > 1e-9).double().mean() - expected) < 5 * (p * (1 - p) / n) ** 0.5 + 0.02


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
@pytest.mark.parametrize(("part", "still"), [("blit", 4 / 9), ("geometry", 0.0)])
def test_both_axes_of_a_shift_happen_together(part: str, still: float, p: float) -> None:
    """The central pixel of an image of its own coordinates tells whether and where it was shifted."""
    n = 10_000
    u = torch.arange(9.0) - 4
    image = torch.stack([u[None].expand(9, 9), u[:, None].expand(9, 9)]).expand(n, 2, 9, 9)
    moved = AugmentPipe([part])(image, p)[:, :, 4, 4].abs() > 1e-5
    for share, expected in (  # U(-9/8, 9/8) pixels are rounded to none with probability `still`
        (moved.any(1), p * (1 - still**2)),
        (moved.all(1), p * (1 - still) ** 2),
    ):
        assert abs(share.double().mean() - expected) < 5 * (p * (1 - p) / n) ** 0.5


class _Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_probabilities_are_exact_for_images_of_half_precision(dtype: torch.dtype) -> None:
    n, p = 200_000, 0.0017  # uniform draws in bfloat16 are multiples of 2^-8
    x = torch.ones(n, 1, 1, 1, dtype=dtype)
    ada = AdaptiveAugment(_Negative())
    ada.p.fill_(p)
    for out, expected in ((ada(x), p), (AugmentPipe(["colour"])(x, p), 1 - (1 - p) ** 2 * (1 - p / 2))):
        assert out.dtype == dtype
        assert abs((out != x).double().mean() - expected) < 5 * (expected / n) ** 0.5 + 0.1 * p


def test_images_of_half_precision_move_as_those_of_single_precision() -> None:
    x = X.to(torch.bfloat16)
    moved = []
    for image in (x, x.float()):
        torch.manual_seed(0)
        moved.append(AugmentPipe()(image, 1.0))
    assert torch.equal(moved[0], moved[1].to(torch.bfloat16))


@pytest.mark.slow
def test_gradients_of_gradients_exist_for_penalties_on_augmented_images() -> None:
    x = X[:2, :, :4, :4].clone().requires_grad_(True)

    def augmented(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return AugmentPipe()(x, 0.9)

    assert torch.autograd.gradcheck(augmented, x)
    assert torch.autograd.gradgradcheck(lambda x: augmented(x) ** 2, x)


def test_adaptive_augmentation_uses_its_probability() -> None:
    ada = AdaptiveAugment().double()
    assert torch.equal(ada(X), X)
    ada.p.fill_(1)
    assert (ada(X) != X).flatten(1).any(1).all()


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="expected parts out of blit, geometry, colour, got wavelet"):
        AugmentPipe(["wavelet"])
    with pytest.raises(ValueError, match=r"expected square images to turn by 90 degrees, got \(8, 6\)"):
        AugmentPipe()(torch.zeros(1, 3, 8, 6))
