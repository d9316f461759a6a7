"""PSNR and SSIM against closed forms and a window written out."""

from math import exp, log10

import pytest
import torch

from lsgen.metrics import ImageSimilarity


def test_flat_images_have_a_closed_form() -> None:
    """Without variance SSIM is its comparison of means, and PSNR that of one number."""
    a, b = torch.full((3, 3, 12, 13), 0.5), torch.full((3, 3, 12, 13), 0.7)
    metric = ImageSimilarity()
    metric.update(a, b)
    found = metric.compute()
    assert found["psnr"].item() == pytest.approx(-10 * log10(0.04), rel=1e-5)
    assert found["ssim"].item() == pytest.approx((0.7 + 1e-4) / (0.25 + 0.49 + 1e-4), rel=1e-4)
    wide = ImageSimilarity(data_range=255)
    wide.update(255 * a, 255 * b)
    assert {key: value.item() for key, value in wide.compute().items()} == pytest.approx(
        {key: value.item() for key, value in found.items()}, rel=1e-4
    )


def test_ssim_is_that_of_a_gaussian_window_of_eleven_pixels_where_it_fits() -> None:
    a, b = torch.rand(2, 1, 1, 13, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    side = torch.tensor([exp(-(i**2) / (2 * 1.5**2)) for i in range(-5, 6)], dtype=torch.float64)
    w = torch.outer(side, side) / side.sum() ** 2
    parts = []
    for i in range(3):
        for j in range(2):
            x, y = (image[0, 0, i : i + 11, j : j + 11] for image in (a, b))
            m, n = (w * x).sum(), (w * y).sum()
            v, u, c = (w * x * x).sum() - m * m, (w * y * y).sum() - n * n, (w * x * y).sum() - m * n
            parts.append((2 * m * n + 1e-4) * (2 * c + 9e-4) / ((m * m + n * n + 1e-4) * (v + u + 9e-4)))
    metric = ImageSimilarity()
    metric.update(a, b)
    assert metric.compute()["ssim"].item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-4)


def test_the_mean_is_that_of_the_images_and_values_beyond_the_range_are_clipped() -> None:
    a = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    b = a + torch.tensor([0.1, 0.2, 0.3, 3.0])[:, None, None, None]
    metric = ImageSimilarity(sigma=0.5)
    metric.update(a, b)
    errors = (a - b.clamp(0, 1)).square().mean((1, 2, 3))
    assert metric.compute()["psnr"].item() == pytest.approx((-10 * errors.log10()).mean().item(), rel=1e-5)


def test_what_cannot_be_compared_is_refused() -> None:
    metric = ImageSimilarity()
    for shape, said in (((2, 10, 20), r"one shape \(N, C, H, W\)"), ((2, 1, 10, 20), "at least 11 x 11 .* 10 x 20")):
        with pytest.raises(ValueError, match=said):
            metric.update(torch.rand(shape), torch.rand(shape))
    with pytest.raises(ValueError, match=r"above 0, got 1\.0 and 0"):
        ImageSimilarity(sigma=0)
