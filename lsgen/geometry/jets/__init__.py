"""Taylor-mode automatic differentiation: values with first and second derivatives of a map along many directions.

A map is traced once into a list of operations (`trace`, `tracing`), and every operation acts on second-order Taylor
expansions by a rule (`propagation`, `taylor`). Other rooms import from here alone.
"""

from lsgen.geometry.jets.fingerprint import forget_fingerprints, modules_of, once, unchanged
from lsgen.geometry.jets.propagation import coarsest_dtype, kinks, propagate, widest_intermediate
from lsgen.geometry.jets.randomness import FrozenNoise, check_deterministic
from lsgen.geometry.jets.taylor import Frame, Taylor
from lsgen.geometry.jets.tracing import widening

__all__ = [
    "Frame",
    "FrozenNoise",
    "Taylor",
    "check_deterministic",
    "coarsest_dtype",
    "forget_fingerprints",
    "kinks",
    "modules_of",
    "once",
    "propagate",
    "unchanged",
    "widening",
    "widest_intermediate",
]
