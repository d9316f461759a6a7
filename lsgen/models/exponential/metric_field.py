r"""A smooth field of positive definite matrices through noisy ones at nodes.

    g = C C^T,    log C_ii and C_ij (i > j) by kernel ridge regression
    f(u) = m + sum_k a_k exp(-|u - u_k|^2 / 2 l^2)

with (K + r I) a = values - m. Length l and ridge r of each entry are those of least generalised cross-validation,

    G |values - fit|^2 / (G - trace of the smoother)^2.

Reference: Golub, Heath & Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter" (1979).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsgen.models.exponential.samples import FamilySamples

__all__ = ["CholeskyField"]

_LENGTHS = (0.15, 0.25, 0.4, 0.6, 1.0, 1.6, 2.5)
_RIDGES = tuple(10.0**power for power in range(-8, 2))


class CholeskyField(nn.Module):
    """A smooth field of positive definite matrices, (N, d) -> (N, d, d).

    Args:
        samples: parameters are taken in units of their box.
        nodes: parameters (G, d).
        matrices: positive definite matrices (G, d, d).

    Raises:
        ValueError: a matrix is not positive definite.

    """

    def __init__(self, samples: FamilySamples, nodes: Tensor, matrices: Tensor) -> None:
        super().__init__()
        root, failed = torch.linalg.cholesky_ex(matrices)
        if bool(failed.any()):
            raise ValueError(
                f"expected positive definite matrices at all nodes, got {int((failed > 0).sum())} of {len(nodes)} that "
                "are not: more samples at each node are needed, or statistics that do not depend on each other"
            )
        self.samples, self.dim, self.centres = samples, samples.dim, samples.scaled(nodes)
        rows, columns = torch.tril_indices(self.dim, self.dim)
        entries = torch.where(rows == columns, root[:, rows, columns].abs().log(), root[:, rows, columns])
        self.mean = entries.mean(0)
        square = torch.cdist(self.centres, self.centres).square()
        spectra = [torch.linalg.eigh((-square / (2 * length**2)).exp()) for length in _LENGTHS]
        self.fits = [_cross_validated(spectra, part) for part in (entries - self.mean).unbind(1)]
        self.places = list(zip(rows.tolist(), columns.tolist(), strict=True))

    def forward(self, t: Tensor) -> Tensor:
        """Return the matrices at parameters (N, d)."""
        difference = self.samples.scaled(t)[:, None, :] - self.centres.to(t)
        square = (difference * difference).sum(-1)
        root = torch.zeros(self.dim, self.dim, dtype=t.dtype, device=t.device)
        for (i, j), mean, (length, weights) in zip(self.places, self.mean.tolist(), self.fits, strict=True):
            value = (square * (-0.5 / length**2)).exp() @ weights.to(t) + mean
            unit = torch.zeros(self.dim, self.dim, dtype=t.dtype, device=t.device)
            unit[i, j] = 1.0
            root = root + (value.exp() if i == j else value)[:, None, None] * unit
        return root @ root.mT


def _cross_validated(spectra: list[tuple[Tensor, Tensor]], values: Tensor) -> tuple[float, Tensor]:
    """Return the length and the weights (G,) of least generalised cross-validation."""
    best: tuple[float, float, Tensor] | None = None
    for length, (eigenvalues, vectors) in zip(_LENGTHS, spectra, strict=True):
        seen = vectors.T @ values
        for ridge in _RIDGES:
            left = ridge / (eigenvalues.clamp(min=0) + ridge)
            score = float((left * seen).square().sum() / left.sum().square())
            if best is None or score < best[0]:
                best = score, length, vectors @ (seen * left / ridge)
    assert best is not None
    return best[1:]
