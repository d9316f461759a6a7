"""Callbacks that look at the latent space."""
