r"""The moving average of what generates: an exponential one with a half-life in images, or one by a power function.

    theta_ema <- beta theta_ema + (1 - beta) theta

after every generator step, for the n images since the one before, of N so far; so neither average depends on the batch
size, and early in training both forget quickly.

    exponential       beta = (1/2)^(n/h),              h = min(half_life, ramp_up N)
    power function    beta = ((N - n) / N)^(g + 1),    sigma_rel^2 = (g + 1) / ((g + 2)^2 (g + 3))

The second weighs the weights at N' images with N'^g, so that it spans the same share of a training of any length:
sigma_rel is the standard deviation of N' over N.

Only the network that generates is averaged, a GAN's generator or a denoiser; its buffers, such as the statistics of a
batch normalisation, are copied. Those statistics are of the trained weights, not of the averaged ones: with `standing`
they are taken anew at regular intervals and at the end of training, just before callbacks that stand behind this one
look at the generator, and are copied again after the next step. So a checkpoint from in between, such as best.ckpt, may
hold copied ones: `lsgen.models.gan.standing_statistics` takes them anew for a model that is loaded.

The model's `latent_space` decodes with the average from then on: samples, traversals, geometry and metrics show it,
while training goes on with the other. Both are in the checkpoint's `state_dict`, so a run resumes exactly and
`lsgen.load` returns a model whose latent space is the averaged one.

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN" (2020),
https://arxiv.org/abs/1912.04958, and "Training generative adversarial networks with limited data" (2020),
https://arxiv.org/abs/2006.06676, appendix C, for the ramp; "Analyzing and improving the training dynamics of diffusion
models" (2024), https://arxiv.org/abs/2312.02696, section 3, for the power function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lsgen.models.averaging import WeightAveraged
from lsgen.models.gan import standing_statistics
from lsgen.models.gan.standing import batch_normalisations

__all__ = ["GeneratorEMA", "PowerFunctionEMA", "Standing", "WeightAverage"]


@dataclass(frozen=True)
class Standing:
    """When and how statistics of batch normalisation are taken anew, see `lsgen.models.gan.standing_statistics`.

    Attributes:
        every_n_steps: generator steps between; the cadences of what looks at samples should be multiples of it.
        batches: batches of codes that are averaged over.
        batch_size: codes in each.
        seed: seed of the codes.

    Raises:
        ValueError: a number is not positive, or a batch has one code.

    """

    every_n_steps: int = 1000
    batches: int = 16
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("every_n_steps", 1), ("batches", 1), ("batch_size", 2)):
            if (count := getattr(self, name)) < least:
                raise ValueError(f"expected standing.{name} of at least {least}, got {count}")


class WeightAverage(Callback, ABC):
    """Abstract callback that keeps a moving average of what generates in the latent space of a model.

    Args:
        standing: how statistics of batch normalisation are taken anew; None to copy them.

    Raises:
        ValueError: when training starts, statistics are to be taken of a generator without batch normalisation.
        TypeError: when training starts, the model has nothing to average, see `lsgen.models.averaging.WeightAveraged`.

    """

    def __init__(self, standing: Standing | None = None) -> None:
        self.standing = standing
        self._steps = self._images = 0

    @abstractmethod
    def beta(self, images: int, images_seen: int) -> float:
        """Return the weight of the old average.

        Args:
            images: images since the update before.
            images_seen: images since the beginning of training.

        """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Separate the averaged network from the trained one, before weights are loaded or moved."""
        if not isinstance(pl_module, WeightAveraged):
            raise TypeError(
                f"{type(self).__name__} expected a GAN or a diffusion model, whose generating network it averages, "
                f"got {type(pl_module).__name__}"
            )
        if stage == "fit":
            if self.standing is not None:
                batch_normalisations(pl_module.trained)
            pl_module.separate()

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after a generator step."""
        assert isinstance(pl_module, WeightAveraged)
        if pl_module.generator_steps == self._steps:
            return
        beta = self.beta(pl_module.images_seen - self._images, pl_module.images_seen)
        averaged, trained = pl_module.used, pl_module.trained
        for old, new in zip(averaged.parameters(), trained.parameters(), strict=True):
            old.lerp_(new, 1 - beta)
        for kept, current in zip(averaged.buffers(), trained.buffers(), strict=True):
            kept.copy_(current)
        self._steps, self._images = pl_module.generator_steps, pl_module.images_seen
        if self.standing is not None and self._steps % self.standing.every_n_steps == 0:
            self._stand(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the statistics of batch normalisation anew, if they are to stand."""
        self._stand(pl_module)

    def _stand(self, pl_module: LightningModule) -> None:
        if self.standing is not None:
            options = self.standing
            assert isinstance(pl_module, WeightAveraged)
            standing_statistics(pl_module.latent_space, options.batches, options.batch_size, options.seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the clocks at the last update."""
        return {"generator_steps": self._steps, "images_seen": self._images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the clocks."""
        self._steps, self._images = state_dict["generator_steps"], state_dict["images_seen"]


class GeneratorEMA(WeightAverage):
    """Keeps the exponential moving average of what generates, with a half-life in images.

    Args:
        half_life: images after which old weights count half.
        ramp_up: largest share of the images seen so far that the half-life may be; None for no ramp.
        standing: see `WeightAverage`.

    Raises:
        ValueError: half_life or ramp_up is not positive; see `WeightAverage`.
        TypeError: see `WeightAverage`.

    """

    def __init__(
        self, half_life: float = 10_000, ramp_up: float | None = 0.05, standing: Standing | None = None
    ) -> None:
        if not half_life > 0:
            raise ValueError(f"expected a half_life above 0 images, got {half_life}")
        if ramp_up is not None and not ramp_up > 0:
            raise ValueError(f"expected a ramp_up above 0 or None, got {ramp_up}")
        super().__init__(standing)
        self.half_life, self.ramp_up = float(half_life), ramp_up

    def beta(self, images: int, images_seen: int) -> float:
        """Return the weight of the old average, see `WeightAverage`."""
        h = self.half_life if self.ramp_up is None else min(self.half_life, self.ramp_up * images_seen)
        return float(0.5 ** (images / h))


class PowerFunctionEMA(WeightAverage):
    """Keeps the moving average of what generates by a power function, whose width is a share of the training.

    Args:
        sigma_rel: the width.
        standing: see `WeightAverage`.

    Attributes:
        exponent: g.

    Raises:
        ValueError: sigma_rel is not between 0 and 0.288, the width of the plain average; see `WeightAverage`.
        TypeError: see `WeightAverage`.

    """

    def __init__(self, sigma_rel: float = 0.1, standing: Standing | None = None) -> None:
        if not 0 < sigma_rel < 12**-0.5:
            raise ValueError(f"expected a sigma_rel above 0 and below 0.288, got {sigma_rel}")
        super().__init__(standing)
        self.sigma_rel, k = float(sigma_rel), sigma_rel**-2
        self.exponent = float(np.roots([1, 7, 16 - k, 12 - k]).real.max())

    def beta(self, images: int, images_seen: int) -> float:
        """Return the weight of the old average, see `WeightAverage`."""
        return float((1 - images / images_seen) ** (self.exponent + 1))
