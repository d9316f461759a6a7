r"""Denoisers D(x_t, l) = E[x_0 | x_t]: networks that are preconditioned, and exact ones of known distributions.

With y = x_t / alpha = x_0 + s eps, s = e^(-l/2), and data of standard deviation d, a network F sees
y / sqrt(s^2 + d^2), of unit variance, and log(s) / 4, and what it predicts is

    data        x_0 / d                     D = d F
    epsilon     eps                         D = y - s F
    v           (d eps - s x_0/d) / r       D = (d^2 y - s d r F) / r^2,    r = sqrt(s^2 + d^2)
    velocity    eps - x_0 / d               D = (d y - s d F) / (s + d)

for any path, as y is that of all paths; "v" is the choice of Karras et al. (2022) but for the sign of F, and at d = 1
that of Salimans & Ho (2022); "velocity" at d = 1 is that of flow matching. What is not D follows from it:

    eps = (x_t - alpha D) / sigma,    score = -eps / sigma,    velocity dx/dl = (d alpha/dl) D + (d sigma/dl) eps

References: Karras et al., "Elucidating the design space of diffusion-based generative models" (2022),
https://arxiv.org/abs/2206.00364; Salimans & Ho (2022), https://arxiv.org/abs/2202.00512; Ho & Salimans,
"Classifier-free diffusion guidance" (2022), https://arxiv.org/abs/2207.12598.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["Denoise", "Denoiser", "MixtureDenoiser", "Prediction", "epsilon", "score", "velocity"]

Denoise = Callable[[Tensor, Tensor], Tensor]
Prediction = Literal["epsilon", "data", "v", "velocity"]


def epsilon(denoise: Denoise, path: ProbabilityPath, x: Tensor, log_snr: Tensor) -> Tensor:
    """Return the expected noise E[eps | x_t], (B, *shape), at x (B, *shape) and l, () or (B,)."""
    alpha, sigma = (_like(part, x) for part in path.scales(log_snr))
    return (x - alpha * denoise(x, log_snr)) / sigma


def score(denoise: Denoise, path: ProbabilityPath, x: Tensor, log_snr: Tensor) -> Tensor:
    """Return the gradient of log p(x_t), (B, *shape), at x (B, *shape) and l, () or (B,)."""
    return -epsilon(denoise, path, x, log_snr) / _like(path.scales(log_snr)[1], x)


def velocity(denoise: Denoise, path: ProbabilityPath, x: Tensor, log_snr: Tensor) -> Tensor:
    """Return dx/dl of the probability-flow ODE, (B, *shape), at x (B, *shape) and l, () or (B,)."""
    (alpha, sigma), slopes = path.scales(log_snr), path.scale_slopes(log_snr)
    denoised, (dalpha, dsigma) = denoise(x, log_snr), (_like(part, x) for part in slopes)
    return dalpha * denoised + dsigma * (x - _like(alpha, x) * denoised) / _like(sigma, x)


class Denoiser(nn.Module):
    """A network that is preconditioned to predict E[x_0 | x_t].

    Args:
        net: `net(x, noise, label)` -> (B, *shape), see `lsgen.nn.denoisers`; noise (B,), label (B,) or None.
        path: turns l into alpha.
        prediction: what the network predicts.
        sigma_data: the standard deviation of the data, in the units that the network sees.

    Raises:
        ValueError: another prediction, or a standard deviation that is not positive.

    """

    def __init__(
        self, net: nn.Module, path: ProbabilityPath, prediction: Prediction = "v", sigma_data: float = 0.5
    ) -> None:
        super().__init__()
        if prediction not in ("epsilon", "data", "v", "velocity"):
            raise ValueError(f"expected a prediction, epsilon, data, v or velocity, got {prediction!r}")
        if not sigma_data > 0:
            raise ValueError(f"expected a standard deviation sigma_data > 0, got {sigma_data}")
        self.net, self.path, self.prediction, self.sigma_data = net, path, prediction, float(sigma_data)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one observation."""
        shape: Any = self.net.shape
        return tuple(shape)

    @property
    def classes(self) -> int:
        """The number of classes; 0 for a network without."""
        return int(getattr(self.net, "classes", 0))

    def forward(self, x: Tensor, log_snr: Tensor, label: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Return E[x_0 | x_t], (B, *shape).

        Args:
            x: x_t, (B, *shape).
            log_snr: l, () or (B,).
            label: classes (B,); `classes` stands for none, which is what is taken where there is no label.
            guidance: weight w of D(label) in w D(label) + (1 - w) D(none); 1 leaves D(none) out.

        Raises:
            ValueError: x has another shape, or there are labels or guidance and no classes, or guidance and no label.

        """
        _check(self.shape, x, log_snr)
        if not self.classes and (label is not None or guidance != 1):
            raise ValueError("expected neither labels nor guidance of a denoiser without classes, got them")
        if guidance != 1 and label is None:
            raise ValueError(f"expected labels with guidance, got guidance = {guidance} without labels")
        log_snr = log_snr.expand(len(x))
        if not self.classes:
            return self._denoised(x, log_snr, None)
        none = torch.full((len(x),), self.classes, dtype=torch.int64, device=x.device)
        if label is None or guidance == 1:
            return self._denoised(x, log_snr, none if label is None else label)
        with_label, without = self._denoised(
            torch.cat([x, x]), torch.cat([log_snr, log_snr]), torch.cat([label, none])
        ).chunk(2)
        return without + guidance * (with_label - without)

    def bottleneck(self, x: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the features in the middle of the network, (B, h), of one that has any, such as a U-Net.

        Args:
            x: x_t, (B, *shape).
            log_snr: l, () or (B,).
            label: see `forward`.

        Raises:
            TypeError: the network has none.
            ValueError: x has another shape.

        """
        _check(self.shape, x, log_snr)
        net: Any = self.net
        if not hasattr(net, "bottleneck"):
            raise TypeError(f"expected a network with a bottleneck, such as a U-Net, got {type(net).__name__}")
        log_snr = log_snr.expand(len(x))
        if self.classes and label is None:
            label = torch.full((len(x),), self.classes, dtype=torch.int64, device=x.device)
        y, _, r = self._scaled(x, log_snr)
        found: Tensor = net.bottleneck(y / r, -log_snr / 8, label)
        return found

    def _scaled(self, x: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y = x / alpha, s and r."""
        s = _like((-log_snr / 2).exp(), x)
        return x / _like(self.path.scales(log_snr)[0], x), s, (s.square() + self.sigma_data**2).sqrt()

    def _denoised(self, x: Tensor, log_snr: Tensor, label: Tensor | None) -> Tensor:
        d, (y, s, r) = self.sigma_data, self._scaled(x, log_snr)
        f = self.net(y / r, -log_snr / 8, label)
        if self.prediction == "data":
            return d * f
        if self.prediction == "epsilon":
            return y - s * f
        if self.prediction == "v":
            return (d * d * y - s * d * r * f) / r.square()
        return (d * y - s * d * f) / (s + d)


class MixtureDenoiser(nn.Module):
    """The exact denoiser of a mixture of isotropic Gaussians, without parameters.

    With observations as means and scale 0 it is that of a data set, which a network approaches that is trained on it
    without end; its samples are the data.

    Args:
        path: gives alpha and sigma.
        means: centres (K, *shape); a batch of B is compared with all of them at once, B K numbers.
        scale: their standard deviation, or one of each, (K,); 0 for points.
        weights: their weights, (K,), which are scaled to sum 1; equal unless given.

    Raises:
        ValueError: a standard deviation is negative, a weight is not positive, or sizes disagree.

    """

    means: Tensor
    variances: Tensor
    log_weights: Tensor
    centre: Tensor
    classes = 0

    def __init__(
        self,
        path: ProbabilityPath,
        means: Tensor,
        scale: float | Tensor | Sequence[float] = 0.0,
        weights: Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        k = len(means)
        spread = torch.as_tensor(scale).to(means)
        share = means.new_ones(k) if weights is None else torch.as_tensor(weights).to(means)
        if means.ndim < 2 or k < 1 or spread.shape not in ((), (k,)) or share.shape != (k,):
            raise ValueError(
                f"expected means of shape (K, *shape), a scale or K of them, and K weights, got shapes "
                f"{tuple(means.shape)}, {tuple(spread.shape)} and {tuple(share.shape)}"
            )
        if not bool((spread >= 0).all()) or not bool((share > 0).all()):
            raise ValueError(f"expected scale >= 0 and weights > 0, got {spread.tolist()} and {share.tolist()}")
        self.path, self.shape = path, tuple(means.shape[1:])
        flat = means.flatten(1)
        self.register_buffer("centre", flat.mean(0))  # distances are taken from here, which keeps them precise
        self.register_buffer("means", flat - self.centre)
        self.register_buffer("variances", spread.square().expand(k).clone())
        self.register_buffer("log_weights", (share / share.sum()).log())

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """Return E[x_0 | x_t], (B, *shape), at x_t (B, *shape) and l, () or (B,)."""
        alpha, flat, variance, log_joint = self._joint(x, log_snr)
        posterior = log_joint.softmax(1)
        kept = posterior * (alpha * self.variances / variance)  # of x_t, in each component
        to_means = posterior * ((variance - alpha.square() * self.variances) / variance)
        return (to_means @ self.means + kept.sum(1, keepdim=True) * flat + self.centre).reshape(x.shape)

    def log_density(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """Return log p(x_t) in nats, (B,), at x_t (B, *shape) and l, () or (B,)."""
        return self._joint(x, log_snr)[3].logsumexp(1)

    def _joint(self, x: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return alpha (B or 1, 1), x_t - alpha centre (B, D), Var[x_t | k] and log p(x_t, k), (B, K) both."""
        _check(self.shape, x, log_snr)
        alpha, sigma = (part.reshape(-1, 1) for part in self.path.scales(log_snr))
        flat = x.flatten(1) - alpha * self.centre
        variance = alpha.square() * self.variances + sigma.square()
        square = flat.square().sum(1, keepdim=True) - 2 * alpha * flat @ self.means.T
        square = square + alpha.square() * self.means.square().sum(1)
        scaled = square / variance + prod(self.shape) * (2 * pi * variance).log()
        return alpha, flat, variance, self.log_weights - scaled / 2


def _check(shape: tuple[int, ...], x: Tensor, log_snr: Tensor) -> None:
    if x.shape[1:] != shape or log_snr.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"expected x of shape (B, {', '.join(map(str, shape))}) and log_snr of shape () or (B,), "
            f"got {tuple(x.shape)} and {tuple(log_snr.shape)}"
        )


def _like(value: Tensor, x: Tensor) -> Tensor:
    """Return values () or (B,) in a shape that multiplies x (B, *shape)."""
    return value.reshape(-1, *[1] * (x.ndim - 1)) if value.ndim else value
