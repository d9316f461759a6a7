"""Data sets as Lightning data modules that own shape, values, splits, ground-truth factors and the order of batches."""

from lsgen.data.additions import Addition, HiddenLabels, MissingValues, Pairs
from lsgen.data.batches import Batch, BatchDataset, Source, TensorSource
from lsgen.data.celeba import CelebA
from lsgen.data.cifar10 import Cifar10
from lsgen.data.digits import Digits
from lsgen.data.dsprites import DSprites
from lsgen.data.encodings import AsStored, Binarise, Dequantise, Encoding, Grey, Values
from lsgen.data.fashion_mnist import FashionMnist
from lsgen.data.mnist import Mnist
from lsgen.data.module import DataModule, Split
from lsgen.data.sampler import OrderedBatches, Position, Request, ShuffledBatches
from lsgen.data.sprites import Sprites
from lsgen.data.table import Table
from lsgen.data.toy import Toy

__all__ = [
    "Addition",
    "AsStored",
    "Batch",
    "BatchDataset",
    "Binarise",
    "CelebA",
    "Cifar10",
    "DSprites",
    "DataModule",
    "Dequantise",
    "Digits",
    "Encoding",
    "FashionMnist",
    "Grey",
    "HiddenLabels",
    "MissingValues",
    "Mnist",
    "OrderedBatches",
    "Pairs",
    "Position",
    "Request",
    "ShuffledBatches",
    "Source",
    "Split",
    "Sprites",
    "Table",
    "TensorSource",
    "Toy",
    "Values",
]
