"""Encoders of images for features: small convolutional blocks, and networks of torchvision."""
