r"""What skip-gram with negative sampling factorises: the shifted pointwise mutual information of words and contexts.

    u_c.v_w = log #(w,c) / (#(w) q_c) - log k

at the optimum, where the pair was seen and d is large enough, with k negatives of the noise q. It is the pointwise
mutual information, shifted, if q is proportional to how often words occur; with q ~ count^0.75 that of smoothed
contexts.

Reference: Levy & Goldberg, "Neural word embedding as implicit matrix factorization" (2014), equations 7 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from lsgen.models.embedding import NegativeSampling, Word2Vec
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["PointwiseInformation"]

_ROWS = 256  # that are counted together


@dataclass(frozen=True)
class PointwiseInformation:
    """Compares products of word and context vectors with the shifted pointwise information of the training documents.

    Keys: correlation, and rmse in nats, over the pairs that were seen, weighted by how often; rmse_plain, with how
    often contexts occur in place of the noise; empty, the share of pairs of two words that were never seen.

    """

    def __call__(self, run: TrainedRun) -> Measured:
        """Return how far the products of a run are from the shifted information.

        Raises:
            TypeError: the run is none of Word2Vec with negative sampling.
            ValueError: its windows are random, so that pairs have no count.

        """
        model = run.model
        decoder = getattr(getattr(model, "latent_space", None), "decoder", None)
        if not isinstance(model, Word2Vec) or not isinstance(decoder, NegativeSampling):
            raise TypeError(f"expected a run of Word2Vec with negative sampling, got {type(model).__name__}")
        if model.windows.shrink or model.windows.subsample is not None:
            raise ValueError("expected windows of one size without subsampling, got random ones")
        with torch.no_grad():
            seen = self._counts(model, run).double()
            product = (model.latent_space.table() @ decoder.weight.mT).double()
            given, noise = seen / seen.sum(1, keepdim=True), decoder.noise.double()
            shifted = (given / noise).log() - log(decoder.negatives)
            plain = (given * seen.sum() / seen.sum(0)).log() - log(decoder.negatives)
            known = seen > 0
            weight = seen[known] / seen[known].sum()
            errors = {
                name: float((weight * (product[known] - wanted[known]).square()).sum().sqrt())
                for name, wanted in (("rmse", shifted), ("rmse_plain", plain))
            }
            centred = torch.stack([part[known] - (weight * part[known]).sum() for part in (product, shifted)])
            covariance = (weight * centred) @ centred.mT
            apart = ~torch.eye(len(seen), dtype=torch.bool)
        values = {
            **errors,
            "correlation": float(covariance[0, 1] / covariance.diagonal().prod().sqrt()),
            "empty": float((~known & apart).double().sum() / apart.sum()),
        }
        return Measured(values, {"product": product[known].float(), "information": shifted[known].float()})

    def _counts(self, model: Word2Vec, run: TrainedRun) -> Tensor:
        """Return how often each item (V) had each context (V)."""
        data, items = run.data.dataset("train"), model.latent_space.decoder.items
        seen, kept = torch.zeros(items * items, dtype=torch.int64), torch.ones(items)
        for rows in torch.arange(len(data)).split(_ROWS):
            x = data[rows]["x"].flatten(1)
            contexts = model.windows.contexts(x, kept)
            around, inside = contexts.pairs(model.windows.reach(x.shape[1]))
            pairs = contexts.items[:, None] * items + around
            seen += torch.bincount(pairs[inside], minlength=items * items)
        return seen.reshape(items, items)
