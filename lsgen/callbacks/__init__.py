"""When to compute and where to send it: what runs beside training, and what makes a run resume exactly."""

from lsgen.callbacks.checkpoint import Checkpoint
from lsgen.callbacks.checkpoint_io import AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from lsgen.callbacks.guard import FiniteLoss, NonFiniteError
from lsgen.callbacks.interrupt import Interrupted
from lsgen.callbacks.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lsgen.callbacks.metrics import LikelihoodMetrics
from lsgen.callbacks.progress import Progress
from lsgen.callbacks.seeding import Seeding

__all__ = [
    "AtomicCheckpointIO",
    "CSVLogger",
    "Checkpoint",
    "FiniteLoss",
    "Interrupted",
    "LikelihoodMetrics",
    "NonFiniteError",
    "Progress",
    "Seeding",
    "TensorBoardLogger",
    "WandbLogger",
    "newest_checkpoint",
    "read_checkpoint",
]
