"""Options of class conditioning and of classifier-free guidance.

Reference: Ho & Salimans, "Classifier-free diffusion guidance" (2022), https://arxiv.org/abs/2207.12598.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

__all__ = ["Guidance"]


@dataclass(frozen=True)
class Guidance:
    """How classes are learned, and which one is decoded.

    Attributes:
        dropout: share of labels that training leaves out, by which the denoiser learns without classes too.
        weight: w in w D(label) + (1 - w) D(none), where observations of a class are made; 1 is no guidance.
        label: class of the observations that the latent space decodes; None for no class.

    Raises:
        ValueError: dropout is no share, or the weight is not finite.

    """

    dropout: float = 0.1
    weight: float = 1.0
    label: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"Guidance expected a dropout of labels in [0, 1], got {self.dropout}")
        if not isfinite(self.weight):
            raise ValueError(f"Guidance expected a finite weight, got {self.weight}")
