"""Metrics over a data set, as torchmetrics."""

from lsgen.metrics.likelihood import ActiveUnits, EvidenceLowerBound, bits_per_dimension

__all__ = ["ActiveUnits", "EvidenceLowerBound", "bits_per_dimension"]
