"""Entries of the registry for the geometry of latent spaces: metric and curvature, geodesics, distances and means."""

from __future__ import annotations

from lsgen.runs.keys.entry import Chart, Entry, figure

__all__ = ["GEOMETRY"]

_MEDIAN = "median over codes"


def _spread(pattern: str, name: str, unit: str, section: str, meaning: str, **more: object) -> Entry:
    """Return the entry of a distribution over codes."""
    return Entry(pattern, name, unit, section, "distribution", meaning, **more)  # type: ignore[arg-type]


# fmt: off
GEOMETRY: tuple[Entry, ...] = (
    Entry("geometry/active_axes", "active axes", "", "geometry", summary=True,
        meaning="axes whose mean KL is above the threshold; all where none is known", chart=Chart("Active axes", "",
        "above the KL threshold")),
    _spread("geometry/rank", "rank of G", "", "geometry", "numerical rank of the metric G", summary=True),
    _spread("geometry/log10_condition_number", "condition number of G", "log₁₀", "geometry",
        "largest over smallest eigenvalue; not finite below full rank"),
    _spread("geometry/log_volume", "log-volume, all axes", "nats", "geometry",
        "log sqrt det G, all axes; not finite below full rank"),
    _spread("geometry/log_volume_active", "log-volume, active axes", "nats", "geometry",
        "the same for the active subspace", summary=True, chart=Chart("Log-volume", f"nats, {_MEDIAN}",
        "active subspace")),
    _spread("curvature/scalar", "scalar curvature, all axes", "", "geometry", "scalar curvature, all axes"),
    _spread("curvature/active", "scalar curvature, active axes", "", "geometry",
        "scalar curvature of the active subspace, where it has two axes", summary=True, card=("Curvature",
        "scalar, active axes, median"), chart=Chart("Scalar curvature", _MEDIAN, "active subspace")),
    _spread("curvature/plane", "scalar curvature, plane", "", "geometry",
        "scalar curvature of the surface which the plane becomes", chart=Chart("Scalar curvature", _MEDIAN, "plane")),
    Entry("curvature/piecewise_linear", "decoder is piecewise linear", "", "geometry",
        meaning="1 where the decoder has ReLU or the like, 0 elsewhere"),
    Entry("curvature/flat", "metric is flat for any weights", "", "geometry",
        meaning="1 where codes and data have equal dimensions, so that only slices are curved; 0 elsewhere"),
    _spread("geometry/path_ratio", "straight path over distance", "", "geometry",
        "length of straight segments of z over the distance of their ends", card=("Path ratio",
        "length over distance, median"), chart=Chart("Path length over distance", "straight segments, median",
        "ratio")),
    Entry("geometry/eigenvalue", "eigenvalues of G, medians", "", "geometry", "numbered", default=False,
        meaning="median eigenvalues of G; they depend on the coordinates of z"),
    Entry("geometry/eigenvalue_cov", "eigenvalues of G·Cov(z), medians", "", "geometry", "numbered", default=False,
        meaning="those of G Cov(z); no linear change of z changes them"),
    Entry("geometry/laplacian", "Laplace-Beltrami eigenvalues", "", "geometry", "numbered", default=False,
        meaning="lowest eigenvalues on the surface which the plane becomes, in inverse squared length"),
    figure("geometry/eigenvalues", "Eigenvalues of the metric", "geometry",
        "decimal logarithm of the positive eigenvalues of G", "histogram"),
    figure("geometry/plane", "Log-volume and scalar curvature", "geometry",
        "maps over the plane of the two most active axes, with encoded data"),
    figure("geometry/eigenfunctions", "Eigenfunctions of the Laplace-Beltrami operator", "geometry",
        "the three lowest over the same plane; the sign tells the parts into which the surface divides most easily"),
    figure("geometry/spectrum", "Eigenvalues of the metric", "geometry",
        "both spectra, one thin line for each place"),
    figure("geometry/measurements", "", "geometry", "everything, unreduced", "npz"),
    figure("geodesic/plane", "Geodesics over the log-volume", "geodesics",
        "geodesics of the plane's surface, over its log-volume"),
    Entry("geodesic/pairs", "geodesics looked for", "", "geodesics", meaning="geodesics looked for", summary=True),
    Entry("geodesic/converged", "geodesics converged", "", "geodesics", meaning="those found", summary=True),
    _spread("geodesic/length", "length of geodesics", "", "geodesics", "length", summary=True),
    _spread("geodesic/lower_bound", "lower bound of the distance", "", "geodesics",
        "lower bound of the distance: that of the decoded ends, in closed form or as a chord", summary=True,
        default=False),
    _spread("geodesic/linear_ratio", "straight over geodesic length", "", "geodesics",
        "length of the straight segment over that of the geodesic", summary=True, card=("Geodesics",
        "straight over geodesic length, median")),
    _spread("geodesic/spherical_ratio", "spherical over geodesic length", "", "geodesics",
        "the same of the spherical path"),
    _spread("geodesic/intrinsic_ratio", "intrinsic over geodesic length", "", "geodesics",
        "the same of the geodesic of the manifold that codes have by construction, a sphere or a ball"),
    _spread("geodesic/energy", "energy of geodesics", "", "geodesics", default=False,
        meaning="energy; the square of the length where the speed is constant"),
    _spread("geodesic/speed_variation", "variation of their speed", "", "geodesics", default=False,
        meaning="standard deviation of the speed over its mean"),
    _spread("geodesic/asymmetry", "d(a, b) less d(b, a)", "", "geodesics",
        "difference of d(a, b) and d(b, a), of several starts"),
    _spread("geodesic/spread", "spread over the starts", "", "geodesics",
        "longest less shortest local minimum of several starts", summary=True),
    figure("geodesic/measurements", "", "geodesics", "everything, unreduced", "npz"),
    figure("geometry/distances", "Distances between fixed observations", "distances",
        "matrices of geodesic and Euclidean distances of codes"),
    figure("geometry/distances", "", "distances", "the pairs, both distances and their lower bounds", "npz"),
    figure("geometry/frechet_mean", "Euclidean and Fréchet means", "distances",
        "Euclidean and Fréchet mean decoded, beside the observations"),
    _spread("geometry/distance/geodesic", "geodesic distance", "", "distances",
        "geodesic distances; not_finite counts those that did not converge", summary=True),
    _spread("geometry/distance/lower_bound", "lower bound of the distance", "", "distances",
        "lower bounds of the same distances: those of the decoded ends", summary=True, default=False),
    _spread("geometry/distance/euclidean", "Euclidean distance of codes", "", "distances",
        "Euclidean distances of the same codes, all axes"),
    Entry("geometry/distance/rank_correlation", "rank correlation with Euclidean", "", "distances",
        meaning="Spearman's, of the two", summary=True),
    _spread("geometry/frechet/variance", "Fréchet variance", "", "distances", "Fréchet variance of each set of codes",
        summary=True),
    _spread("geometry/frechet/shift", "shift of the mean, in its root", "", "distances",
        "geodesic distance of the two means over the root of that variance", summary=True),
)
# fmt: on
