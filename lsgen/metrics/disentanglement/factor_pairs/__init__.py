"""How pairs of ground-truth factors are related, in the data and in the codes."""
