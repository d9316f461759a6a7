"""How much of a label or a factor codes hold: probes by the number of labels, transfer, what neighbours explain."""

from lsgen.analysis.probing.curves import ProbeCurves, ProbeOptions, probe, transfer
from lsgen.analysis.probing.explained import explained_columns

__all__ = ["ProbeCurves", "ProbeOptions", "explained_columns", "probe", "transfer"]
