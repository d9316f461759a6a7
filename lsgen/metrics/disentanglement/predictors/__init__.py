"""Classifiers that disentanglement metrics fit: boosted trees, logistic regression and support vector machines."""
