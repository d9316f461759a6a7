"""The version of the package. It stands alone, so that every room can name it without importing the package's top."""

__all__ = ["__version__"]

__version__ = "0.2.0"
