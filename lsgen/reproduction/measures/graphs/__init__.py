"""What runs on networks are measured by."""
