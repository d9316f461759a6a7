"""Callbacks that measure diffusion models."""
