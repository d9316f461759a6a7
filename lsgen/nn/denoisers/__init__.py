"""Networks that clean noisy observations, given how noisy they are and, with classes, what they show."""
