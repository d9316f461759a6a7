"""A decoder with a constant standard deviation until a network of radial basis functions is fitted."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from lsgen.nn.rbf import RBFDecoder, RBFPrecision

__all__ = ["StagedRBFDecoder"]


class StagedRBFDecoder(nn.Module):
    """Codes (N, dim) -> the heads (mu, log sigma) of a Gaussian.

    Until `fit` is called sigma is a constant, with which the mean can be trained; from then on it is that of the
    precision network, as in `RBFDecoder`.

    Args:
        mean: codes (N, dim) -> means (N, *shape).
        precision: codes (N, dim) -> precisions (N, *shape).
        sigma: standard deviation at first, in the units of the data.
        heads: 2, for whoever has to state it.

    Attributes:
        fitted: the same as `is_fitted`, for the checkpoint: a boolean tensor ().

    Raises:
        ValueError: sigma is not positive, or heads is not 2.

    """

    fitted: Tensor

    def __init__(self, mean: nn.Module, precision: RBFPrecision, sigma: float = 0.1, heads: int = 2) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        if heads != 2:
            raise ValueError(f"expected heads = 2, mean and log standard deviation, got {heads}")
        self.heads, self.dim, self.sigma = 2, precision.dim, float(sigma)
        self.both = RBFDecoder(mean, precision, frozen=False)
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.register_load_state_dict_post_hook(_loaded)
        self._fitted = False

    @property
    def is_fitted(self) -> bool:
        """Whether the precision network has been fitted, as known on the host."""
        return self._fitted

    @property
    def mean(self) -> nn.Module:
        """The network of the mean."""
        return self.both.mean

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, 2 * shape[0], *shape[1:])."""
        if self._fitted:
            out: Tensor = self.both(z)
            return out
        mean = self.both.mean(z)
        return torch.cat([mean, torch.full_like(mean, log(self.sigma))], 1)

    def fit(self, codes: Tensor, squared_errors: Tensor) -> Tensor:
        """Fit the precision network, see `RBFPrecision.fit`; the centres come from k-means with seed 0.

        Args:
            codes: codes (N, d).
            squared_errors: (x - mu(z))^2, (N, *shape).

        """
        history = self.both.precision.fit(codes, squared_errors)
        self._fitted = True
        self.fitted.fill_(True)
        return history


def _loaded(module: StagedRBFDecoder, _: object) -> None:
    module._fitted = bool(module.fitted)
