"""Likelihoods of numbers with a location and a scale."""
