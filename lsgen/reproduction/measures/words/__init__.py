"""Measures of word vectors."""
