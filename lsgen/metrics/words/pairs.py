"""The similarity of pairs of words in a table of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.latent import Codes, Euclidean, Sphere
from lsgen.latent.distances import CosineDistance, distance_on

__all__ = ["PairSimilarities", "pair_similarities"]


@dataclass(frozen=True)
class PairSimilarities:
    """Similarities of pairs of words.

    Attributes:
        values: one of each pair, in double precision, NaN where a word is not in the table, (N,).
        unknown: the pairs of which a word is not in the table, in their order.

    """

    values: Tensor
    unknown: tuple[tuple[str, str], ...]


def pair_similarities(codes: Codes, pairs: Sequence[tuple[str, str]]) -> PairSimilarities:
    """Return the similarity of each pair: the cosine in flat space and on spheres, elsewhere minus the distance.

    Args:
        codes: the codes (N, d) of words, by name.
        pairs: names of two words each.

    Raises:
        ValueError: there is no pair, or a vector has no direction.

    """
    if not pairs:
        raise ValueError("expected at least one pair of words, got none")
    place = codes.places()
    rows = torch.tensor([[place.get(a, -1), place.get(b, -1)] for a, b in pairs])
    known = (rows >= 0).all(1)
    values = torch.full((len(pairs),), torch.nan, dtype=torch.float64)
    if bool(known.any()):
        asked, index = rows[known].unique(return_inverse=True)
        z = torch.from_numpy(codes.z[asked.numpy()].copy()).double()
        flat = isinstance(codes.manifold, Euclidean | Sphere)
        distance = CosineDistance() if flat else distance_on(codes.manifold)
        features = distance.features(z)
        values[known] = (1.0 if flat else 0.0) - distance.between(features[index[:, 0]], features[index[:, 1]]).double()
    unknown = tuple(pair for pair, there in zip(pairs, known.tolist(), strict=True) if not there)
    return PairSimilarities(values, unknown)
