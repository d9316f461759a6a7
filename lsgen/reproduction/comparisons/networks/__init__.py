"""What is measured of codes of networks over all runs together."""
