"""Data sets whose observations have several modalities, with known ground truth."""
