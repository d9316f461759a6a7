"""Data sets as Lightning data modules that own shape, values, splits, ground-truth factors and the order of batches."""

from lsgen.data.arrays.arrays import Arrays
from lsgen.data.audio.audio_folder import Audible, AudioFolder, Windows
from lsgen.data.audio.mel import Mel, MelScale
from lsgen.data.audio.tones import Tones
from lsgen.data.augmentation import AffineDistortion, RandomShift
from lsgen.data.batches import BatchDataset, Observations, Source, TensorSource
from lsgen.data.encodings import AsStored, Binarise, Dequantise, Encoding, Grey, Values
from lsgen.data.factors.cars3d import Cars3D
from lsgen.data.factors.coloured_sprites import ColouredSprites
from lsgen.data.factors.correlation import Correlation
from lsgen.data.factors.dsprites import DSprites
from lsgen.data.factors.factor_images import FactorImages
from lsgen.data.factors.mpi3d import MPI3D
from lsgen.data.factors.shapes3d import Shapes3D
from lsgen.data.factors.small_norb import SmallNorb
from lsgen.data.factors.sprites import Sprites
from lsgen.data.graphs.files.citation_graph import CitationGraph
from lsgen.data.graphs.files.graph_file import GraphFile
from lsgen.data.graphs.files.wordnet import WordNetHypernyms
from lsgen.data.graphs.graph_data import GraphData
from lsgen.data.graphs.link_split import HeldOutLinks, LinkSplit
from lsgen.data.graphs.links import Links
from lsgen.data.graphs.made.cosine_network import CosineNetwork
from lsgen.data.graphs.made.growing_citations import GrowingCitations
from lsgen.data.graphs.made.s1 import GeometricWeights, S1Graph
from lsgen.data.graphs.made.stochastic_blocks import StochasticBlocks
from lsgen.data.graphs.made.tree import Tree
from lsgen.data.graphs.migration import TurkishMigration
from lsgen.data.graphs.nodes import Nodes
from lsgen.data.graphs.social_networks import KarateClub, LesMiserables
from lsgen.data.graphs.source import FeatureSource, GraphSource
from lsgen.data.graphs.walks import RandomWalk, Walks
from lsgen.data.images.celeba import CelebA
from lsgen.data.images.cifar10 import Cifar10
from lsgen.data.images.digits import Digits
from lsgen.data.images.fashion_mnist import FashionMnist
from lsgen.data.images.hugging_face import HuggingFace
from lsgen.data.images.image_folder import ImageFolder
from lsgen.data.images.mnist import Mnist
from lsgen.data.images.omniglot import Omniglot
from lsgen.data.images.pictures import Pictures
from lsgen.data.images.stacked_digits import StackedDigits
from lsgen.data.images.streaming import Entries, Streaming
from lsgen.data.images.torchvision_images import TorchvisionImages
from lsgen.data.images.torchvision_set import TorchvisionSet
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.multimodal.captioned.captioned_digits import CaptionedDigits
from lsgen.data.multimodal.captioned.captioned_fashion import CaptionedFashion
from lsgen.data.multimodal.captioned.captioned_images import CaptionedImages
from lsgen.data.multimodal.captioned.captioned_tones import CaptionedTones
from lsgen.data.multimodal.digit_label import DigitLabel
from lsgen.data.multimodal.image_table import ImageTable
from lsgen.data.multimodal.mnist_svhn import MnistSvhn
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.multimodal.scenes.captioned_sprites import CaptionedSprites
from lsgen.data.multimodal.scenes.sprite_questions import SpriteQuestions
from lsgen.data.multimodal.scenes.sprite_sentiment import SpriteSentiment
from lsgen.data.multimodal.textured_digits import TexturedDigits
from lsgen.data.physics.ising import Ising
from lsgen.data.physics.parameter_grid import ParameterGrid
from lsgen.data.physics.tasep import Tasep
from lsgen.data.sampler import (
    Batching,
    ChunkedBatches,
    ClassBatches,
    MixedBatches,
    OrderedBatches,
    Position,
    Request,
    ShuffledBatches,
)
from lsgen.data.tables.counted_cells import CountedCells
from lsgen.data.tables.table import Table
from lsgen.data.text.bag_of_words import BagOfWords, Words
from lsgen.data.text.baskets import Baskets
from lsgen.data.text.cooccurrences import Cooccurrences
from lsgen.data.text.corpus import Corpus
from lsgen.data.text.grammar import Grammar
from lsgen.data.text.known_topics import KnownTopics
from lsgen.data.text.newsgroups import TwentyNewsgroups
from lsgen.data.text.sentences import Sentences
from lsgen.data.text.tokens import Tokens
from lsgen.data.toys.branching import BranchingDiffusion
from lsgen.data.toys.embedded_circle import EmbeddedCircle
from lsgen.data.toys.toy import Toy
from lsgen.data.transforms import BatchTransform, HiddenLabels, Labels, Missing, MissingValues, Pairs

__all__ = [
    "MPI3D",
    "AffineDistortion",
    "Arrays",
    "AsStored",
    "Audible",
    "AudioFolder",
    "BagOfWords",
    "Baskets",
    "BatchDataset",
    "BatchTransform",
    "Batching",
    "Binarise",
    "BranchingDiffusion",
    "CaptionedDigits",
    "CaptionedFashion",
    "CaptionedImages",
    "CaptionedSprites",
    "CaptionedTones",
    "Cars3D",
    "CelebA",
    "ChunkedBatches",
    "Cifar10",
    "CitationGraph",
    "ClassBatches",
    "ColouredSprites",
    "Cooccurrences",
    "Corpus",
    "Correlation",
    "CosineNetwork",
    "CountedCells",
    "DSprites",
    "DataModule",
    "Dequantise",
    "DigitLabel",
    "Digits",
    "EmbeddedCircle",
    "Encoding",
    "Entries",
    "FactorImages",
    "FashionMnist",
    "FeatureSource",
    "GeometricWeights",
    "Grammar",
    "GraphData",
    "GraphFile",
    "GraphSource",
    "Grey",
    "GrowingCitations",
    "HeldOutLinks",
    "HiddenLabels",
    "HuggingFace",
    "ImageFolder",
    "ImageTable",
    "Ising",
    "KarateClub",
    "KnownTopics",
    "Labels",
    "LesMiserables",
    "LinkSplit",
    "Links",
    "Loading",
    "Mel",
    "MelScale",
    "Missing",
    "MissingValues",
    "MixedBatches",
    "Mnist",
    "MnistSvhn",
    "MultimodalData",
    "Nodes",
    "Observations",
    "Omniglot",
    "OrderedBatches",
    "Pairs",
    "ParameterGrid",
    "Pictures",
    "Position",
    "RandomShift",
    "RandomWalk",
    "Request",
    "S1Graph",
    "Sentences",
    "Shapes3D",
    "ShuffledBatches",
    "SmallNorb",
    "Source",
    "Split",
    "SpriteQuestions",
    "SpriteSentiment",
    "Sprites",
    "StackedDigits",
    "StochasticBlocks",
    "Streaming",
    "Table",
    "Tasep",
    "TensorSource",
    "TexturedDigits",
    "Tokens",
    "Tones",
    "TorchvisionImages",
    "TorchvisionSet",
    "Toy",
    "Tree",
    "TurkishMigration",
    "TwentyNewsgroups",
    "Values",
    "Walks",
    "Windows",
    "WordNetHypernyms",
    "Words",
]
