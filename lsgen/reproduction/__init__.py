"""Reproduction of papers: targets, what examines them, verdicts by rule, and the pages that show them."""
