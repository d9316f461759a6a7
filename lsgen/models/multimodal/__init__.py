"""Models of several modalities: joint variational autoencoders, dual encoders and what answers from both."""

from lsgen.models.multimodal.multimodal_vae import MultimodalVAE
from lsgen.models.multimodal.mvae import MVAEObjective
from lsgen.models.multimodal.objective import MultimodalObjective, SubsetTerms

__all__ = ["MVAEObjective", "MultimodalObjective", "MultimodalVAE", "SubsetTerms"]
