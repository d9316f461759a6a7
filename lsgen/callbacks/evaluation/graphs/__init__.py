"""Callbacks that measure and draw codes of the nodes of a network while they train."""
