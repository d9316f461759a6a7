"""Callbacks that judge what one modality tells of another."""
