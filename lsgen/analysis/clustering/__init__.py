"""Clusters of codes, whether there are any, and what they have to do with metadata."""

from lsgen.analysis.clustering.lift import LabelAgreement, Lift, label_agreement, metadata_lift
from lsgen.analysis.clustering.partition import Clustering
from lsgen.analysis.clustering.search import find_clusters

__all__ = ["Clustering", "LabelAgreement", "Lift", "find_clusters", "label_agreement", "metadata_lift"]
