"""Linear classifiers of the codes of subsets of modalities: how much of the class they hold, however it is decoded."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from lsgen.latent.multimodal import MultimodalSpace
from lsgen.metrics.multimodal.coherence import subsets_of

__all__ = ["latent_classification"]


@torch.no_grad()
def latent_classification(
    space: MultimodalSpace, train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> dict[int, float]:
    """Return the accuracy of logistic regression of draws of q(z|x_A), averaged over the subsets A of every size.

    Each subset has a classifier of its own.

    Args:
        space: a latent space of several modalities.
        train: packed observations (n, D), whole, and their classes (n,), from which classifiers learn.
        held_out: those on which they are judged.

    Reference: Sutter, Daunhawer & Vogt (2021), section 4, from 500 observations.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found: dict[int, list[float]] = {}
    for subset in subsets_of(space.names):
        codes = [space.encode(x, subset).sample().double().cpu().numpy() for x, _ in (train, held_out)]
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(codes[0], train[1].cpu().numpy())
        score = float(classifier.score(codes[1], held_out[1].cpu().numpy()))
        found.setdefault(len(subset), []).append(score)
    return {size: sum(scores) / len(scores) for size, scores in found.items()}
