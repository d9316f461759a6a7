"""When to compute and where to send it: what runs beside training, and what makes a run resume exactly."""

from lsgen.callbacks.base import LatentCallback
from lsgen.callbacks.checkpoint import Checkpoint
from lsgen.callbacks.checkpoint_io import AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from lsgen.callbacks.distances import LatentDistances
from lsgen.callbacks.factors import FactorMetrics
from lsgen.callbacks.geodesics import LatentGeodesics
from lsgen.callbacks.geometry import LatentGeometry
from lsgen.callbacks.guard import FiniteLoss, NonFiniteError
from lsgen.callbacks.interrupt import Interrupted
from lsgen.callbacks.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lsgen.callbacks.metrics import LikelihoodMetrics
from lsgen.callbacks.progress import Progress
from lsgen.callbacks.reconstructions import Reconstructions
from lsgen.callbacks.samples import Samples
from lsgen.callbacks.seeding import Seeding
from lsgen.callbacks.traversal import LatentTraversal

__all__ = [
    "AtomicCheckpointIO",
    "CSVLogger",
    "Checkpoint",
    "FactorMetrics",
    "FiniteLoss",
    "Interrupted",
    "LatentCallback",
    "LatentDistances",
    "LatentGeodesics",
    "LatentGeometry",
    "LatentTraversal",
    "LikelihoodMetrics",
    "NonFiniteError",
    "Progress",
    "Reconstructions",
    "Samples",
    "Seeding",
    "TensorBoardLogger",
    "WandbLogger",
    "newest_checkpoint",
    "read_checkpoint",
]
