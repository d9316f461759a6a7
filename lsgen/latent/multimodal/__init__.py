"""Spaces of several modalities: joint posteriors of any subset of them, and views that share codes."""
