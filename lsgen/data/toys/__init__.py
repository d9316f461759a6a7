"""Data sets that are drawn from distributions: points in the plane with known densities, a tree, a circle."""
