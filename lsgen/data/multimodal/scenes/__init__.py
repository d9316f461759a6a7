"""Scenes of coloured sprites with captions, questions and opinions, and the grammars that say what is true of them."""
