"""The geometry of an immersion: pure functions of any decoder, at any batch shape."""

from lsgen.geometry.curvature import scalar_curvature, volume_and_curvature
from lsgen.geometry.immersion import Immersion, Jet, immersion, jet
from lsgen.geometry.metric import Spectrum, log_volume, metric, spectrum

__all__ = [
    "Immersion",
    "Jet",
    "Spectrum",
    "immersion",
    "jet",
    "log_volume",
    "metric",
    "scalar_curvature",
    "spectrum",
    "volume_and_curvature",
]
