"""Backbones: tensors in, tensors out; no loss, no probability."""

from lsgen.nn.code_discriminator import CodeDiscriminator
from lsgen.nn.conv64 import Conv64Decoder, Conv64Encoder
from lsgen.nn.mlp import MLPDecoder, MLPEncoder

__all__ = ["CodeDiscriminator", "Conv64Decoder", "Conv64Encoder", "MLPDecoder", "MLPEncoder"]
