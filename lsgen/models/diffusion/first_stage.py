"""The first stage of latent diffusion: a trained model whose codes are what a diffusion model learns.

With q(z|x) and p(x|z) of the first stage and the bound B(z) >= -log p(z) of the diffusion model,

    -log p(x)  <=  E_q[ -log p(x|z) + log q(z|x) + B(z) ].

Reference: Rombach et al., "High-resolution image synthesis with latent diffusion models" (2022),
https://arxiv.org/abs/2112.10752; Vahdat, Kreis & Kautz, "Score-based generative modeling in latent space" (2021),
https://arxiv.org/abs/2106.05931, for the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace, Euclidean
from lsgen.models.base import LatentModel
from lsgen.models.parts import check_posterior

__all__ = ["FirstStage"]

_OWN = "latent_space."  # how the weights of a latent space are called in a model's checkpoint


class FirstStage(nn.Module):
    """The latent space of a trained model, which learns no more.

    Args:
        model: the model; its codes lie in flat space, and its posterior has a density.
        checkpoint: file that its weights are still to come from, by `load`; None where the model has them.

    Attributes:
        filled: whether the weights are there.

    Raises:
        TypeError: the model has no encoder, a posterior without density or gradient, or codes elsewhere.

    """

    def __init__(self, model: LatentModel, checkpoint: str | None = None) -> None:
        super().__init__()
        space = getattr(model, "latent_space", None)
        if not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"expected a first stage that encodes, such as a VAE, got {type(model).__name__}")
        check_posterior("Diffusion", space.posterior, density=True)
        if not isinstance(space.manifold, Euclidean):
            raise TypeError(f"expected a first stage with codes in flat space, got {space.manifold}")
        self.space = space.requires_grad_(False).eval()
        self.checkpoint, self.filled = checkpoint, checkpoint is None

    def load(self, state: Mapping[str, Any]) -> None:
        """Take the weights from the checkpoint of a model."""
        self.space.load_state_dict({k.removeprefix(_OWN): v for k, v in state.items() if k.startswith(_OWN)})
        self.filled = True

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def encoded(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes of q(z|x), (B, d), with -log p(x|z) and log q(z|x), (B,), of observations (B, *shape)."""
        q = self.space.encode(x)
        z, decoded = self.space.draw(q)
        return z, -decoded.log_prob(x), q.log_prob(z)

    def get_extra_state(self) -> Tensor:
        """Return whether the weights are there, for the checkpoint."""
        return torch.tensor(self.filled)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore whether the weights are there."""
        self.filled = bool(state)
