"""Models of several modalities: joint variational autoencoders, dual encoders and what answers from both."""

from lsgen.models.multimodal.answer_space import AnswerSpace, JointFeatures
from lsgen.models.multimodal.caption_space import CaptionSpace
from lsgen.models.multimodal.captioner import Captioner
from lsgen.models.multimodal.contrastive import InfoNCE, SigLIP
from lsgen.models.multimodal.dual_encoder import DualEncoder
from lsgen.models.multimodal.jmvae import JMVAEObjective
from lsgen.models.multimodal.joint_classifier import JointClassifier
from lsgen.models.multimodal.mmvae import MMVAEObjective
from lsgen.models.multimodal.mmvae_plus import MMVAEPlusObjective
from lsgen.models.multimodal.mopoe import MoPoEObjective
from lsgen.models.multimodal.multimodal_vae import MultimodalVAE
from lsgen.models.multimodal.mvae import MVAEObjective
from lsgen.models.multimodal.mvtcae import MVTCAEObjective
from lsgen.models.multimodal.objective import MultimodalObjective, SubsetTerms

__all__ = [
    "AnswerSpace",
    "CaptionSpace",
    "Captioner",
    "DualEncoder",
    "InfoNCE",
    "JMVAEObjective",
    "JointClassifier",
    "JointFeatures",
    "MMVAEObjective",
    "MMVAEPlusObjective",
    "MVAEObjective",
    "MVTCAEObjective",
    "MoPoEObjective",
    "MultimodalObjective",
    "MultimodalVAE",
    "SigLIP",
    "SubsetTerms",
]
