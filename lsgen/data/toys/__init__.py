"""Points in the plane with known densities."""
