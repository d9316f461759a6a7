"""Objectives that are lower bounds of the log evidence of each observation."""
