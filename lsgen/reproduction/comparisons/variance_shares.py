r"""How much of the variance of scores over runs the choice of a method explains.

With runs in k groups,

    R^2 = 1 - sum_groups sum_runs (s - mean of the group)^2 / sum_runs (s - mean)^2 ,

and without the share that k groups of noise explain by chance, 1 - (1 - R^2) (n - 1) / (n - k) for n runs. It is the
R^2 of a regression of the scores on indicators of the groups, as in the study of Locatello et al., "Challenging common
assumptions in the unsupervised learning of disentangled representations" (ICML 2019), https://arxiv.org/abs/1811.12359,
whose thousands of runs need no correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsgen.reproduction.runs import Measured, TrainedRun
from lsgen.runs import last_metrics

__all__ = ["ExplainedVariance", "explained_variance"]


def explained_variance(groups: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return the share of the variance that lies between groups, as it is and corrected for chance.

    Args:
        groups: the values of each group, (n_i,).

    Returns:
        Both shares; NaN where all values are the same, the second also where no group has two.

    Raises:
        ValueError: there are fewer than two groups, or an empty one.

    """
    values = np.concatenate(groups) if groups else np.empty(0)
    n, k = len(values), len(groups)
    if k < 2 or not all(map(len, groups)):
        raise ValueError(f"expected at least 2 groups, none of them empty, got {[len(group) for group in groups]}")
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return float("nan"), float("nan")
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    corrected = 1 - within / total * (n - 1) / (n - k) if n > k else float("nan")
    return 1 - within / total, corrected


@dataclass(frozen=True)
class ExplainedVariance:
    """Compares the spread of scores between methods with that over strengths and seeds.

    Attributes:
        methods: the arms of each method, one for each strength.
        scores: final metrics of the runs.

    Under method/NAME and setting/NAME stands what method alone and method with strength explain of the score NAME, the
    last part of its key; under `_corrected` the same without chance; under method and setting the averages over scores.
    Only seeds that all of these arms have are taken, so that all arms count alike.

    """

    methods: Mapping[str, Sequence[str]]
    scores: Sequence[str]

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the shares.

        Raises:
            ValueError: an arm was not run, or a run lacks a score.

        """
        arms = [arm for members in self.methods.values() for arm in members]
        if lacking := [arm for arm in arms if not runs.get(arm)]:
            raise ValueError(f"ExplainedVariance expected runs of all its arms, got none of {', '.join(lacking)}")
        seeds = set.intersection(*({run.seed for run in runs[arm]} for arm in arms))
        finals = {arm: [_finals(run, self.scores) for run in runs[arm] if run.seed in seeds] for arm in arms}
        found: dict[str, float] = {}
        for key in self.scores:
            by_arm = {arm: np.array([final[key] for final in finals[arm]]) for arm in arms}
            by_method = [np.concatenate([by_arm[arm] for arm in members]) for members in self.methods.values()]
            name = key.rpartition("/")[2]
            for how, groups in (("method", by_method), ("setting", list(by_arm.values()))):
                found[f"{how}/{name}"], found[f"{how}_corrected/{name}"] = explained_variance(groups)
        for how in ("method", "setting", "method_corrected", "setting_corrected"):
            found[how] = float(np.mean([value for key, value in found.items() if key.startswith(f"{how}/")]))
        return Measured(found)


def _finals(run: TrainedRun, keys: Sequence[str]) -> dict[str, float]:
    """Return final metrics of a run."""
    found = last_metrics(run.directory.metrics_file)
    if lacking := [key for key in keys if key not in found]:
        raise ValueError(f"expected {', '.join(lacking)} among the metrics of {run.directory.path}")
    return {key: found[key] for key in keys}
