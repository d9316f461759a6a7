"""Networks of ImageNet as rulers of images: the learned perceptual distance and the features of VGG16."""

from lsgen.metrics.quality.perceptual.distance import ClassifierDistance, PerceptualDistance, diversity
from lsgen.metrics.quality.perceptual.lpips import LPIPS
from lsgen.metrics.quality.perceptual.vgg import VGG16

__all__ = ["LPIPS", "VGG16", "ClassifierDistance", "PerceptualDistance", "diversity"]
