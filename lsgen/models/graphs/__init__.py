"""Models of networks: codes of nodes, from which the links between them follow."""

from lsgen.models.graphs.autoencoder import EncodedNodeSpace, GraphAutoencoder
from lsgen.models.graphs.blocks import BlockLinks
from lsgen.models.graphs.decoders import DistanceLinks, InnerProductLinks, LinkDecoder
from lsgen.models.graphs.latent_positions import LatentPositionModel
from lsgen.models.graphs.line import Line, LineLinks
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.non_neighbours import NonNeighbours
from lsgen.models.graphs.pair_model import PairModel
from lsgen.models.graphs.pair_ranking import PairRanking
from lsgen.models.graphs.ranked_links import RankedLinks
from lsgen.models.graphs.riemannian import RiemannianSGD
from lsgen.models.graphs.rows import PairLosses
from lsgen.models.graphs.s1 import HiddenDegreeLinks, S1Map
from lsgen.models.graphs.signed_cosine import CosineLinks, SignedCosine
from lsgen.models.graphs.space import LinkSpace, NodeSpace

__all__ = [
    "BlockLinks",
    "CosineLinks",
    "DistanceLinks",
    "EncodedNodeSpace",
    "GraphAutoencoder",
    "HiddenDegreeLinks",
    "InnerProductLinks",
    "LatentPositionModel",
    "Line",
    "LineLinks",
    "LinkDecoder",
    "LinkSpace",
    "NodeModel",
    "NodeSpace",
    "NonNeighbours",
    "PairLosses",
    "PairModel",
    "PairRanking",
    "RankedLinks",
    "RiemannianSGD",
    "S1Map",
    "SignedCosine",
]
