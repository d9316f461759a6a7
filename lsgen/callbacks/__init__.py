"""When to compute and where to send it: what runs beside training, and what makes a run resume exactly."""

from lsgen.callbacks.aggregate import AggregateMetrics
from lsgen.callbacks.base import LatentCallback, PeriodicCallback
from lsgen.callbacks.checkpoint import Checkpoint
from lsgen.callbacks.checkpoint_io import AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from lsgen.callbacks.collapse import CollapseWatch
from lsgen.callbacks.decoupling import Decoupling
from lsgen.callbacks.distances import LatentDistances
from lsgen.callbacks.ema import GeneratorEMA
from lsgen.callbacks.evidence import EvidenceMetrics
from lsgen.callbacks.factors import FactorMetrics
from lsgen.callbacks.geodesics import LatentGeodesics
from lsgen.callbacks.geometry import LatentGeometry
from lsgen.callbacks.guard import FiniteLoss, NonFiniteError
from lsgen.callbacks.held_out import HeldOutCheck, check_split
from lsgen.callbacks.interrupt import Interrupted
from lsgen.callbacks.intra import ClassComparison
from lsgen.callbacks.inversion import Inversions
from lsgen.callbacks.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lsgen.callbacks.metrics import LikelihoodMetrics
from lsgen.callbacks.neighbours import NearestNeighbours
from lsgen.callbacks.observer import Observer
from lsgen.callbacks.problems import Problems, problems_of
from lsgen.callbacks.progress import Progress
from lsgen.callbacks.quality import SampleComparison, SampleQuality
from lsgen.callbacks.reconstructions import Reconstructions
from lsgen.callbacks.samples import Samples
from lsgen.callbacks.seeding import Seeding
from lsgen.callbacks.traversal import LatentTraversal

__all__ = [
    "AggregateMetrics",
    "AtomicCheckpointIO",
    "CSVLogger",
    "Checkpoint",
    "ClassComparison",
    "CollapseWatch",
    "Decoupling",
    "EvidenceMetrics",
    "FactorMetrics",
    "FiniteLoss",
    "GeneratorEMA",
    "HeldOutCheck",
    "Interrupted",
    "Inversions",
    "LatentCallback",
    "LatentDistances",
    "LatentGeodesics",
    "LatentGeometry",
    "LatentTraversal",
    "LikelihoodMetrics",
    "NearestNeighbours",
    "NonFiniteError",
    "Observer",
    "PeriodicCallback",
    "Problems",
    "Progress",
    "Reconstructions",
    "SampleComparison",
    "SampleQuality",
    "Samples",
    "Seeding",
    "TensorBoardLogger",
    "WandbLogger",
    "check_split",
    "newest_checkpoint",
    "problems_of",
    "read_checkpoint",
]
