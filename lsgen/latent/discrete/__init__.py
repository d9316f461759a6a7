"""Discrete codes: classes and codebooks."""
