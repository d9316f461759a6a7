"""Metrics across modalities: coherence, captions, answers and the gap between views."""
