"""Which codes are strange: scores, how well they tell, and p-values."""

from lsgen.analysis.anomalies.conformal import conformal_p_values, false_alarms
from lsgen.analysis.anomalies.panel import AnomalyPanel, anomaly_panel
from lsgen.analysis.anomalies.scores import anomaly_score, applicable_scores
from lsgen.analysis.anomalies.separation import Detection, detection

__all__ = [
    "AnomalyPanel",
    "Detection",
    "anomaly_panel",
    "anomaly_score",
    "applicable_scores",
    "conformal_p_values",
    "detection",
    "false_alarms",
]
