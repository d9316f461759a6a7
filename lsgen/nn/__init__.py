"""Backbones: tensors in, tensors out; no loss, no probability."""

from lsgen.nn.adversarial.code_discriminator import CodeDiscriminator
from lsgen.nn.class_encoder import ClassEncoder, LabelEncoder
from lsgen.nn.conv import ConvDecoder, ConvEncoder
from lsgen.nn.conv64 import Conv64Decoder, Conv64Encoder
from lsgen.nn.denoisers.attention import MultiHeadAttention
from lsgen.nn.denoisers.conditioning import Conditioning, NoiseFeatures
from lsgen.nn.denoisers.mlp import MLPDenoiser
from lsgen.nn.denoisers.transformer import DiffusionTransformer
from lsgen.nn.denoisers.unet import UNet
from lsgen.nn.features.backbone import TorchvisionBackbone
from lsgen.nn.features.blocks import BlockEncoder
from lsgen.nn.features.fusion import ConcatenationFusion, FiLMFusion
from lsgen.nn.graph_convolution import GraphEncoder, SparseMatrix
from lsgen.nn.grid import GridDecoder, GridEncoder
from lsgen.nn.hyperbolic import GeodesicDecoder, Gyroplanes, MobiusDecoder, MobiusLinear
from lsgen.nn.made import MADE
from lsgen.nn.missingness import MissingnessNetwork, SelfMasking
from lsgen.nn.mlp import GatedLinear, MLPDecoder, MLPEncoder
from lsgen.nn.pixelcnn import PixelCNN
from lsgen.nn.rbf import Precision, RBFDecoder, RBFPrecision
from lsgen.nn.residual_ladder import BottleneckBlock, ResidualLadderEncoder
from lsgen.nn.resnet import ResNetDecoder, ResNetEncoder
from lsgen.nn.sequences.gru import GRUDecoder, GRUEncoder
from lsgen.nn.sequences.transformer import TransformerDecoder, TransformerEncoder
from lsgen.nn.sequences.words import WordVectors
from lsgen.nn.staged_rbf import MLPPrecision, StagedRBFDecoder
from lsgen.nn.wae import WAEDecoder, WAEEncoder

__all__ = [
    "MADE",
    "BlockEncoder",
    "BottleneckBlock",
    "ClassEncoder",
    "CodeDiscriminator",
    "ConcatenationFusion",
    "Conditioning",
    "Conv64Decoder",
    "Conv64Encoder",
    "ConvDecoder",
    "ConvEncoder",
    "DiffusionTransformer",
    "FiLMFusion",
    "GRUDecoder",
    "GRUEncoder",
    "GatedLinear",
    "GeodesicDecoder",
    "GraphEncoder",
    "GridDecoder",
    "GridEncoder",
    "Gyroplanes",
    "LabelEncoder",
    "MLPDecoder",
    "MLPDenoiser",
    "MLPEncoder",
    "MLPPrecision",
    "MissingnessNetwork",
    "MobiusDecoder",
    "MobiusLinear",
    "MultiHeadAttention",
    "NoiseFeatures",
    "PixelCNN",
    "Precision",
    "RBFDecoder",
    "RBFPrecision",
    "ResNetDecoder",
    "ResNetEncoder",
    "ResidualLadderEncoder",
    "SelfMasking",
    "SparseMatrix",
    "StagedRBFDecoder",
    "TorchvisionBackbone",
    "TransformerDecoder",
    "TransformerEncoder",
    "UNet",
    "WAEDecoder",
    "WAEEncoder",
    "WordVectors",
]
