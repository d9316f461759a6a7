r"""Peak signal-to-noise ratio and structural similarity of images and their reconstructions.

    PSNR = 10 log10( L^2 / mean (x - x')^2 )                                                            in decibels
    SSIM = mean ( (2 m m' + c_1)(2 s_xx' + c_2) / ((m^2 + m'^2 + c_1)(s_x^2 + s_x'^2 + c_2)) )

of every image, averaged over the images. L is the range of the data; m, s^2 are moments under a Gaussian window of
standard deviation 1.5 pixels, 11 x 11, at all places where it fits; c_1 = (0.01 L)^2, c_2 = (0.03 L)^2.

Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004),
https://doi.org/10.1109/TIP.2003.819861. Both are computed by torchmetrics.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

__all__ = ["ImageSimilarity", "window"]


def window(sigma: float) -> int:
    """Return the width of the window of SSIM in pixels."""
    return 2 * int(3.5 * sigma + 0.5) + 1


class ImageSimilarity(Metric):
    """PSNR, in decibels, and SSIM of pairs of images, averaged over the pairs.

    Values beyond [0, data_range] are clipped. The PSNR of equal images is infinite, and so is a mean with one of them.

    Args:
        data_range: greatest possible value L of a pixel; the smallest is 0.
        sigma: standard deviation of the window of SSIM, in pixels; 1.5 in the paper.

    Raises:
        ValueError: data_range or sigma is not positive; on `update`, there are no images of one shape, or they are
            smaller than the window.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    pairs: Tensor
    psnr: Tensor
    ssim: Tensor

    def __init__(self, data_range: float = 1.0, sigma: float = 1.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (data_range > 0 and sigma > 0):
            raise ValueError(f"expected data_range and sigma above 0, got {data_range} and {sigma}")
        self.data_range, self.sigma = float(data_range), float(sigma)
        self.add_state("pairs", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        for name in ("psnr", "ssim"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, image: Tensor, reconstruction: Tensor) -> None:
        """Add images (N, C, H, W) and their reconstructions, of the same shape."""
        if image.ndim != 4 or image.shape != reconstruction.shape:
            got = f"{tuple(image.shape)} and {tuple(reconstruction.shape)}"
            raise ValueError(f"expected images of one shape (N, C, H, W), got {got}")
        if min(image.shape[2:]) < (least := window(self.sigma)):
            raise ValueError(
                f"expected images of at least {least} x {least} pixels, the window of SSIM, "
                f"got {image.shape[2]} x {image.shape[3]}"
            )
        a, b = (x.double().clamp(0, self.data_range) for x in (image, reconstruction))
        psnr = peak_signal_noise_ratio(b, a, self.data_range, reduction="none", dim=(1, 2, 3))
        options = {"sigma": self.sigma, "data_range": self.data_range, "reduction": "none"}
        _, places = structural_similarity_index_measure(b, a, return_full_image=True, **options)  # type: ignore[arg-type]
        edge = least // 2  # torchmetrics reflects images at their edges
        ssim = places[..., edge : places.shape[-2] - edge, edge : places.shape[-1] - edge].mean((1, 2, 3))
        self.pairs += len(image)
        self.psnr += psnr.sum()
        self.ssim += ssim.sum()

    def compute(self) -> dict[str, Tensor]:
        """Return `psnr` and `ssim`, float64 scalars."""
        return {"psnr": self.psnr / self.pairs, "ssim": self.ssim / self.pairs}
