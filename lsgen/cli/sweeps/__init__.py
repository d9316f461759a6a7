"""The jobs of a sweep, their states and their tables."""
