"""Bounds of several weighted samples from each posterior."""
