"""Spaces of several modalities: joint posteriors of any subset of them, and views that share codes."""

from lsgen.latent.multimodal.experts import (
    Experts,
    JointPosterior,
    MixtureOfExperts,
    MixtureOfProducts,
    NormalMixture,
    ProductOfExperts,
)
from lsgen.latent.multimodal.joint_encoder import JointEncoder
from lsgen.latent.multimodal.space import MultimodalSpace
from lsgen.latent.multimodal.views import ViewSpace

__all__ = [
    "Experts",
    "JointEncoder",
    "JointPosterior",
    "MixtureOfExperts",
    "MixtureOfProducts",
    "MultimodalSpace",
    "NormalMixture",
    "ProductOfExperts",
    "ViewSpace",
]
