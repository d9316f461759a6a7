"""Families of priors and posteriors: products, mixtures, flows, two levels, points, spherical and hyperbolic ones."""
