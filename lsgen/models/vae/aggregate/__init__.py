"""Objectives that depend on the aggregate posterior, the distribution of the codes of all observations."""
