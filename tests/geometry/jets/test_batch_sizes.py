"""Traces for two numbers of points determine those for all others; if they do not, each number is traced."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import jet
from lsgen.geometry.jets import propagate, tracing
from lsgen.geometry.jets.propagation import verified_trace
from lsgen.nn import Conv64Decoder

f64 = torch.float64


@pytest.fixture
def built(monkeypatch):
    counts, build = [], tracing.build_trace

    def counted(fn, z, modules, *others):
        counts.append(len(z))
        return build(fn, z, modules, *others)

    monkeypatch.setattr(tracing, "build_trace", counted)
    return counts


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, nn.SiLU(), batch_first=True)
        self.tokens, self.layers = nn.Linear(3, 12), nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.tokens(z).view(-1, 3, 4)).flatten(1)


def sizes_everywhere(z: Tensor) -> Tensor:
    n = z.shape[0]
    same = torch.zeros(n, 3, dtype=z.dtype).expand(2, n, 3).movedim(0, 1).reshape(2 * n, 3)
    return (z.repeat_interleave(2, 0).sin() + same).reshape(n, 6) * torch.ones(n, 1, dtype=z.dtype)


def large_batches_apart(z: Tensor) -> Tensor:
    return torch.cat([z.sin(), z.cos()], 1) if len(z) > 6 else torch.stack([z.sin(), z.cos()], 1).flatten(1)


MAPS = {
    "mlp": lambda: nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.LayerNorm(4), nn.Linear(4, 9)),
    "convolution": lambda: nn.Sequential(
        nn.Linear(3, 8), nn.SiLU(), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 4, 2), nn.GroupNorm(1, 1)
    ),
    "attention": Attention,
    "sizes": lambda: sizes_everywhere,
    "two ways": lambda: large_batches_apart,
}


@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS.keys())
def test_any_number_of_points_has_the_derivatives_of_each_by_itself(make, built):
    fn = make()
    fn = fn.to(f64).eval() if isinstance(fn, nn.Module) else fn
    z = torch.randn(12, 3, dtype=f64)
    with torch.no_grad():
        alone = [torch.cat(x) for x in zip(*(jet(fn, u[None]) for u in z), strict=True)]
        for n in (4, 6, 3, 12, 8, 2, 1, 5):
            for found, expected in zip(jet(fn, z[:n], chunk_size=n), alone, strict=True):
                torch.testing.assert_close(found, expected[:n], rtol=1e-9, atol=1e-10)
    assert built == [1, 4, 6]


def test_a_map_with_a_tensor_of_the_batch_in_it_is_traced_for_each_number(built):
    tables = {n: torch.linspace(0, 1, n, dtype=f64)[:, None] for n in (2, 3, 5)}

    def fn(z: Tensor) -> Tensor:
        return z.sin() + tables[len(z)]

    z = torch.randn(5, 3, dtype=f64)
    for n in (2, 3, 5):
        x = propagate(fn, z[:n], torch.eye(3, dtype=f64), 2)
        torch.testing.assert_close(x.v, fn(z[:n]))
        torch.testing.assert_close(x.j.movedim(0, 1), torch.diag_embed(z[:n].cos()))
    assert built == [2, 3, 5]
    with pytest.raises(ValueError, match="values depend on the place of a code in its batch"):
        jet(fn, z)


def test_weights_stay_live_in_inferred_traces(built):
    net, z = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).double(), torch.randn(7, 3, dtype=f64)
    for n in (2, 3, 7):
        jet(net, z[:n], chunk_size=n)
    with torch.no_grad():
        net[0].weight.mul_(2)
        slope = 1 - net(z).square()
    torch.testing.assert_close(jet(net, z, chunk_size=7).jacobian, slope[:, None] * net[0].weight.T)
    assert built == [2, 3]


def test_traces_for_many_numbers_of_points_are_inferred_and_do_not_pile_up(built):
    net = Conv64Decoder(2, (1, 64, 64), activation=nn.SiLU).eval()
    z = torch.randn(40, 2)
    with torch.no_grad():
        for n in (*range(2, 41), 2, 3, 17):
            verified_trace(net, z[:n])
    assert built == [2, 3]
    assert all(len(known) <= tracing.KEPT for known in tracing._traces[net].values())
