r"""A small StyleGAN2: a mapping network z -> w, and a synthesis network whose convolutions w modulates.

    w      = f( z / rms(z) ),  an MLP;  truncated:  w_mean + psi (w - w_mean)
    s      = A w + 1                                   style of a layer, one number per input channel
    K'     = s K,    K'' = K' / sqrt( sum K'^2 + eps ) modulated, then demodulated kernel, one per image
    y      = lrelu( K'' * x + strength noise + b )     noise with one value per pixel, the same for all channels

Every resolution adds its image to the up-sampled image of the one below it (skip architecture). Weights are N(0, 1),
scaled at run time by gain/sqrt(fan in) (equalised learning rate).

Two latent spaces: Z, with the normal prior, and W, the input of `synthesis`. W+ has a code for every layer, (N, L, w).
In eval mode noise is zero, so that an image is a function of its code.

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN" (2020),
https://arxiv.org/abs/1912.04958, section 2; Karras et al. (2019), https://arxiv.org/abs/1812.04948, for mapping,
style mixing and truncation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

__all__ = ["EqualLinear", "Mapping", "ModulatedConv", "StyleGenerator", "Synthesis"]


def activate(x: Tensor) -> Tensor:
    """Return sqrt(2) lrelu(x), of slope 0.2, which nearly keeps the variance of a normal variable."""
    return sqrt(2) * leaky_relu(x, 0.2)


class EqualLinear(nn.Module):
    """A linear layer with equalised learning rate.

        y = (rate/sqrt(in)) W x + rate b,    W ~ N(0, 1/rate^2)

    Args:
        inputs: features in.
        outputs: features out.
        bias: initial bias.
        rate: learning-rate multiplier.

    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain, self.rate = rate / sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, outputs)."""
        return nn.functional.linear(x, self.gain * self.weight, self.rate * self.bias)


class Mapping(nn.Module):
    """Z -> W: codes (N, dim) -> styles (N, width).

    Args:
        dim: latent dimension d.
        width: dimension of W.
        layers: number of layers, 8 in the paper.
        rate: learning-rate multiplier, 0.01 in the paper.
        decay: how slowly the mean of w follows, per training batch.

    Attributes:
        mean: the running mean of w, the centre of truncation.

    """

    mean: Tensor

    def __init__(self, dim: int, width: int, layers: int = 8, rate: float = 0.01, decay: float = 0.998) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualLinear(dim if i == 0 else width, width, rate=rate) for i in range(layers))
        self.decay = decay
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, z: Tensor) -> Tensor:
        """Return styles (N, width); in train mode their mean is followed."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = activate(layer(w))
        if self.training:
            self.mean.lerp_(w.detach().mean(0), 1 - self.decay)
        return w


