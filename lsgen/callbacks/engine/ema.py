r"""The exponential moving average of a generator, with a half-life in images.

    theta_ema <- beta theta_ema + (1 - beta) theta,    beta = (1/2)^(n/h),    h = min(half_life, ramp_up images_seen)

after every generator step, for the n images since the one before; so the average does not depend on the batch size,
and early in training it forgets quickly. Only the generator is averaged; its buffers, such as the statistics of a
batch normalisation, are copied. Those statistics are of the trained weights, not of the averaged ones: with `standing`
they are taken anew at regular intervals and at the end of training, just before callbacks that stand behind this one
look at the generator, and are copied again after the next step. So a checkpoint from in between, such as best.ckpt, may
hold copied ones: `lsgen.models.gan.standing_statistics` takes them anew for a model that is loaded.

The model's `latent_space` decodes with the average from then on: samples, traversals, geometry and metrics show it,
while training goes on with `generator`. Both are in the checkpoint's `state_dict`, so a run resumes exactly and
`lsgen.load` returns a model whose latent space is the averaged one.

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN" (2020),
https://arxiv.org/abs/1912.04958, and "Training generative adversarial networks with limited data" (2020),
https://arxiv.org/abs/2006.06676, appendix C, for the ramp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lsgen.models.gan import AdversarialModel, standing_statistics
from lsgen.models.gan.standing import batch_normalisations

__all__ = ["GeneratorEMA", "Standing"]


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


class GeneratorEMA(Callback):
    """Keeps the exponential moving average of a GAN's generator in its latent space.

    Args:
        half_life: images after which old weights count half.
        ramp_up: largest share of the images seen so far that the half-life may be; None for no ramp.
        standing: how statistics of batch normalisation are taken anew; None to copy them.

    Raises:
        ValueError: half_life or ramp_up is not positive; when training starts, statistics are to be taken of a
            generator without batch normalisation.
        TypeError: when training starts, the model is no `AdversarialModel`.

    """

    def __init__(
        self, half_life: float = 10_000, ramp_up: float | None = 0.05, standing: Standing | None = None
    ) -> None:
        if not half_life > 0:
            raise ValueError(f"expected a half_life above 0 images, got {half_life}")
        if ramp_up is not None and not ramp_up > 0:
            raise ValueError(f"expected a ramp_up above 0 or None, got {ramp_up}")
        self.half_life, self.ramp_up, self.standing = float(half_life), ramp_up, standing
        self._steps = self._images = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Separate the averaged generator from the trained one, before weights are loaded or moved."""
        if not isinstance(pl_module, AdversarialModel):
            raise TypeError(f"GeneratorEMA expected an AdversarialModel, got {type(pl_module).__name__}")
        if stage == "fit":
            if self.standing is not None:
                batch_normalisations(pl_module.generator)
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
        if self.standing is not None and self._steps % self.standing.every_n_steps == 0:
            self._stand(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the statistics of batch normalisation anew, if they are to stand."""
        self._stand(pl_module)

    def _stand(self, pl_module: LightningModule) -> None:
        if self.standing is not None:
            options = self.standing
            assert isinstance(pl_module, AdversarialModel)
            standing_statistics(pl_module.latent_space, options.batches, options.batch_size, options.seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the clocks at the last update."""
        return {"generator_steps": self._steps, "images_seen": self._images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the clocks."""
        self._steps, self._images = state_dict["generator_steps"], state_dict["images_seen"]
