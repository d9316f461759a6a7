"""Models of networks: codes of nodes, from which the links between them follow."""

from lsgen.models.graphs.decoders import DistanceLinks, InnerProductLinks, LinkDecoder
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.signed_cosine import CosineLinks, SignedCosine
from lsgen.models.graphs.space import LinkSpace, NodeSpace

__all__ = [
    "CosineLinks",
    "DistanceLinks",
    "InnerProductLinks",
    "LinkDecoder",
    "LinkSpace",
    "NodeModel",
    "NodeSpace",
    "SignedCosine",
]
