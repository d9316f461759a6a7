r"""Fold-in: the mixture of given topics that explains a document best.

    variational:      gamma_k = alpha + t_k sum_v x_v b_kv / (t b)_v,    t = exp psi(gamma),    b = exp E[log beta]
    likelihood:       theta_k <- theta_k / n sum_v x_v beta_kv / (theta beta)_v
    least squares:    w = argmin |x - w beta|^2 with w >= 0, one weight after the other;    theta = w / sum w

The first is mean-field inference in LDA with topics beta_k ~ Dirichlet(lambda_k), the second expectation maximisation
of PLSA, which is non-negative matrix factorisation by the Kullback-Leibler divergence. Each document stops by itself
when its mixture moves by less than `tol`, so that it does not depend on the others. A document without words has equal
weights; a word that no topic has says nothing of a mixture.

Reference: Hoffman, Blei & Bach, "Online learning for latent Dirichlet allocation" (2010), algorithm 2; Hofmann,
"Probabilistic latent semantic indexing" (1999); Gaussier & Goutte, "Relation between PLSA and NMF" (2005).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lsgen.models.topics.decoders import normalised

__all__ = ["FoldIn", "LeastSquaresFoldIn", "LikelihoodFoldIn", "VariationalFoldIn"]

Step = Callable[[Tensor], Tensor]


class FoldIn(nn.Module, ABC):
    """Abstract encoder of documents (N, *shape) by iteration, with given topics.

    Args:
        weights: weights of words of each topic, (K, V), shared with the decoder.
        iterations: the most there are.
        tol: average change of a mixture's weights at which its document stops.

    Raises:
        ValueError: iterations or tol is not positive.

    """

    def __init__(self, weights: nn.Parameter, iterations: int, tol: float) -> None:
        super().__init__()
        if iterations < 1 or not tol > 0:
            raise ValueError(f"expected iterations and tol above 0, got {iterations} and {tol}")
        self.dim, self.heads = len(weights), 1
        self.weights, self.iterations, self.tol = weights, int(iterations), float(tol)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log of the mixture, or of its concentrations, (N, K)."""
        x = x.flatten(1).to(self.weights.dtype)
        found = self.start(x)
        step = self.step(x)
        active = torch.ones_like(found[:, :1], dtype=torch.bool)
        for _ in range(self.iterations):
            new = torch.where(active, step(found), found)
            active = (new - found).abs().mean(-1, keepdim=True) > self.tol * self.scale(x)
            found = new
            if x.device.type == "cpu" and not bool(active.any()):  # another device is not waited for
                break
        return self.finished(found).clamp(min=torch.finfo(found.dtype).tiny).log()

    def start(self, x: Tensor) -> Tensor:
        """Return the first value, (N, K)."""
        return torch.full((len(x), self.dim), 1 / self.dim, dtype=x.dtype, device=x.device)

    def scale(self, x: Tensor) -> Tensor:
        """Return the size of what moves, (N, 1)."""
        return torch.ones_like(x[:, :1])

    def finished(self, found: Tensor) -> Tensor:
        """Return the last value as a mixture, or as concentrations."""
        return found

    @abstractmethod
    def step(self, x: Tensor) -> Step:
        """Return the map of one iteration for documents (N, V), values (N, K) -> (N, K)."""


class VariationalFoldIn(FoldIn):
    """Mean-field inference of a document's mixture in LDA; the result is the log of its Dirichlet concentrations.

    Args:
        weights: concentrations lambda (K, V) of the topics.
        alpha: concentration of mixtures.
        iterations: see `FoldIn`.
        tol: see `FoldIn`; of concentrations.

    """

    def __init__(self, weights: nn.Parameter, alpha: float, iterations: int = 200, tol: float = 1e-4) -> None:
        super().__init__(weights, iterations, tol)
        self.alpha = float(alpha)

    def start(self, x: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones(len(x), self.dim, dtype=x.dtype, device=x.device)

    def step(self, x: Tensor) -> Step:
        """Return the update of the concentrations."""
        expected = torch.digamma(self.weights) - torch.digamma(self.weights.sum(-1, keepdim=True))
        b = (expected - expected.amax(0)).exp()  # shares do not depend on a factor of a word, which may be below range
        shares = _responsibilities(x, b)

        def update(gamma: Tensor) -> Tensor:
            logs = torch.digamma(gamma)
            return self.alpha + shares((logs - logs.amax(-1, keepdim=True)).exp())

        return update


class LikelihoodFoldIn(FoldIn):
    """The mixture of greatest likelihood, by expectation maximisation; the result is its log.

    Args:
        weights: weights (K, V) of the topics.
        iterations: see `FoldIn`.
        tol: see `FoldIn`.

    """

    def __init__(self, weights: nn.Parameter, iterations: int = 500, tol: float = 1e-6) -> None:
        super().__init__(weights, iterations, tol)

    def step(self, x: Tensor) -> Step:
        """Return expectation maximisation."""
        shares = _responsibilities(x, normalised(self.weights))
        return lambda theta: normalised(shares(theta))


class LeastSquaresFoldIn(FoldIn):
    """The weights of topics, not negative, whose sum of squares is least; the result is the log of the mixture.

    Args:
        weights: weights (K, V) of the topics.
        iterations: see `FoldIn`.
        tol: see `FoldIn`; of weights, over the number of words.

    """

    def __init__(self, weights: nn.Parameter, iterations: int = 200, tol: float = 1e-6) -> None:
        super().__init__(weights, iterations, tol)

    def scale(self, x: Tensor) -> Tensor:
        """Return the numbers of words."""
        return x.sum(-1, keepdim=True)

    def finished(self, found: Tensor) -> Tensor:
        """Return the mixture."""
        return normalised(found)

    def step(self, x: Tensor) -> Step:
        """Return one round of coordinate descent."""
        topics = normalised(self.weights)
        target, gram = x @ topics.T, topics @ topics.T

        def descend(found: Tensor) -> Tensor:
            weights = list(found.unbind(-1))
            for k, row in enumerate(gram):
                slope = torch.stack(weights, -1) @ row - target[:, k]
                weights[k] = (weights[k] - slope / row[k]).clamp(min=0)
            return torch.stack(weights, -1)

        return descend


def _responsibilities(x: Tensor, b: Tensor) -> Step:
    """Return theta -> theta_k sum_v x_v b_kv / (theta b)_v, (N, K): the words that each topic accounts for."""
    return (_of_words_there_are if x.device.type == "cpu" else _of_all_words)(x, b)


def _of_words_there_are(x: Tensor, b: Tensor) -> Step:
    """Return the responsibilities from the words alone that occur, which are few; their number is asked for."""
    rows, words = x.nonzero(as_tuple=True)
    counts, columns = x[rows, words].unsqueeze(-1), b.T[words]

    def shares(theta: Tensor) -> Tensor:
        share = theta[rows] * columns
        total = share.sum(-1, keepdim=True)
        share = share / total.where(total > 0, 1) * counts  # divided first: a count over a small total has no number
        return torch.zeros_like(theta).index_add_(0, rows, share)

    return shares


def _of_all_words(x: Tensor, b: Tensor) -> Step:
    """Return the responsibilities by products of matrices, which ask for nothing, in double precision.

    (theta b)_v may be as small as exp psi(alpha), below the range of single precision, by which x_v is divided.
    """
    counts, topics = x.double(), b.double()

    def shares(theta: Tensor) -> Tensor:
        weights = theta.double()
        ratio = counts / (weights @ topics).clamp(min=1e-290)
        return (weights * (ratio @ topics.T)).to(theta.dtype)

    return shares
