"""Likelihoods of sentences: rows of numbers of words that end."""
