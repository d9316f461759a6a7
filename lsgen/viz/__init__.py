"""Figures: tensors and arrays in, pixels out. Computes nothing, logs nothing."""

from lsgen.viz.encode import gif, png
from lsgen.viz.image_grid import animate, grid, in_rows
from lsgen.viz.images import to_pixels, upscale, value_range
from lsgen.viz.plots import curves, matrices, plane_maps, profiles, spectra
from lsgen.viz.response_plot import responses
from lsgen.viz.style import Pixels

__all__ = [
    "Pixels",
    "animate",
    "curves",
    "gif",
    "grid",
    "in_rows",
    "matrices",
    "plane_maps",
    "png",
    "profiles",
    "responses",
    "spectra",
    "to_pixels",
    "upscale",
    "value_range",
]
