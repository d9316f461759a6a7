"""The diffusion or flow model, assembled from parts: variants are objects passed in, not subclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import Deterministic, StandardNormal
from lsgen.likelihoods import FixedGaussian, Likelihood, LocationFamily
from lsgen.models.averaging import WeightAveraged
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.diffusion.bound import noise_error, prior_term, reconstruction_term
from lsgen.models.diffusion.denoising import Denoiser
from lsgen.models.diffusion.first_stage import FirstStage
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.levels import UniformLevels, evenly_spread
from lsgen.models.diffusion.likelihood import Likelihoods, log_likelihood
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.samplers import Heun, InvertibleSampler, Sampler
from lsgen.models.diffusion.space import NoiseDecoder, NoiseEncoder, NoiseSpace
from lsgen.models.diffusion.weightings.base import Weighting
from lsgen.models.diffusion.weightings.evidence import EvidenceWeighting
from lsgen.models.losses import Losses
from lsgen.models.optimised import OptimisedModel
from lsgen.models.parts import check_value_range

__all__ = ["Diffusion"]


class Diffusion(WeightAveraged, OptimisedModel):
    """A diffusion or flow model.

    Its latent space is the noise x_T, which `sampler` turns into observations and back. The loss in training is the
    weighted error of the denoiser. The ELBO is the variational bound: `reconstruction` is the closed-form term at
    l_max, `kl` the divergence of all noisy states, the error of the denoiser at w = 1 and the prior term, which is
    `prior_kl` by itself. In training it is estimated from the levels that the loss draws; in validation and test from
    levels that are uniform, one for each observation, with the averaged denoiser where there is one. With classes it
    is a bound on log p(x | label). It is a density in the units of the data, from which `LikelihoodMetrics` makes bits
    per dimension of data that are dequantised, and nats per dimension of others.

    Args:
        denoiser: network, path and prediction.
        weighting: weights and distribution of noise levels in the loss; those of the bound unless given.
        sampler: x_T -> x_0; 18 steps of Heun's rule unless given.
        likelihood: of location x_0, of which the geometry is made; N(x_0, I) unless given.
        guidance: class conditioning; for denoisers with classes.
        value_range: data values that -1 and 1 of the denoiser stand for; None where they are the same.
        first_stage: a trained model whose codes are learned in place of observations, of about unit variance; it brings
            its own likelihood. The bound is that of the observations.
        optimizer: see `OptimisedModel`.
        scheduler: see `OptimisedModel`.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: there is guidance and no class, or a class beyond the last; a part has another shape than the
            denoiser; there is a likelihood or a value_range beside a first stage; when training starts, the weights of
            the first stage are not there, or the noise at the path's beginning is less than numbers are rounded by.
        TypeError: the sampler draws random numbers, or the likelihood has another parameter than a location.

    """

    generative: ClassVar[str] = "denoiser"
    latent_space: NoiseSpace

    def __init__(
        self,
        denoiser: Denoiser,
        weighting: Weighting | None = None,
        sampler: InvertibleSampler | None = None,
        likelihood: Likelihood | None = None,
        guidance: Guidance | None = None,
        value_range: Sequence[float] | None = None,
        first_stage: FirstStage | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        _check_classes(denoiser.classes, guidance is not None, None if guidance is None else guidance.label)
        chosen = Heun(denoise_last=False) if sampler is None else sampler
        if not isinstance(chosen, InvertibleSampler):
            raise TypeError(f"Diffusion expected a sampler whose steps draw nothing, got {type(chosen).__name__}")
        decoder = NoiseDecoder(denoiser, chosen, guidance or Guidance(), check_value_range(value_range), first_stage)
        family = _family(denoiser, first_stage, likelihood, value_range)
        space = NoiseSpace(NoiseEncoder(decoder), decoder, family, StandardNormal(decoder.dim), Deterministic())
        super().__init__(space, optimizer, scheduler, max_steps)
        self.denoiser = denoiser
        self.weighting = EvidenceWeighting() if weighting is None else weighting
        self.weighting.factor(denoiser.path, torch.zeros(1))  # refuses levels that the path has not

    @property
    def decoder(self) -> NoiseDecoder:
        """The decoder of the latent space."""
        return self.latent_space.decoder

    @property
    def path(self) -> ProbabilityPath:
        """The path from data to noise."""
        return self.denoiser.path

    @property
    def criterion(self) -> tuple[str, str]:
        """The variational bound on validation data."""
        return "val/elbo", "max"

    def contract(self) -> Contract:
        """Return the requirements on a batch: observations, and classes where there are any."""
        if not self.denoiser.classes:
            return super().contract()
        last = self.denoiser.classes - 1
        words = f"Diffusion expected labels from 0 to {last}, or -1 where the class is not known"
        return replace(super().contract(), demands=("label",), labels=AllowedRange(words, -1, last))

    def learned(self) -> Iterable[nn.Parameter]:
        """Return the parameters of the denoiser."""
        return self.denoiser.parameters()

    def on_fit_start(self) -> None:
        """Refuse a first stage without its weights, and noise that is lost beside observations."""
        super().on_fit_start()
        dtype = next(iter(self.learned())).dtype
        most = -2 * log(torch.finfo(dtype).eps)
        if self.path.log_snr_max > most:
            raise ValueError(
                f"expected a path with log_snr_max of at most {most:.4g}, as weaker noise is less than the rounding of "
                f"{dtype}, got {self.path.log_snr_max:g}"
            )
        stage = self.decoder.first_stage
        if stage is not None and not stage.filled:
            raise ValueError(f"expected the weights of the first stage in {stage.checkpoint}, which is not there")

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch at the current generator step, those of the metric included."""
        return self.regularised(self._losses(batch), batch)

    def _losses(self, batch: Batch) -> Losses:
        path, (x, reconstruction, divergence) = self.path, self._clean(batch["x"])
        levels = self.weighting.levels if self.training else UniformLevels()
        l = levels.at(path, evenly_spread(len(x), x))
        noise = path.noise(x) if self.training else torch.randn_like(x)
        denoiser = self.denoiser if self.training else self.decoder.denoiser
        label = self._labels(batch)
        error = noise_error(lambda state, level: denoiser(state, level, label), path, x, noise, l)
        loss = (self.weighting.factor(path, l, levels) * error).mean()
        diffusion, prior = error / levels.density(path, l), prior_term(path, x)
        kl = (divergence + diffusion + prior).unsqueeze(1)
        return Losses(loss, reconstruction, kl, {}, {"prior_kl": prior.detach().mean()})

    def _clean(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """Return x_0 (B, *shape) with the reconstruction (B,), and what the first stage adds to the divergence."""
        stage = self.decoder.first_stage
        if stage is None:
            clean = self.decoder.scaled(x)
            return clean, reconstruction_term(self.path, clean) - self.latent_space.dim * self.decoder.log_scale, 0.0
        z, reconstruction, log_posterior = stage.encoded(x)
        return z, reconstruction, log_posterior + reconstruction_term(self.path, z)

    def log_likelihood(
        self,
        x: Tensor,
        label: Tensor | None = None,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        probes: int | None = None,
        chunk_size: int = 64,
    ) -> Likelihoods:
        """Return log densities of observations (B, *shape) in the units of the data, by the probability-flow ODE.

        An observation is a state at l_max over alpha, so it is the density of observations with the noise that is
        left there. It is that of `sample` with any exact sampler and no guidance.

        Args:
            x: observations.
            label: their classes (B,), -1 where one is not known; none unless given. A model without classes has no use
                for them.
            rtol: see `lsgen.models.diffusion.log_likelihood`.
            atol: see there.
            probes: see there.
            chunk_size: see there.

        Raises:
            TypeError: the model learns codes of a first stage: observations have no density of this kind.
            ValueError: there is not one label for each observation, or a class beyond the last.

        """
        if self.decoder.first_stage is not None:
            raise TypeError("expected a model of observations for their density by the ODE, got one with a first stage")
        decoder, path = self.decoder, self.path
        denoiser, n = decoder.denoiser, decoder.dim
        labels = None
        if label is not None and denoiser.classes:
            _check_labels(denoiser.classes, len(x), label, -1)
            labels = self._known(label)

        def denoise(state: Tensor, level: Tensor) -> Tensor:
            if labels is None:
                return denoiser(state, level)
            return denoiser(state, level, labels.repeat(len(state) // max(len(labels), 1)))

        alpha = path.scales(x.new_tensor(path.log_snr_max))[0]
        found = log_likelihood(denoise, path, alpha * decoder.scaled(x), rtol, atol, probes, chunk_size)
        return replace(found, value=found.value + n * (decoder.log_scale + alpha.log()))

    def _known(self, label: Tensor) -> Tensor:
        """Return labels (B,), the null class where one is not known."""
        return torch.where(label < 0, self.denoiser.classes, label)

    def _labels(self, batch: Batch) -> Tensor | None:
        """Return labels (B,), the null class where one is not known or, in training, left out."""
        classes = self.denoiser.classes
        if not classes:
            return None
        label, dropout = self._known(batch["label"]), self.decoder.guidance.dropout
        if self.training and dropout:
            label = torch.where(torch.rand(label.shape, device=label.device) < dropout, classes, label)
        return label

    def forward(self, x: Tensor) -> Tensor:
        """Return observations (N, *shape) after a round trip through the noise."""
        return self.latent_space.decode(self.latent_space.encode(x).mean).mean

    @torch.no_grad()
    def sample(
        self,
        n: int,
        label: int | Tensor | None = None,
        guidance: float | None = None,
        sampler: Sampler | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return n observations, (n, *shape), in the units of the data; with a first stage the means of its p(x|z).

        Args:
            n: how many.
            label: one class for all, or classes (n,); that of the latent space unless given.
            guidance: weight of guidance; that of the model unless given.
            sampler: any sampler, such as the ancestral one; that of the latent space unless given.
            generator: of all random numbers, on the device of the model.

        Raises:
            ValueError: there is a label or guidance and no class, a class beyond the last, another number of labels,
                or guidance without a label.

        """
        decoder = self.decoder
        given = label is not None or guidance is not None
        _check_classes(decoder.denoiser.classes, given, label)
        weight = decoder.guidance.weight if guidance is None else guidance
        label = decoder.guidance.label if label is None else label
        if label is None and guidance is not None:
            raise ValueError(f"expected a label with guidance, got guidance = {guidance} without one")
        like: Any = next(decoder.denoiser.parameters())
        noise = torch.randn((n, *decoder.denoiser.shape), dtype=like.dtype, device=like.device, generator=generator)
        labels = None
        if label is not None:
            labels = torch.as_tensor(label, device=like.device)
            labels = labels if labels.ndim else labels.expand(n)
            _check_labels(decoder.denoiser.classes, n, labels)
        denoise = decoder.denoise() if labels is None else decoder.denoise(labels, weight)
        x = (sampler or decoder.sampler)(denoise, self.path, noise, generator)
        return decoder.unscaled(x) if decoder.first_stage is None else decoder.first_stage.space.decode(x).mean


def _family(
    denoiser: Denoiser, first_stage: FirstStage | None, likelihood: Likelihood | None, value_range: object
) -> Likelihood:
    """Return the likelihood of a latent space: that of the first stage, the one given, or a Gaussian."""
    if first_stage is not None:
        if likelihood is not None or value_range is not None:
            raise ValueError("expected neither a likelihood nor a value_range beside a first stage, which has its own")
        return first_stage.space.likelihood
    if likelihood is not None and not isinstance(likelihood, LocationFamily):
        name = type(likelihood).__name__
        raise TypeError(f"expected a likelihood around the observation that is made, such as FixedGaussian, got {name}")
    if likelihood is not None and likelihood.shape != denoiser.shape:
        raise ValueError(f"expected a likelihood of shape {denoiser.shape}, as the denoiser, got {likelihood.shape}")
    return FixedGaussian(denoiser.shape) if likelihood is None else likelihood


def _check_classes(classes: int, given: bool, label: int | Tensor | None) -> None:
    """Refuse options of classes of a denoiser that has none, or a class beyond its last."""
    if given and not classes:
        raise ValueError("expected a denoiser with classes for labels and guidance, got one without: give its net some")
    if isinstance(label, int) and not 0 <= label < classes:
        raise ValueError(f"expected a class from 0 to {classes - 1}, got {label}")


def _check_labels(classes: int, n: int, label: Tensor, least: int = 0) -> None:
    """Refuse labels that are not (n,), or of a class that there is not."""
    if label.shape != (n,):
        raise ValueError(f"expected {n} labels, one for each observation, got labels of shape {tuple(label.shape)}")
    bad = label[~((label >= least) & (label < classes))]
    if len(bad):
        raise ValueError(f"expected classes from {least} to {classes - 1}, got {bad[0].item()}")
