"""Disentanglement metrics: codes against ground-truth factors, as torchmetrics."""

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.beta_vae_score import BetaVAEScore
from lsgen.metrics.disentanglement.dci import DCI
from lsgen.metrics.disentanglement.dci_es import DCIES
from lsgen.metrics.disentanglement.explicitness import Explicitness
from lsgen.metrics.disentanglement.factor_vae_score import FactorVAEScore
from lsgen.metrics.disentanglement.infomec import InfoMEC
from lsgen.metrics.disentanglement.irs import IRS
from lsgen.metrics.disentanglement.jemmig import JEMMIG
from lsgen.metrics.disentanglement.modularity import Modularity
from lsgen.metrics.disentanglement.mutual_information_gap import MutualInformationGap
from lsgen.metrics.disentanglement.presets import OBSERVATIONS, disentanglement_metrics
from lsgen.metrics.disentanglement.sap import SAP
from lsgen.metrics.disentanglement.udr import UDR

__all__ = [
    "DCI",
    "DCIES",
    "IRS",
    "JEMMIG",
    "OBSERVATIONS",
    "SAP",
    "UDR",
    "BetaVAEScore",
    "DisentanglementMetric",
    "Explicitness",
    "FactorVAEScore",
    "InfoMEC",
    "Modularity",
    "MutualInformationGap",
    "disentanglement_metrics",
]
