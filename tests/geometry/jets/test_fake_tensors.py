"""Jets on a pretended GPU: fake tensors refuse operations that mix devices or read numbers from one."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lsgen.geometry import (
    Immersion,
    christoffel,
    curve_length,
    jet,
    log_volume,
    mean_curvature,
    metric,
    parallel_transport,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    spectrum,
)
from lsgen.geometry.jets import kinks
from lsgen.nn import Conv64Decoder, MLPDecoder

D = 3


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Linear(D, 12)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, nn.SiLU(), batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(self.tokens(z).view(-1, 3, 4)).flatten(1)


class OwnTensors(nn.Module):
    """Makes tensors on the device of its input, and has a last layer that can be reduced."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(D, 20)

    def forward(self, z: Tensor) -> Tensor:
        turned = z.sin() @ torch.eye(D, device=z.device) + torch.zeros(len(z), D, device=z.device)
        return self.last(torch.where(turned > 0, turned, turned.expm1()))


DECODERS = {
    "mlp": (lambda: MLPDecoder(D, (1, 4, 5), hidden=(8, 8), activation=nn.SiLU), 20),
    "convolution": (lambda: Conv64Decoder(D, (1, 64, 64), activation=nn.ReLU), 4096),
    "attention": (Attention, 12),
    "normalisation": (lambda: nn.Sequential(nn.Linear(D, 8), nn.LayerNorm(8), nn.Softmax(1)), 8),
    "own tensors": (OwnTensors, 20),
}


def pretended(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """Put weights and buffers of the same shape on a pretended GPU in place of a module's own."""
    with mode:
        for part in module.modules():
            for name, x in list(part.named_parameters(recurse=False)):
                setattr(part, name, nn.Parameter(torch.empty(x.shape, device="cuda"), requires_grad=False))
            for name, x in list(part.named_buffers(recurse=False)):
                part.register_buffer(name, torch.empty(x.shape, dtype=x.dtype, device="cuda"))
    return module.eval()


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.filterwarnings("ignore:the map contains ReLU")
def test_jets_of_a_decoder_on_a_gpu_stay_there(name):
    make, m = DECODERS[name]
    mode = FakeTensorMode()
    net = pretended(make(), mode)
    with mode, torch.no_grad():
        z = torch.empty(4, D, device="cuda")
        found = [*jet(net, z), metric(Immersion(net, D), z), scalar_curvature(Immersion(net, D), z)]
        assert [tuple(x.shape) for x in found] == [(4, m), (4, D, m), (4, D, D, m), (4, D, D), (4,)]
        assert {x.device for x in found} == {torch.device("cuda", 0)}
        assert kinks(net, z) == (["ReLU"] if name == "convolution" else [])


QUANTITIES = {
    "log_volume": (lambda im, z, u, c: log_volume(im, z), (4,)),
    "spectrum": (lambda im, z, u, c: spectrum(im, z).eigenvalues, (4, D)),
    "christoffel": (lambda im, z, u, c: christoffel(im, z), (4, D, D, D)),
    "riemann": (lambda im, z, u, c: riemann(im, z), (4, D, D, D, D)),
    "ricci": (lambda im, z, u, c: ricci(im, z), (4, D, D)),
    "sectional_curvature": (lambda im, z, u, c: sectional_curvature(im, z, u, z), (4,)),
    "mean_curvature": (lambda im, z, u, c: mean_curvature(im, z).vector, (4, 20)),
    "curve_length": (lambda im, z, u, c: curve_length(im, c), (4,)),
    "parallel_transport": (lambda im, z, u, c: parallel_transport(im, c, u), (4, 5, D)),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantities_without_iterations_read_no_number_from_a_gpu(name):
    work, shape = QUANTITIES[name]
    mode = FakeTensorMode()
    net = pretended(DECODERS["mlp"][0](), mode)
    with mode, torch.no_grad():
        z, u = torch.empty(2, 4, D, device="cuda")
        found = work(Immersion(net, D), z, u, torch.empty(4, 5, D, device="cuda"))
        assert found.device == torch.device("cuda", 0)
        assert tuple(found.shape) == shape


def test_a_decoder_that_mixes_devices_is_told():
    mode = FakeTensorMode()
    net = pretended(nn.Linear(D, 5), mode)
    with mode, pytest.raises(RuntimeError, match="device"):
        jet(lambda z: net(z) + torch.ones(5, device="cpu"), torch.empty(4, D, device="cuda"))
