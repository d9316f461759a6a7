"""What makes a run stop and resume exactly."""
