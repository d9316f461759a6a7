"""Phase transitions of diffusion models and of latent planes: critical times, cloning, ridges and their roughness."""
