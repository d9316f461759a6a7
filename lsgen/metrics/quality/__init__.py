"""Quality of samples: which modes they reach, and how far they are from the data."""

from lsgen.metrics.quality.modes import ModeCoverage, toy_coverage

__all__ = ["ModeCoverage", "toy_coverage"]
