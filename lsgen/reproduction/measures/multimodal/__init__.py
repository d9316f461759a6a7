"""What is measured on trained runs of several modalities."""
