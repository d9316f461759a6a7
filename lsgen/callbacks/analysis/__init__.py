"""Callbacks that analyse the codes of a model, and write the page to explore them."""
