"""How sure a decoder is of its own geometry."""
