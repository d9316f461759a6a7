"""Images of classes with captions that name them, and what recall among captions is worth."""
