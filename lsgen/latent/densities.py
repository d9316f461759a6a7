"""A check that priors and posteriors have densities."""

from __future__ import annotations

from lsgen.latent.posteriors import PointPosterior, Posterior
from lsgen.latent.priors import ImplicitPrior, Prior

__all__ = ["check_density"]


def check_density(*parts: Prior | Posterior) -> None:
    """Raise an error if a prior or a posterior has no density.

    Raises:
        TypeError: a part is an `ImplicitPrior` or a `PointPosterior`.

    """
    for part in parts:
        if isinstance(part, ImplicitPrior):
            raise TypeError(f"expected a prior with a density, got {type(part).__name__}, which can only be sampled")
        if isinstance(part, PointPosterior):
            raise TypeError(f"expected a posterior with a density, got {type(part).__name__}, whose codes are points")
