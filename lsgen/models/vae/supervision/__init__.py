"""Objectives that know labels or pairs."""
