r"""Optimisers of codes on a manifold: stochastic gradient descent of our own, and those of geoopt.

    z <- exp_z(-lr grad f(z)),    grad f the Riemannian gradient, whose length is a distance in units of f

Only the codes that a batch names are touched where gradients are sparse, so that a step costs what the batch does and
not what the table does. geoopt's optimisers know other manifolds by the same formulas; a table is handed to them as
its `ManifoldParameter`.

Reference: Bonnabel, "Stochastic gradient descent on Riemannian manifolds" (2013), https://arxiv.org/abs/1111.5280;
Becigneul & Ganea, "Riemannian adaptive optimization methods" (2019), https://arxiv.org/abs/1810.00760, for geoopt's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lsgen.extras import from_extra
from lsgen.latent import Euclidean, Lorentz, Manifold, PoincareBall, ProductManifold, Sphere

__all__ = ["RiemannianSGD", "geoopt_parameter", "geoopt_steps"]


class RiemannianSGD(Optimizer):
    """Stochastic gradient descent along geodesics.

    A code stays where the geodesic leads beyond what its precision can represent.

    Args:
        params: the codes (N, d), with dense or sparse gradients.
        lr: rate of learning.

    Raises:
        ValueError: the rate is not positive.

    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.03) -> None:
        if not 0 < lr < float("inf"):
            raise ValueError(f"expected a learning rate above 0, got {lr}")
        super().__init__(params, {"lr": float(lr)})
        self.manifold: Manifold = Euclidean()

    def on(self, manifold: Manifold) -> RiemannianSGD:
        """Say on which manifold the codes lie, and return the optimiser; without that it is flat space."""
        self.manifold = manifold
        return self

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the codes that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for codes in group["params"]:
                if codes.grad is None:
                    continue
                if codes.grad.is_sparse:
                    gradient = codes.grad.coalesce()
                    rows = gradient.indices()[0]
                    codes[rows] = self._moved(codes[rows], gradient.values(), group["lr"])
                else:
                    codes.copy_(self._moved(codes, codes.grad, group["lr"]))
        return loss

    def _moved(self, z: Tensor, g: Tensor, lr: float) -> Tensor:
        step = -lr * self.manifold.gradient(z, g)
        there = self.manifold.exp(z, step)
        beyond = step.isfinite().all(-1, keepdim=True) & ~there.isfinite().all(-1, keepdim=True)
        return torch.where(beyond, z, there)


def geoopt_steps(optimizer: Optimizer) -> bool:
    """Return whether an optimiser is one of geoopt, which steps along manifolds."""
    return type(optimizer).__module__.partition(".")[0] == "geoopt"


def geoopt_parameter(codes: nn.Parameter, manifold: Manifold) -> nn.Parameter:
    """Return codes (N, d) as a parameter of which geoopt knows the manifold.

    Raises:
        ImportError: geoopt is not installed.
        TypeError: geoopt has no such manifold.

    """
    with from_extra("hyperbolic", "a geoopt optimiser needs geoopt"):
        import geoopt
    made: nn.Parameter = geoopt.ManifoldParameter(codes.detach(), manifold=_of_geoopt(manifold, geoopt))
    return made


def _of_geoopt(manifold: Manifold, geoopt: Any) -> Any:
    if isinstance(manifold, ProductManifold):
        parts = zip(manifold.parts, manifold.sizes, strict=True)
        return geoopt.ProductManifold(*((_of_geoopt(part, geoopt), size) for part, size in parts))
    if type(manifold) is Euclidean:
        return geoopt.Euclidean(1)
    if isinstance(manifold, Sphere):
        return geoopt.Sphere()
    double = torch.float64
    if isinstance(manifold, PoincareBall):
        return geoopt.PoincareBall(torch.tensor(manifold.curvature, dtype=double))
    if isinstance(manifold, Lorentz):
        return geoopt.Lorentz(torch.tensor(1 / manifold.curvature, dtype=double))
    raise TypeError(f"expected a manifold that geoopt has, got {manifold}")
