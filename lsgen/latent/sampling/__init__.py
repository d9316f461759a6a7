"""Sampling of codes from a trained model."""
