r"""The exponential moving average of a generator, with a half-life in images.

    theta_ema <- beta theta_ema + (1 - beta) theta,    beta = (1/2)^(n/h),    h = min(half_life, ramp_up images_seen)

after every generator step, for the n images since the one before; so the average does not depend on the batch size,
and early in training it forgets quickly. Only the generator is averaged; its buffers, such as the statistics of a
batch normalisation, are copied.

The model's `latent_space` decodes with the average from then on: samples, traversals, geometry and metrics show it,
while training goes on with `generator`. Both are in the checkpoint's `state_dict`, so a run resumes exactly and
`lsgen.load` returns a model whose latent space is the averaged one.

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN" (2020),
https://arxiv.org/abs/1912.04958, and "Training generative adversarial networks with limited data" (2020),
https://arxiv.org/abs/2006.06676, appendix C, for the ramp.
"""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lsgen.models.gan import AdversarialModel

__all__ = ["GeneratorEMA"]


class GeneratorEMA(Callback):
    """Keeps the exponential moving average of a GAN's generator in its latent space.

    Args:
        half_life: images after which old weights count half.
        ramp_up: largest share of the images seen so far that the half-life may be; None for no ramp.

    Raises:
        ValueError: half_life or ramp_up is not positive.
        TypeError: when training starts, the model is no `AdversarialModel`.

    """

    def __init__(self, half_life: float = 10_000, ramp_up: float | None = 0.05) -> None:
        if not half_life > 0:
            raise ValueError(f"expected a half_life above 0 images, got {half_life}")
        if ramp_up is not None and not ramp_up > 0:
            raise ValueError(f"expected a ramp_up above 0 or None, got {ramp_up}")
        self.half_life, self.ramp_up = float(half_life), ramp_up
        self._steps = self._images = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Separate the averaged generator from the trained one, before weights are loaded or moved."""
        if not isinstance(pl_module, AdversarialModel):
            raise TypeError(f"GeneratorEMA expected an AdversarialModel, got {type(pl_module).__name__}")
        if stage == "fit":
            pl_module.separate()

    def beta(self, images: int, images_seen: int) -> float:
        """Return the weight of the old average.

        Args:
            images: images since the update before.
            images_seen: images since the beginning of training.

        """
        h = self.half_life if self.ramp_up is None else min(self.half_life, self.ramp_up * images_seen)
        return float(0.5 ** (images / h))

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after a generator step."""
        assert isinstance(pl_module, AdversarialModel)
        if pl_module.generator_steps == self._steps:
            return
        beta = self.beta(pl_module.images_seen - self._images, pl_module.images_seen)
        averaged, trained = pl_module.decoder.generator, pl_module.generator
        for old, new in zip(averaged.parameters(), trained.parameters(), strict=True):
            old.lerp_(new, 1 - beta)
        for kept, current in zip(averaged.buffers(), trained.buffers(), strict=True):
            kept.copy_(current)
        self._steps, self._images = pl_module.generator_steps, pl_module.images_seen

    def state_dict(self) -> dict[str, Any]:
        """Return the clocks at the last update."""
        return {"generator_steps": self._steps, "images_seen": self._images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the clocks."""
        self._steps, self._images = state_dict["generator_steps"], state_dict["images_seen"]
