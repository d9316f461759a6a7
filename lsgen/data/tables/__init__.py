"""Data sets that are tables of measurements."""
