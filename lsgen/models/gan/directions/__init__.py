"""Directions in the latent space of a trained generator that change its images in interpretable ways."""
