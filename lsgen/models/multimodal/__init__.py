"""Models of several modalities: joint variational autoencoders, dual encoders and what answers from both."""