class ModulatedConv(nn.Module):
    """A convolution whose kernel a style scales along its input channels.

    Args:
        inputs: channels in.
        outputs: channels out.
        width: dimension of W.
        kernel: size of the kernel, odd.
        demodulate: whether every output channel's kernel is brought to norm one.

    """

    def __init__(self, inputs: int, outputs: int, width: int, kernel: int = 3, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = EqualLinear(width, inputs, bias=1.0)
        self.gain, self.demodulate = 1 / sqrt(inputs * kernel**2), demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return features (N, outputs, H, W) of features (N, inputs, H, W) and styles (N, width).

        Scaling the input and the output is the same as scaling the kernel of every image, and one convolution.
        """
        s, kernel = self.style(w), self.gain * self.weight
        out = conv2d(x * s[:, :, None, None], kernel, padding=kernel.shape[-1] // 2)
        if self.demodulate:
            squares = s.square() @ kernel.square().sum((2, 3)).T
            out = out * torch.rsqrt(squares + 1e-8)[:, :, None, None]
        return out


class _Layer(nn.Module):
    """A modulated convolution with noise, bias and activation."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, width)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = self.conv(x, w)
        if self.training:
            y = y + self.strength * torch.randn(len(y), 1, *y.shape[2:], dtype=y.dtype, device=y.device)
        return activate(y + self.bias)


class _Block(nn.Module):
    """The convolutions of one resolution, and its output as an image."""

    def __init__(self, inputs: int | None, outputs: int, colours: int, width: int) -> None:
        super().__init__()
        first = [] if inputs is None else [_Layer(inputs, outputs, width)]
        self.convolutions = nn.ModuleList([*first, _Layer(outputs, outputs, width)])
        self.image = ModulatedConv(outputs, colours, width, kernel=1, demodulate=False)


class Synthesis(nn.Module):
    """W or W+ -> images (N, C, S, S), S = 4 * 2^(len(channels) - 1).

    Args:
        shape: shape of one image, (C, S, S).
        width: dimension of W.
        channels: channels from 4 x 4 up.

    Attributes:
        layers: number L of styles that an image takes, one for every convolution and one for the last image; the
            image of a lower resolution shares the style of the convolution after it.

    Raises:
        ValueError: the image cannot be reached by doublings of 4.

    """

    def __init__(self, shape: Sequence[int], width: int, channels: Sequence[int]) -> None:
        super().__init__()
        size = 4 * 2 ** (len(channels) - 1)
        if tuple(shape[1:]) != (size, size):
            raise ValueError(f"expected images (C, {size}, {size}) of {len(channels)} resolutions, got {tuple(shape)}")
        self.dim, self.heads, self.layers = width, 1, 2 * len(channels)
        self.constant = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        steps = zip([None, *channels[:-1]], channels, strict=True)
        self.blocks = nn.ModuleList(_Block(inputs, outputs, int(shape[0]), width) for inputs, outputs in steps)
        self.offset = nn.Parameter(torch.zeros(int(shape[0]), 1, 1))

    def forward(self, w: Tensor) -> Tensor:
        """Return images (N, C, S, S) of styles (N, width), or (N, L, width) with one for every layer."""
        styles = list(w.unbind(1)) if w.ndim == 3 else [w] * self.layers
        x = self.constant.expand(len(w), -1, -1, -1)
        total: Tensor = self.offset
        for i, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            if i:
                x, total = _double(x), _double(total)
            for convolution in block.convolutions:
                x = convolution(x, styles.pop(0))
            total = total + block.image(x, styles[0])
        return total


class StyleGenerator(nn.Module):
    """Codes (N, dim) -> images (N, C, S, S), through W.

    Args:
        dim: latent dimension d.
        shape: shape of one image.
        width: dimension of W.
        channels: channels from 4 x 4 up.
        mapping_layers: layers of the mapping network.
        mixing: probability, in training, that later layers get the style of another code.
        truncation: psi, in eval mode; 1 leaves styles as they are.

    Raises:
        ValueError: mixing or truncation is not in [0, 1], or the image does not fit the channels.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        width: int = 128,
        channels: Sequence[int] = (128, 128, 64, 32),
        mapping_layers: int = 8,
        mixing: float = 0.9,
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        for name, share in (("mixing", mixing), ("truncation", truncation)):
            if not 0 <= share <= 1:
                raise ValueError(f"expected {name} in [0, 1], got {share}")
        self.dim, self.heads, self.mixing, self.truncation = dim, 1, mixing, truncation
        self.mapping = Mapping(dim, width, mapping_layers)
        self.synthesis = Synthesis(shape, width, channels)

    def styles(self, z: Tensor) -> Tensor:
        """Return styles (N, width), truncated in eval mode."""
        w: Tensor = self.mapping(z)
        return w if self.training else torch.lerp(self.mapping.mean, w, self.truncation)

    def forward(self, z: Tensor) -> Tensor:
        """Return images (N, C, S, S); in training with style mixing and noise."""
        image: Tensor = self.synthesis(self.layer_styles(z))
        return image

    def unmixed(self, z: Tensor) -> Tensor:
        """Return images (N, C, S, S), each of its own code alone also in training."""
        image: Tensor = self.synthesis(self.styles(z))
        return image

    def layer_styles(self, z: Tensor) -> Tensor:
        """Return a style for every layer, W+ (N, L, width), mixed in training."""
        w = self.styles(z)
        return self._mixed(w) if self.training and self.mixing else w[:, None].expand(-1, self.synthesis.layers, -1)

    def _mixed(self, w: Tensor) -> Tensor:
        """Return W+ (N, L, width): from a random layer on, with probability `mixing`, the style of the code before."""
        layers = self.synthesis.layers
        mixed = torch.rand(len(w), 1, device=w.device) < self.mixing
        crossover = torch.randint(1, layers, (len(w), 1), device=w.device)
        other = mixed & (torch.arange(layers, device=w.device) >= crossover)
        return torch.where(other[:, :, None], w.roll(1, 0)[:, None], w[:, None])


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
