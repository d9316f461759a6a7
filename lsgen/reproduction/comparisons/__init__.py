"""What is measured over the trained runs of a reproduction together."""
