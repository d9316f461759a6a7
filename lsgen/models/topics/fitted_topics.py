"""Topic models that scikit-learn fits: LDA, NMF and PLSA."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsgen.latent import Deterministic, EncodableLatentSpace, Posterior
from lsgen.likelihoods import Multinomial
from lsgen.models.base import Batch
from lsgen.models.fitted import FittedModel
from lsgen.models.losses import Losses
from lsgen.models.topics.decoders import WeightedTopics
from lsgen.models.topics.folding import FoldIn, LeastSquaresFoldIn, LikelihoodFoldIn, VariationalFoldIn
from lsgen.models.topics.mixtures import DirichletPosterior, DirichletPrior
from lsgen.models.vae.objective import sample_terms

__all__ = ["LDA", "NMF", "TopicModel"]


class TopicModel(FittedModel):
    """Abstract topic model that is fitted to all documents at once.

    Documents are put into an order that depends on their words alone before the fit, so that a seed gives the same
    topics whatever the batches. Their counts are kept in memory, sparse, until then.

    Args:
        encoder: documents -> the log of mixtures, or of their concentrations.
        shape: shape of one observation.
        alpha: concentration of the Dirichlet prior of mixtures.
        posterior: family of q(theta|x).
        trials: words of a document that is drawn, and of means and the geometry.
        seed: seed of the fit.
        max_steps: batches after which the fit is made, if not at the end of the epoch.

    """

    latent_space: EncodableLatentSpace
    joined: ClassVar[bool] = True

    def __init__(
        self,
        encoder: FoldIn,
        shape: Sequence[int],
        alpha: float,
        posterior: Posterior,
        trials: int,
        seed: int,
        max_steps: int | None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"expected a seed of at least 0, got {seed}")
        decoder, likelihood = WeightedTopics(encoder.weights, shape), Multinomial(shape, trials, coefficient=False)
        space = EncodableLatentSpace(encoder, decoder, likelihood, DirichletPrior(encoder.dim, alpha), posterior)
        super().__init__(space, max_steps=max_steps)
        self.seed = seed

    @property
    def least_observations(self) -> int:
        """Two documents: one says nothing of topics."""
        return 2

    @property
    def topics(self) -> Tensor:
        """The weights of words of each topic, (K, V)."""
        decoder = self.latent_space.decoder
        assert isinstance(decoder, WeightedTopics)
        return decoder.topics()

    @abstractmethod
    def components(self, counts: Any) -> NDArray[np.float64]:
        """Return weights of topics, (K, V), from the counts of all documents, a sparse matrix (N, V)."""

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch; the loss is the negative ELBO, or the reconstruction of point codes."""
        return sample_terms(self.latent_space, batch["x"]).bound()

    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        """Return the number of words of each document that occur in it, these words, and their counts."""
        flat = x.flatten(1)
        rows, words = flat.nonzero(as_tuple=True)
        return rows.bincount(minlength=len(flat)), words, flat[rows, words].double()

    def solve(self, count: Tensor, *sums: Tensor) -> None:
        """Set the topics from all documents."""
        from scipy import sparse

        kinds, words, counts = (part.cpu().numpy() for part in sums)
        starts = np.concatenate([[0], np.cumsum(kinds)])
        shape = (len(kinds), int(np.prod(self.latent_space.likelihood.shape)))
        rows = sparse.csr_matrix((counts, words, starts), shape=shape)
        keys = [_digest(rows.indices[a:b], rows.data[a:b]) for a, b in pairwise(starts)]
        found = torch.from_numpy(self.components(rows[np.argsort(np.array(keys), kind="stable")]))
        weights = self.latent_space.decoder.get_parameter("weights")
        weights.copy_(found.to(weights))


def _digest(words: NDArray[Any], counts: NDArray[Any]) -> bytes:
    """Return a key of a document that depends on its words alone and looks drawn at random."""
    content = np.stack([words.astype(np.float64), counts.astype(np.float64)]).tobytes()
    return blake2b(content, digest_size=16).digest()


def _empty(shape: Sequence[int], dim: int) -> nn.Parameter:
    """Return equal weights of words for every topic."""
    if dim < 1:
        raise ValueError(f"expected at least 1 topic, got {dim}")
    return nn.Parameter(torch.full((dim, int(np.prod(tuple(shape)))), 1.0), requires_grad=False)


