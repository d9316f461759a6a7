"""Metrics across modalities: coherence, captions, answers and the gap between views."""

from lsgen.metrics.multimodal.answers import FrequentAnswers, RightAnswers, right_answers
from lsgen.metrics.multimodal.captions import CaptionScores, caption_scores
from lsgen.metrics.multimodal.cross_retrieval import CrossRetrieval
from lsgen.metrics.multimodal.modality_gap import ModalityGap
from lsgen.metrics.multimodal.zero_shot import ZeroShot, prompt_centres

__all__ = [
    "CaptionScores",
    "CrossRetrieval",
    "FrequentAnswers",
    "ModalityGap",
    "RightAnswers",
    "ZeroShot",
    "caption_scores",
    "prompt_centres",
    "right_answers",
]
