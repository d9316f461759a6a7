"""Objectives that look at the aggregate posterior, the codes of all observations together."""