class LDA(TopicModel):
    r"""Latent Dirichlet allocation by variational Bayes, in batches or online.

        beta_k ~ Dirichlet(eta),    theta ~ Dirichlet(alpha),    x ~ Multinomial(n, theta beta)

    The topics are the means of their Dirichlets. The posterior q(theta|x) of a document is a Dirichlet by mean-field
    inference; the losses are those of the bound E_q[-log p(x|theta)] + KL(q || p), in which words are summed over, with
    one draw. Log-probabilities leave the multinomial coefficient out.

    Args:
        shape: shape of one observation, whose values are counts of words.
        dim: number K of topics.
        alpha: concentration of mixtures; 1/K where it is None.
        eta: concentration of topics; 1/K where it is None.
        learning: "batch" passes over all documents at each of the iterations, "online" takes `batch_size` at a time.
        iterations: passes over the documents.
        batch_size: documents of an update online; no effect in batches.
        trials: words of a document that is drawn, and of means and the geometry.
        seed: seed of the fit.
        max_steps: batches of training after which the fit is made, if not at the end of the epoch.

    Raises:
        ValueError: a number is out of its range.

    Reference: Blei, Ng & Jordan (2003); Hoffman, Blei & Bach (2010), whose online algorithm scikit-learn has.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        alpha: float | None = None,
        eta: float | None = None,
        learning: Literal["batch", "online"] = "batch",
        iterations: int = 50,
        batch_size: int = 128,
        trials: int = 100,
        seed: int = 0,
        max_steps: int | None = None,
    ) -> None:
        weights = _empty(shape, dim)
        alpha, self._eta = (1 / dim if one is None else float(one) for one in (alpha, eta))
        if learning not in ("batch", "online"):
            raise ValueError(f'expected learning "batch" or "online", got {learning!r}')
        if not self._eta > 0 or iterations < 1 or batch_size < 1:
            raise ValueError(
                f"expected eta, iterations and batch_size above 0, got {self._eta}, {iterations} and {batch_size}"
            )
        self._alpha, self._learning, self._iterations, self._batch = alpha, learning, int(iterations), int(batch_size)
        super().__init__(
            VariationalFoldIn(weights, alpha), shape, alpha, DirichletPosterior(dim), trials, seed, max_steps
        )

    def components(self, counts: Any) -> NDArray[np.float64]:
        """Return the concentrations lambda of the topics."""
        from sklearn.decomposition import LatentDirichletAllocation

        fitted = LatentDirichletAllocation(
            self.latent_space.dim,
            doc_topic_prior=self._alpha,
            topic_word_prior=self._eta,
            learning_method=self._learning,
            max_iter=self._iterations,
            batch_size=self._batch,
            random_state=self.seed,
        ).fit(counts)
        found: NDArray[np.float64] = fitted.components_
        return found


class NMF(TopicModel):
    r"""Non-negative matrix factorisation x ~ n theta beta; PLSA by the Kullback-Leibler divergence.

    By `loss="kullback-leibler"` it maximises the likelihood of PLSA, Multinomial(n, theta beta), by its own updates;
    by "frobenius" it minimises squares. Rows of beta and theta are normalised; codes are points. Equal weights of
    mixtures are what the prior says, under which PLSA is the most probable explanation of a document.

    Args:
        shape: shape of one observation, whose values are counts of words.
        dim: number K of topics.
        divergence: "frobenius" or "kullback-leibler".
        iterations: updates of the fit at most.
        tol: relative decrease of the divergence at which it stops.
        trials: words of a document that is drawn, and of means and the geometry.
        seed: seed of the start.
        max_steps: batches of training after which the fit is made, if not at the end of the epoch.

    Raises:
        ValueError: a number is out of its range, or there is no such divergence.

    Reference: Lee & Seung (2001); Hofmann (1999); Girolami & Kaban, "On an equivalence between PLSI and LDA" (2003).
    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        divergence: Literal["frobenius", "kullback-leibler"] = "frobenius",
        iterations: int = 400,
        tol: float = 1e-5,
        trials: int = 100,
        seed: int = 0,
        max_steps: int | None = None,
    ) -> None:
        weights = _empty(shape, dim)
        if divergence not in ("frobenius", "kullback-leibler"):
            raise ValueError(f'expected divergence "frobenius" or "kullback-leibler", got {divergence!r}')
        if iterations < 1 or tol < 0:
            raise ValueError(f"expected iterations of at least 1 and tol of at least 0, got {iterations} and {tol}")
        self._divergence, self._iterations, self._tol = divergence, int(iterations), float(tol)
        encoder = (LeastSquaresFoldIn if divergence == "frobenius" else LikelihoodFoldIn)(weights)
        super().__init__(encoder, shape, 1.0, Deterministic(), trials, seed, max_steps)

    def components(self, counts: Any) -> NDArray[np.float64]:
        """Return the factor of words."""
        from sklearn.decomposition import NMF as Factorisation
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # as many iterations as were asked for
            fitted = Factorisation(
                self.latent_space.dim,
                init="random",
                beta_loss=self._divergence,
                solver="cd" if self._divergence == "frobenius" else "mu",
                max_iter=self._iterations,
                tol=self._tol,
                random_state=self.seed,
            ).fit(counts)
        found: NDArray[np.float64] = fitted.components_
        return found
