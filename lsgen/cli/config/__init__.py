"""From the command line to the frozen config of a run."""
