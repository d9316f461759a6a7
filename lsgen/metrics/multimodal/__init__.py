"""Metrics across modalities: coherence, captions, answers and the gap between views."""

from lsgen.metrics.multimodal.answers import FrequentAnswers, RightAnswers, right_answers
from lsgen.metrics.multimodal.captions import CaptionScores, caption_scores

__all__ = ["CaptionScores", "FrequentAnswers", "RightAnswers", "caption_scores", "right_answers"]
