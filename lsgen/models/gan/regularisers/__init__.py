"""Penalties in the losses of a GAN's players, one family a file."""
