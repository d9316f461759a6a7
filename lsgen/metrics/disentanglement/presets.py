"""All supervised metrics at once, from one encoding pass."""

from __future__ import annotations

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.beta_vae_score import BetaVAEScore
from lsgen.metrics.disentanglement.dci import DCI
from lsgen.metrics.disentanglement.explicitness import Explicitness
from lsgen.metrics.disentanglement.factor_vae_score import FactorVAEScore
from lsgen.metrics.disentanglement.infomec import InfoMEC
from lsgen.metrics.disentanglement.irs import IRS
from lsgen.metrics.disentanglement.modularity import Modularity
from lsgen.metrics.disentanglement.mutual_information_gap import MutualInformationGap
from lsgen.metrics.disentanglement.sap import SAP

__all__ = ["disentanglement_metrics"]


def disentanglement_metrics(preset: str = "full") -> dict[str, DisentanglementMetric]:
    """Return the supervised metrics by name.

    Args:
        preset: "full" has the settings of the reference library; "fast" has fewer votes, points, trees and iterations
            and scores SAP by correlation: good enough to follow a training run, not to be quoted.

    Raises:
        ValueError: an unknown preset.

    """
    if preset not in ("full", "fast"):
        raise ValueError(f'expected preset "full" or "fast", got {preset!r}')
    fast = preset == "fast"
    return {
        "mig": MutualInformationGap(),
        "dci": DCI(rounds=5, bins=32) if fast else DCI(),
        "sap": SAP(continuous=fast),
        "factor_vae": FactorVAEScore(train_votes=2000, test_votes=1000) if fast else FactorVAEScore(),
        "beta_vae": BetaVAEScore(train_points=2000, test_points=1000) if fast else BetaVAEScore(),
        "modularity": Modularity(),
        "explicitness": Explicitness(max_iter=3) if fast else Explicitness(),
        "irs": IRS(),
        "infomec": InfoMEC(max_iter=3) if fast else InfoMEC(),
    }
