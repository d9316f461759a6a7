r"""The h-space of a diffusion model: features in the middle of its network, as a map of the noise.

    z -> x_t -> h(x_t, l),    x_t the state of the sampler at noise level l

whose pulled-back metric has few large eigenvalues; its top eigenvectors, the right singular vectors of dh/dz, are
directions in which images change in meaning (Park et al.). At the beginning of the way x_t = sigma z.

    directions = functools.partial(lsgen.models.gan.pullback, immersion=bottleneck_immersion, k=5)
    LatentTraversal(directions=directions)

Reference: Kwon, Jeong & Uh, "Diffusion models already have a semantic latent space" (2023),
https://arxiv.org/abs/2210.10960; Park, Kwon, Choi, Jo & Uh (2023), https://arxiv.org/abs/2307.12868.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lsgen.geometry import Immersion
from lsgen.latent import LatentSpace
from lsgen.models.diffusion.space import NoiseDecoder, NoiseSpace

__all__ = ["bottleneck_immersion"]


class _Bottleneck:
    """Noise (N, d) -> features (N, h) in the middle of the network at node number `last` of the sampler's way."""

    def __init__(self, decoder: NoiseDecoder, last: int) -> None:
        self.decoder, self.last = decoder, last

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        return self.decoder, ("bottleneck", self.last)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the features."""
        denoiser, sampler = self.decoder.denoiser, self.decoder.sampler
        nodes = sampler.nodes(denoiser.path)[: self.last + 1]
        start = z.unflatten(1, denoiser.shape) * nodes[0].sigma
        *_, x = sampler.states(self.decoder.denoise_like(z), denoiser.path, start, nodes=nodes)
        return denoiser.bottleneck(x, x.new_full((len(x),), nodes[-1].log_snr), self.decoder.labels_like(z))


def bottleneck_immersion(space: LatentSpace, log_snr: float | None = None) -> Immersion:
    """Return the metric of noise z (B, d) that the features in the middle of the network pull back.

    Where the latent space decodes a class, they are those of the network that is told the class.

    Args:
        space: the latent space of a diffusion model whose network has a bottleneck, such as a U-Net.
        log_snr: the noise level at which the features are taken, that of the nearest node of the sampler before it;
            the noise itself unless given.

    Raises:
        TypeError: the space is another, or the network has no bottleneck.
        ValueError: the sampler has no node as noisy as that.

    """
    if not isinstance(space, NoiseSpace):
        raise TypeError(f"expected the latent space of a diffusion model, got {type(space).__name__}")
    decoder = space.decoder
    net = decoder.denoiser.net
    if not hasattr(net, "bottleneck"):
        raise TypeError(f"expected a network with a bottleneck, such as a U-Net, got {type(net).__name__}")
    nodes = decoder.sampler.nodes(decoder.denoiser.path)
    level = nodes[0].log_snr if log_snr is None else log_snr
    passed = [i for i, node in enumerate(nodes) if node.log_snr <= level]
    if not passed:
        raise ValueError(f"expected log_snr of at least {nodes[0].log_snr:g}, where the sampler begins, got {level:g}")
    return Immersion(_Bottleneck(decoder, passed[-1]), space.dim)
