"""A run directory, or a sweep, as one HTML page."""

from lsgen.report.page import write_report
from lsgen.report.sweep import write_sweep_report

__all__ = ["write_report", "write_sweep_report"]
