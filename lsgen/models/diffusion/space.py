"""The latent space of a diffusion model: the noise that a deterministic sampler turns into an observation.

The sampler is a decoder x_T -> x_0, and the same rule in the other direction an encoder. Either makes the error of a
rule of its order, so that a round trip is exact up to that, and up to what the last denoising loses where the sampler
denoises last. With the likelihood N(x_0, sigma^2 I) the metric is J^T J / sigma^2; no noise of that Gaussian is added
to a sample. With a first stage x_0 is a code, which the first stage decodes with its own likelihood.
"""

from __future__ import annotations

from functools import partial
from math import log, prod

from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace
from lsgen.models.diffusion.denoising import Denoise, Denoiser
from lsgen.models.diffusion.first_stage import FirstStage
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.samplers import InvertibleSampler
from lsgen.models.parts import from_unit_range, to_unit_range

__all__ = ["NoiseDecoder", "NoiseEncoder", "NoiseSpace"]


class NoiseDecoder(nn.Module):
    """Noise (N, d) -> observations (N, *shape), by a deterministic sampler.

    Args:
        denoiser: the denoiser.
        sampler: the sampler.
        guidance: class of the observations, and weight of guidance.
        value_range: data values that -1 and 1 of the denoiser stand for; None where they are the same.
        first_stage: what decodes and encodes where the denoiser works on codes.

    Raises:
        ValueError: the codes of the first stage have another shape than the denoiser.

    """

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: InvertibleSampler,
        guidance: Guidance,
        value_range: tuple[float, float] | None = None,
        first_stage: FirstStage | None = None,
    ) -> None:
        super().__init__()
        if first_stage is not None and denoiser.shape != (first_stage.space.dim,):
            codes = (first_stage.space.dim,)
            raise ValueError(f"expected a denoiser of shape {codes}, as codes of the first stage, got {denoiser.shape}")
        self.first_stage = first_stage
        self.heads = 1 if first_stage is None else first_stage.space.likelihood.heads
        self.denoiser, self.sampler, self.guidance, self.value_range = denoiser, sampler, guidance, value_range
        sampler.nodes(denoiser.path)  # numbers of the host, found before anything runs on a device

    @property
    def dim(self) -> int:
        """The number d of values of an observation."""
        return prod(self.denoiser.shape)

    @property
    def log_scale(self) -> float:
        """The logarithm of what one unit of the data is for the denoiser."""
        return 0.0 if self.value_range is None else log(2 / (self.value_range[1] - self.value_range[0]))

    def scaled(self, x: Tensor) -> Tensor:
        """Return observations (N, *shape) in the units of the denoiser."""
        return to_unit_range(x, self.value_range)

    def unscaled(self, x: Tensor) -> Tensor:
        """Return observations (N, *shape) in the units of the data."""
        return from_unit_range(x, self.value_range)

    def clean(self, x: Tensor) -> Tensor:
        """Return observations (N, *shape) as the denoiser has them: in its units, or as codes of the first stage."""
        return self.scaled(x) if self.first_stage is None else self.first_stage.space.encode(x).mean

    def denoise(self, label: Tensor | None = None, weight: float = 1.0) -> Denoise:
        """Return x_t, l -> D for labels (N,), or for none, with guidance of a weight."""
        return partial(self.denoiser, label=label, guidance=weight) if self.denoiser.classes else self.denoiser

    def labels_like(self, x: Tensor) -> Tensor | None:
        """Return the class that is decoded, (N,), of as many states as x has; None where there is none."""
        return None if self.guidance.label is None else x.new_full((len(x),), self.guidance.label).long()

    def denoise_like(self, x: Tensor) -> Denoise:
        """Return x_t, l -> D for the class that is decoded, of as many states as x has."""
        label = self.labels_like(x)
        return self.denoise() if label is None else self.denoise(label, self.guidance.weight)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, ...) of the first stage, or observations (N, *shape) without one."""
        x = self.sampler(self.denoise_like(z), self.denoiser.path, z.unflatten(1, self.denoiser.shape))
        return self.unscaled(x) if self.first_stage is None else self.first_stage.space.raw(x)

    def inverse(self, x: Tensor) -> Tensor:
        """Return the noise (N, d) of observations (N, *shape)."""
        return self.sampler.invert(self.denoise_like(x), self.denoiser.path, self.clean(x)).flatten(1)


class NoiseEncoder(nn.Module):
    """Observations (N, *shape) -> noise (N, d), by a sampler that runs in the other direction.

    Args:
        decoder: the sampler; it is kept without being registered twice.

    """

    heads = 1

    def __init__(self, decoder: NoiseDecoder) -> None:
        super().__init__()
        self._decoder = [decoder]
        self.dim = decoder.dim

    def forward(self, x: Tensor) -> Tensor:
        """Return the noise (N, d)."""
        return self._decoder[0].inverse(x)


class NoiseSpace(EncodableLatentSpace):
    """The noise at the end of a path; its samples are without further noise."""

    decoder: NoiseDecoder

    def observe(self, z: Tensor) -> Tensor:
        """Return the observations (B, *shape) of noise (B, d); with a first stage they are drawn from its p(x|z)."""
        return self.raw(z) if self.decoder.first_stage is None else super().observe(z)
