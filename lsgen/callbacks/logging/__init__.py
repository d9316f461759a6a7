"""Loggers, and the sink through which callbacks write numbers, figures and arrays."""
