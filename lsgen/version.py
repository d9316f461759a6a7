"""The version of the package. It stands alone, so that every room can name it without importing the package's top.

Its first two numbers are the series: frozen configs and checkpoints are read by the series that wrote them. So the
second number grows when anything that they name has moved or takes other arguments.
"""

__all__ = ["__version__"]

__version__ = "0.2.0"
