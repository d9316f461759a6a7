"""How much of a label or a factor codes hold: probes by the number of labels, and their transfer."""

from lsgen.analysis.probing.curves import ProbeCurves, ProbeOptions, probe, transfer

__all__ = ["ProbeCurves", "ProbeOptions", "probe", "transfer"]
