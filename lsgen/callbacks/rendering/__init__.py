"""Observations as pixels and as sound, by what they are."""
