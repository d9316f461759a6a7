"""A decoder with a constant standard deviation until a network of precisions is fitted, and a perceptron for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, prod

import torch
from torch import Tensor, nn

from lsgen.nn.mlp import MLPDecoder
from lsgen.nn.rbf import Precision, RBFDecoder, checked_errors

__all__ = ["MLPPrecision", "StagedRBFDecoder"]


class MLPPrecision(Precision):
    """A perceptron for the logarithm of the precision, which is free to grow or to fall away from the codes.

    Fitting makes it constant, the inverse of the average squared error; gradients teach it where errors differ.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.

    Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), section 4.1, for what it lacks,
    https://arxiv.org/abs/1710.11379.
    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.Softplus,
    ) -> None:
        super().__init__()
        self.dim, self.shape = dim, tuple(int(size) for size in shape)
        self.log_precision = MLPDecoder(dim, self.shape, hidden, activation)

    @property
    def too_few_codes(self) -> int:
        """0."""
        return 0

    def forward(self, z: Tensor) -> Tensor:
        """Return the precisions, (N, *shape)."""
        out: Tensor = self.log_precision(z).exp()
        return out

    @torch.no_grad()
    def fit(self, codes: Tensor, squared_errors: Tensor) -> Tensor:
        """Make it the constant of greatest likelihood, see `Precision.fit`.

        Raises:
            ValueError: the errors have another shape, are negative or all zero.

        """
        errors = checked_errors(self, codes, squared_errors)
        average = errors.mean()
        last: nn.Linear = self.log_precision.layers[-1]  # type: ignore[assignment]
        beta = self(codes).flatten(1)
        before = (beta * errors - beta.log()).double().sum(1).mean() / 2
        last.weight.zero_()
        last.bias.fill_(-average.log())
        return torch.stack([before, (1 + average.double().log()) * prod(self.shape) / 2])


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

    def __init__(self, mean: nn.Module, precision: Precision, sigma: float = 0.1, heads: int = 2) -> None:
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
        """Fit the precision network, see `RBFPrecision.fit` and `MLPPrecision.fit`.

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
