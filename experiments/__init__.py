"""Reproductions of papers, one folder each, shipped with the package as `lsgen.experiments`."""
