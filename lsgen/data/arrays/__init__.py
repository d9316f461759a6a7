"""The user's own files: arrays and tables."""
