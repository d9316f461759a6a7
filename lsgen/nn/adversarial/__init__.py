"""Generators, critics and augmentations of adversarial training."""
