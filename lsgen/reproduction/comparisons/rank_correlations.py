"""Whether scores that need no ground truth rank runs as scores that know the factors do.

Spearman's rank correlation over all runs of all arms, between each final metric that needs no factors, with the
unsupervised disentanglement ranking (UDR) beside them, and each disentanglement score. UDR compares the runs of an arm,
which differ in their seed only, and is not defined for an arm with one seed; see `lsgen.metrics.disentanglement.UDR`.

Reference: Locatello et al. (ICML 2019), https://arxiv.org/abs/1811.12359, section 5.4, for losses; Duan et al. (ICLR
2020), https://arxiv.org/abs/1905.12614, for UDR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from lsgen.metrics.disentanglement import UDR
from lsgen.models.divergence import kl_per_dimension
from lsgen.reproduction.runs import Measured, TrainedRun
from lsgen.runs import last_metrics

__all__ = ["RankCorrelations"]


@dataclass(frozen=True)
class RankCorrelations:
    """Correlates ranks of runs by unsupervised metrics with their ranks by disentanglement scores.

    Attributes:
        unsupervised: final metrics of the runs that need no factors.
        scores: final metrics that do.
        observations: held-out observations that UDR encodes, all where there are fewer.

    Under NAME/SCORE stands the correlation, NAME and SCORE the last parts of the keys; NAME is `udr` too. Under NAME
    stands the average over scores.

    """

    unsupervised: Sequence[str]
    scores: Sequence[str]
    observations: int = 1000

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the correlations, NaN where a column is constant or fewer than three runs have both.

        Raises:
            ValueError: a run lacks a metric.
            TypeError: a run has no encoder.

        """
        columns: dict[str, list[float]] = {key: [] for key in (*self.unsupervised, *self.scores, "udr")}
        for members in runs.values():
            columns["udr"] += self._udr(members)
            for run in members:
                final = last_metrics(run.directory.metrics_file)
                for key in (*self.unsupervised, *self.scores):
                    if key not in final:
                        raise ValueError(f"expected {key} among the metrics of {run.directory.path}")
                    columns[key].append(final[key])
        found: dict[str, float] = {}
        for key in (*self.unsupervised, "udr"):
            name = key.rpartition("/")[2]
            for score in self.scores:
                found[f"{name}/{score.rpartition('/')[2]}"] = _spearman(columns[key], columns[score])
            found[name] = float(np.mean([found[f"{name}/{score.rpartition('/')[2]}"] for score in self.scores]))
        return Measured(found)

    def _udr(self, members: Sequence[TrainedRun]) -> list[float]:
        """Return the score of each run of an arm, from the agreement of its codes with those of the others."""
        if len(members) < 2:
            return [float("nan")] * len(members)
        x = members[0].probe(self.observations, "val")["x"]
        encoded = [_encode(run, x) for run in members]
        metric = UDR()
        metric.update(torch.stack([codes for codes, _ in encoded], 1), torch.stack([kl for _, kl in encoded], 1))
        return [float(score) for score in metric.terms()["models"]]


def _encode(run: TrainedRun, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means (N, d) of the posteriors and their divergences from the prior, (N, d)."""
    space = run.encodable_space
    with torch.no_grad():
        q = space.encode(x)
        return q.mean.cpu(), kl_per_dimension(q, space.prior()).cpu()


def _spearman(first: Sequence[float], second: Sequence[float]) -> float:
    pairs = np.array([first, second])
    x, y = pairs[:, ~np.isnan(pairs).any(0)]
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return float("nan")
    return float(spearmanr(x, y).statistic)
