"""Configs of runs: composed from the command line, checked, frozen and built."""
