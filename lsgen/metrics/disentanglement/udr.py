r"""The unsupervised disentanglement ranking: models that disentangle resemble each other more than those that do not.

For two models trained alike but for the seed, R_ab is how strongly code a of one and code b of the other go together:
the absolute weight of a lasso regression, or the absolute rank correlation, of standardised codes. Over informative
codes,

    UDR_mn = 1/2 ( 1/d_n sum_b (max_a R_ab)^2 / sum_a R_ab + 1/d_m sum_a (max_b R_ab)^2 / sum_b R_ab ) ,

and the score of model n is the median over the other models m. No ground truth enters.

Reference: Duan et al., "Unsupervised model selection for variational disentangled representation learning" (ICLR 2020),
section 4, https://arxiv.org/abs/1905.12614; lasso with weight 0.1 as in the code of its authors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["UDR", "lasso", "ranks"]

SWEEPS = 10_000


class UDR(Metric):
    """Unsupervised disentanglement ranking of M models that encode the same observations.

    `compute` returns the average over the models, `terms` also that of each and of each pair.

    Args:
        correlation: "lasso" or "spearman".
        weight: weight of the absolute values in the lasso.
        threshold: least average KL divergence, in nats, of an informative code.

    Raises:
        ValueError: an unknown kind of correlation.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    codes: list[Tensor]
    kl_sum: Tensor
    observations: Tensor

    def __init__(self, correlation: str = "lasso", weight: float = 0.1, threshold: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if correlation not in ("lasso", "spearman"):
            raise ValueError(f'expected correlation to be "lasso" or "spearman", got {correlation!r}')
        self.correlation, self.weight, self.threshold = correlation, weight, threshold
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("kl_sum", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self._terms: dict[str, Tensor] = {}

    def update(self, codes: Tensor, kl: Tensor) -> None:
        """Add a batch.

        Args:
            codes: codes of every model, (B, M, d), M at least 2.
            kl: KL(q(z_i|x) || p(z_i)) of every observation, model and code, in nats, (B, M, d).

        Raises:
            ValueError: wrong shapes.

        """
        if codes.ndim != 3 or codes.shape[1] < 2 or kl.shape != codes.shape:
            shapes = f"{tuple(codes.shape)} and {tuple(kl.shape)}"
            raise ValueError(f"expected codes and kl of shape (B, M, d) with M of at least 2 models, got {shapes}")
        self.codes.append(codes.detach())
        self.kl_sum = self.kl_sum + kl.detach().sum(0, dtype=torch.float64)
        self.observations += len(codes)

    def compute(self) -> Tensor:
        """Return the score averaged over models."""
        codes = dim_zero_cat(self.codes).double()
        informative = self.kl_sum / self.observations > self.threshold
        scale = codes.std(0, correction=0)
        standard = (codes - codes.mean(0)) / torch.where(scale > 0, scale, 1.0) * informative
        strength = self._strength(standard)
        models = codes.shape[1]
        pairs = codes.new_full((models, models), float("nan"))
        for m in range(models):
            for n in range(models):
                if m != n:
                    pairs[m, n] = _agreement(strength[m, n][informative[m]][:, informative[n]])
        others = torch.stack([torch.cat([pairs[:n, n], pairs[n + 1 :, n]]) for n in range(models)])
        scores = others.quantile(0.5, dim=1)
        self._terms = {"udr": scores.mean(), "models": scores, "pairs": pairs, "strength": strength}
        return self._terms["udr"]

    def terms(self) -> dict[str, Tensor]:
        """Return the score, the scores of models (M,) and of pairs (M, M), and R (M, M, d, d)."""
        self.compute()
        return self._terms

    def _strength(self, codes: Tensor) -> Tensor:
        """Return R[m, n, a, b], code a of model m against code b of model n."""
        if self.correlation == "spearman":
            x = ranks(codes.flatten(1)).view_as(codes)
            x = (x - x.mean(0)) / torch.where(x.std(0) > 0, x.std(0, correction=0), 1.0)
        else:
            x = codes
        gram = torch.einsum("nma,nkb->mkab", x, x) / len(x)
        return gram.abs() if self.correlation == "spearman" else lasso(gram, self.weight).abs()


def lasso(gram: Tensor, weight: float) -> Tensor:
    """Solve min_W 1/2 |y - x W|^2 / N + weight |W|_1 for all pairs of models by coordinate descent.

    Args:
        gram: second moments of centred codes, [m, n] holding those of model m against model n, (M, M, d, d).
        weight: weight of the absolute values.

    Returns:
        Weights W[m, n, a, b] with which code a of model m enters the prediction of code b of model n.

    Raises:
        RuntimeError: no convergence.

    """
    models, d = gram.shape[0], gram.shape[2]
    own = torch.stack([gram[m, m] for m in range(models)])[:, None]
    diagonal = own.diagonal(dim1=-2, dim2=-1)
    solution = torch.zeros_like(gram)
    for _ in range(SWEEPS):
        before = solution.clone()
        for a in range(d):
            square = diagonal[..., a, None]
            partial = gram[:, :, a] - (own[:, :, a, None] @ solution).squeeze(-2) + square * solution[:, :, a]
            shrunk = partial.sign() * (partial.abs() - weight).clamp(min=0)
            solution[:, :, a] = torch.where(square > 0, shrunk / torch.where(square > 0, square, 1.0), 0.0)
        if bool((solution - before).abs().max() < 1e-12):
            return solution
    raise RuntimeError(
        f"expected the lasso to converge in {SWEEPS} sweeps, got a change of {(solution - before).abs().max()}"
    )


def ranks(x: Tensor) -> Tensor:
    """Return the ranks 1 .. N of each column (N, p), ties sharing their average."""
    columns = x.T.contiguous()
    ordered = columns.sort(dim=1).values
    low, high = torch.searchsorted(ordered, columns), torch.searchsorted(ordered, columns, right=True)
    return ((low + high + 1).to(x) / 2).T


def _agreement(strength: Tensor) -> Tensor:
    if not strength.numel():
        return strength.new_zeros(())
    halves = []
    for dim in (0, 1):
        total = strength.sum(dim)
        halves.append(torch.where(total > 0, strength.amax(dim) ** 2 / torch.where(total > 0, total, 1.0), 0.0).mean())
    return (halves[0] + halves[1]) / 2
