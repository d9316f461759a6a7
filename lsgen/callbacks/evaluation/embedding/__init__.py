"""Callbacks that measure embedding models while they train."""
