"""Codes and their decoder as one HTML file that opens without a network or a server."""
