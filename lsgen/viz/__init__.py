"""Figures: tensors and arrays in, pixels out. Computes nothing, logs nothing."""

from lsgen.viz.bar_chart import horizontal_bars
from lsgen.viz.card_grid import Card, cards
from lsgen.viz.cells import composed, lines_needed, written
from lsgen.viz.code_plots import (
    change_matrix,
    interval_curves,
    p_value_histograms,
    path_profiles,
    roc_curves,
    scatter_maps,
)
from lsgen.viz.encode import gif, png, wav
from lsgen.viz.flow_maps import flow_map, place_maps
from lsgen.viz.image_grid import TextLine, animate, captioned, grid, in_rows
from lsgen.viz.images import framed, to_pixels, upscale, value_range, waveforms
from lsgen.viz.network_plots import geodesic_arcs, network_map, poincare_disk
from lsgen.viz.plots import curves, matrices, plane_maps, profiles, spectra
from lsgen.viz.response_plot import responses
from lsgen.viz.style import Pixels
from lsgen.viz.tabular import text_table
from lsgen.viz.trend_plot import draw_trend, trend_axis
from lsgen.viz.vector import pdf_and_png, publication

__all__ = [
    "Card",
    "Pixels",
    "TextLine",
    "animate",
    "captioned",
    "cards",
    "change_matrix",
    "composed",
    "curves",
    "draw_trend",
    "flow_map",
    "framed",
    "geodesic_arcs",
    "gif",
    "grid",
    "horizontal_bars",
    "in_rows",
    "interval_curves",
    "lines_needed",
    "matrices",
    "network_map",
    "p_value_histograms",
    "path_profiles",
    "pdf_and_png",
    "place_maps",
    "plane_maps",
    "png",
    "poincare_disk",
    "profiles",
    "publication",
    "responses",
    "roc_curves",
    "scatter_maps",
    "spectra",
    "text_table",
    "to_pixels",
    "trend_axis",
    "upscale",
    "value_range",
    "wav",
    "waveforms",
    "written",
]
