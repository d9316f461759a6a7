"""Statistics of codes, whatever model they come from."""

from lsgen.analysis.statistic import Statistic

__all__ = ["Statistic"]
