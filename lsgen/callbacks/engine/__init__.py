"""Callbacks that control training: checkpoints, signals, seeds, averages of weights, and checks."""
