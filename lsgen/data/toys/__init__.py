"""Data sets of points in the plane, with known densities."""
