"""Measures of codes that were learned from what is alike."""
