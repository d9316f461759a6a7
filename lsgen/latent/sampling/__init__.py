"""Where codes come from once a model is trained."""
