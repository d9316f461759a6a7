"""Networks of sequences of words: encoders, and what predicts the next word."""
