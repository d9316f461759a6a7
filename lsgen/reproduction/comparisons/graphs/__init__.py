"""What is measured over networks that are mapped or compared."""
