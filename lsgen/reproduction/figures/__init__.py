"""Figures of reproductions, of a quality to put into a paper."""
