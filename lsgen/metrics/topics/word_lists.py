r"""What the top words of topics say of one another, and how far topics of several fits agree.

    diversity      different words among the n top words of all topics, over K n
    exclusivity    mean over topics and their top words v of beta_kv / sum_j beta_jv
    stability      mean over matched topics of the Jaccard index of their top words, or of the cosine of their weights;
                   topics are matched one to one such that the sum is largest

Reference: Dieng, Ruiz & Blei (2020) for diversity; Bischof & Airoldi, "Summarizing topical content with word frequency
and exclusivity" (2012); Greene, O'Callaghan & Cunningham, "How many topics? Stability analysis for topic models"
(2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Matched", "match_topics", "top_words", "topic_diversity", "topic_exclusivity", "topic_stability"]

Likeness = Literal["words", "weights"]


class Matched(NamedTuple):
    """Topics of two fits, matched one to one.

    Attributes:
        order: the topic of the second fit for each of the first, (K,).
        likeness: how alike they are, between 0 and 1, (K,).

    """

    order: Tensor
    likeness: Tensor


def top_words(topics: Tensor, n: int = 10) -> Tensor:
    """Return the numbers of the most probable words of topics (K, V), the most probable first, (K, min(n, V)).

    Words of equal weight are in the order of the vocabulary.

    Raises:
        ValueError: n is not positive, or topics are no matrix.

    """
    if topics.ndim != 2 or n < 1:
        raise ValueError(f"expected topics (K, V) and n of at least 1, got {tuple(topics.shape)} and {n}")
    return topics.sort(dim=-1, descending=True, stable=True).indices[:, :n]


def topic_diversity(topics: Tensor, n: int = 25) -> float:
    """Return the share of different words among the n top words of topics (K, V)."""
    words = top_words(topics, n)
    return len(words.unique()) / words.numel()


def topic_exclusivity(topics: Tensor, n: int = 10) -> Tensor:
    """Return how far a topic has its n top words for itself, of topics (K, V), (K,): between 1/K and 1 on average."""
    share = topics / topics.sum(0).clamp(min=torch.finfo(topics.dtype).tiny)
    return share.gather(1, top_words(topics, n)).mean(-1)


def match_topics(topics: Tensor, others: Tensor, by: Likeness = "words", n: int = 10) -> Matched:
    """Return the topics (K, V) of two fits, matched one to one by the Hungarian algorithm.

    Args:
        topics: those of one fit.
        others: those of another.
        by: "words", the Jaccard index of their n top words, or "weights", the cosine of their weights.
        n: number of top words.

    Raises:
        ValueError: the shapes differ, or there is no such likeness.

    """
    from scipy.optimize import linear_sum_assignment

    if topics.ndim != 2 or topics.shape != others.shape:
        raise ValueError(f"expected topics (K, V) of one shape, got {tuple(topics.shape)} and {tuple(others.shape)}")
    if by == "words":
        first, second = (_indicator(one, n) for one in (topics, others))
        common = first @ second.T
        likeness = common / (2 * min(n, topics.shape[1]) - common)
    elif by == "weights":
        likeness = torch.nn.functional.cosine_similarity(topics[:, None].double(), others[None].double(), -1)
    else:
        raise ValueError(f'expected topics to be matched by "words" or "weights", got {by!r}')
    order = torch.from_numpy(linear_sum_assignment(-likeness.cpu().numpy())[1]).to(likeness.device)
    return Matched(order, likeness.gather(1, order[:, None])[:, 0])


def topic_stability(fits: Sequence[Tensor], by: Likeness = "words", n: int = 10) -> Tensor:
    """Return how alike the topics of fits (K, V) are, the mean over matched topics of each pair of fits, (pairs,).

    Raises:
        ValueError: there are fewer than 2 fits, or see `match_topics`.

    """
    if len(fits) < 2:
        raise ValueError(f"expected the topics of 2 fits or more, got {len(fits)}")
    return torch.stack([match_topics(a, b, by, n).likeness.mean() for a, b in combinations(fits, 2)])


def _indicator(topics: Tensor, n: int) -> Tensor:
    return torch.zeros_like(topics, dtype=torch.float64).scatter(1, top_words(topics, n), 1.0)
