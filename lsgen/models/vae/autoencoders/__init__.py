"""Deterministic codes: autoencoders and vector quantisation."""
