"""A run directory as one HTML page."""

from lsgen.report.page import write_report

__all__ = ["write_report"]
