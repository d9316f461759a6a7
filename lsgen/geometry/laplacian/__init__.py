"""The Laplace-Beltrami operator: spectrum, heat kernel and diffusion distance, by finite elements or on codes."""

from lsgen.geometry.laplacian.code_graph import graph_laplacian, neighbour_laplacian
from lsgen.geometry.laplacian.eigenfunctions import LaplaceSpectrum, laplace_spectrum
from lsgen.geometry.laplacian.finite_elements import (
    edge_length_laplacian,
    finite_element_laplacian,
    surface_laplacian,
)
from lsgen.geometry.laplacian.heat import (
    TruncatedSum,
    diffusion_distance,
    diffusion_map,
    heat_kernel,
    heat_kernel_signature,
)
from lsgen.geometry.laplacian.meshes import TriangleMesh, delaunay_mesh, rectangle_mesh
from lsgen.geometry.laplacian.operator import LaplaceBeltrami, heat_flow

__all__ = [
    "LaplaceBeltrami",
    "LaplaceSpectrum",
    "TriangleMesh",
    "TruncatedSum",
    "delaunay_mesh",
    "diffusion_distance",
    "diffusion_map",
    "edge_length_laplacian",
    "finite_element_laplacian",
    "graph_laplacian",
    "heat_flow",
    "heat_kernel",
    "heat_kernel_signature",
    "laplace_spectrum",
    "neighbour_laplacian",
    "rectangle_mesh",
    "surface_laplacian",
]
