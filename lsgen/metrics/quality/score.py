r"""The inception score: a classifier's class probabilities of generated observations.

    IS = exp( mean_n KL( p(y|x_n) || mean_n p(y|x_n) ) )

between 1 and the number of classes. With the Inception network of ImageNet it is the published score; with another
classifier it is a score of that classifier.

Reference: Salimans et al., "Improved techniques for training GANs" (2016), https://arxiv.org/abs/1606.03498.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

__all__ = ["inception_score"]


def inception_score(logits: Tensor, splits: int = 10) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the score over consecutive splits, float64 scalars.

    Args:
        logits: the classifier's outputs, (N, classes), in random order.
        splits: number of parts of (almost) equal size; 10 in the paper.

    Raises:
        ValueError: there are fewer observations than splits.

    """
    if not 1 <= splits <= len(logits):
        raise ValueError(f"expected between 1 and {len(logits)} splits, got {splits}")
    scores = []
    for part in torch.log_softmax(logits.double(), 1).tensor_split(splits):
        marginal = torch.logsumexp(part, 0) - log(len(part))
        scores.append((part.exp() * (part - marginal)).sum(1).mean().exp())
    stacked = torch.stack(scores)
    return stacked.mean(), stacked.std(correction=0)
