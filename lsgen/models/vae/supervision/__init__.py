"""Objectives that learn from labels or pairs."""
