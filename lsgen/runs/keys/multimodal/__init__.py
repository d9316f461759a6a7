"""Entries of the registry for models of several modalities."""
