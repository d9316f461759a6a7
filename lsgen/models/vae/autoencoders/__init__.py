"""Objectives of autoencoders with deterministic codes, and of vector quantisation."""
