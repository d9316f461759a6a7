"""Lower bounds of the evidence of every observation by itself."""
