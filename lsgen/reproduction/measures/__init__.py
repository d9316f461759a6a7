"""What is measured on trained runs of a reproduction, beyond what their callbacks log."""
