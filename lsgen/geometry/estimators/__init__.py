"""Stochastic estimators of distortion, volume and curvature, for training: a few forward passes, and no Jacobian."""

from lsgen.geometry.estimators.bending import extrinsic_bending, squared_scalar_curvature
from lsgen.geometry.estimators.distortion import conformal_distortion, flatness_defect, relaxed_distortion
from lsgen.geometry.estimators.frames import check_plane
from lsgen.geometry.estimators.lengths import segment_lengths, stress
from lsgen.geometry.estimators.pushforward import Differential, differential
from lsgen.geometry.estimators.volume import volume_variance

__all__ = [
    "Differential",
    "check_plane",
    "conformal_distortion",
    "differential",
    "extrinsic_bending",
    "flatness_defect",
    "relaxed_distortion",
    "segment_lengths",
    "squared_scalar_curvature",
    "stress",
    "volume_variance",
]
