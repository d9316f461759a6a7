"""Sets made by known factors of variation."""
