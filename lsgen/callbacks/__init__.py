"""Callbacks that log, draw, measure and save while a model trains, and that make a run resume exactly."""

from lsgen.callbacks.analysis.contents import PageOptions
from lsgen.callbacks.analysis.explorer import Explorer
from lsgen.callbacks.analysis.latent_analysis import LatentAnalysis
from lsgen.callbacks.analysis.options import AnalysisDetail
from lsgen.callbacks.base import LatentCallback, PeriodicCallback, Turns
from lsgen.callbacks.engine.checkpoint import Checkpoint
from lsgen.callbacks.engine.checkpoint_io import AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from lsgen.callbacks.engine.ema import GeneratorEMA, PowerFunctionEMA, Standing, WeightAverage
from lsgen.callbacks.engine.finite_loss import FiniteLoss, NonFiniteError
from lsgen.callbacks.engine.held_out import HeldOutCheck, check_split
from lsgen.callbacks.engine.interrupt import Interrupted
from lsgen.callbacks.engine.observer import Observer
from lsgen.callbacks.engine.problems import Problems, problems_of
from lsgen.callbacks.engine.progress import Progress
from lsgen.callbacks.engine.seeding import Seeding
from lsgen.callbacks.evaluation.aggregate import AggregateMetrics
from lsgen.callbacks.evaluation.class_comparison import ClassComparison
from lsgen.callbacks.evaluation.collapse import CollapseWatch
from lsgen.callbacks.evaluation.decoupling import Decoupling
from lsgen.callbacks.evaluation.diffusion.ode_likelihood import ODELikelihood
from lsgen.callbacks.evaluation.diffusion.phase_transitions import PhaseTransitions
from lsgen.callbacks.evaluation.embedding.few_shot import FewShotAccuracy
from lsgen.callbacks.evaluation.embedding.labelled_codes import OfLabelledCodes
from lsgen.callbacks.evaluation.embedding.retrieval import RetrievalQuality
from lsgen.callbacks.evaluation.embedding.topics import TopicQuality
from lsgen.callbacks.evaluation.embedding.words import WordBenchmarks, WordTests
from lsgen.callbacks.evaluation.evidence import EvidenceMetrics
from lsgen.callbacks.evaluation.factors import FactorMetrics
from lsgen.callbacks.evaluation.graphs.flow_maps import FlowMaps
from lsgen.callbacks.evaluation.graphs.link_tests import LinkTests
from lsgen.callbacks.evaluation.graphs.node_labels import Communities, NodeClassification, OfNodeLabels
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.evaluation.graphs.pictures import NetworkPictures
from lsgen.callbacks.evaluation.graphs.reconstruction_test import GraphReconstructionTest
from lsgen.callbacks.evaluation.graphs.routing import Routing
from lsgen.callbacks.evaluation.graphs.time_trend import TimeTrend
from lsgen.callbacks.evaluation.held_out_scores import OfHeldOut
from lsgen.callbacks.evaluation.imputations import Imputations
from lsgen.callbacks.evaluation.metrics import LikelihoodMetrics
from lsgen.callbacks.evaluation.multimodal.answers import AnswerQuality
from lsgen.callbacks.evaluation.multimodal.captioning import CaptionQuality
from lsgen.callbacks.evaluation.multimodal.codes_of_views import OfViews
from lsgen.callbacks.evaluation.multimodal.coherence import ModalityCoherence
from lsgen.callbacks.evaluation.multimodal.cross_generation import CrossGeneration
from lsgen.callbacks.evaluation.multimodal.cross_retrieval import CrossRetrievalQuality
from lsgen.callbacks.evaluation.multimodal.modality_gap import ModalityGaps
from lsgen.callbacks.evaluation.multimodal.zero_shot import ZeroShotAccuracy
from lsgen.callbacks.evaluation.neighbours import NearestNeighbours
from lsgen.callbacks.evaluation.options import Cloning, Neighbourhoods, Paths, RealSet
from lsgen.callbacks.evaluation.perceptual import PerceptualQuality
from lsgen.callbacks.evaluation.reconstruction_quality import ReconstructionQuality
from lsgen.callbacks.evaluation.sample_quality import SampleComparison, SampleQuality
from lsgen.callbacks.evaluation.sample_tests import Memorisation, TwoSampleTests
from lsgen.callbacks.latent.distances import LatentDistances
from lsgen.callbacks.latent.geodesics import LatentGeodesics
from lsgen.callbacks.latent.geometry import LatentGeometry
from lsgen.callbacks.latent.inversion import Inversions
from lsgen.callbacks.latent.options import (
    Decoding,
    GeodesicSearch,
    GeometryDetail,
    InversionSearch,
    MeanSets,
    PlaneGrid,
    TraversalFigures,
)
from lsgen.callbacks.latent.reconstructions import Reconstructions
from lsgen.callbacks.latent.samples import Samples
from lsgen.callbacks.latent.sentences import WritingTests
from lsgen.callbacks.latent.traversal import LatentTraversal
from lsgen.callbacks.logging.loggers import CSVLogger, TensorBoardLogger, WandbLabels, WandbLogger

__all__ = [
    "AggregateMetrics",
    "AnalysisDetail",
    "AnswerQuality",
    "AtomicCheckpointIO",
    "CSVLogger",
    "CaptionQuality",
    "Checkpoint",
    "ClassComparison",
    "Cloning",
    "CollapseWatch",
    "Communities",
    "CrossGeneration",
    "CrossRetrievalQuality",
    "Decoding",
    "Decoupling",
    "EvidenceMetrics",
    "Explorer",
    "FactorMetrics",
    "FewShotAccuracy",
    "FiniteLoss",
    "FlowMaps",
    "GeneratorEMA",
    "GeodesicSearch",
    "GeometryDetail",
    "GraphReconstructionTest",
    "HeldOutCheck",
    "Imputations",
    "Interrupted",
    "InversionSearch",
    "Inversions",
    "LatentAnalysis",
    "LatentCallback",
    "LatentDistances",
    "LatentGeodesics",
    "LatentGeometry",
    "LatentTraversal",
    "LikelihoodMetrics",
    "LinkTests",
    "MeanSets",
    "Memorisation",
    "ModalityCoherence",
    "ModalityGaps",
    "NearestNeighbours",
    "Neighbourhoods",
    "NetworkPictures",
    "NodeClassification",
    "NonFiniteError",
    "ODELikelihood",
    "Observer",
    "OfHeldOut",
    "OfLabelledCodes",
    "OfNetworks",
    "OfNodeLabels",
    "OfViews",
    "PageOptions",
    "Paths",
    "PerceptualQuality",
    "PeriodicCallback",
    "PhaseTransitions",
    "PlaneGrid",
    "PowerFunctionEMA",
    "Problems",
    "Progress",
    "RealSet",
    "ReconstructionQuality",
    "Reconstructions",
    "RetrievalQuality",
    "Routing",
    "SampleComparison",
    "SampleQuality",
    "Samples",
    "Seeding",
    "Standing",
    "TensorBoardLogger",
    "TimeTrend",
    "TopicQuality",
    "TraversalFigures",
    "Turns",
    "TwoSampleTests",
    "WandbLabels",
    "WandbLogger",
    "WeightAverage",
    "WordBenchmarks",
    "WordTests",
    "WritingTests",
    "ZeroShotAccuracy",
    "check_split",
    "newest_checkpoint",
    "problems_of",
    "read_checkpoint",
]
