"""Derivatives that nothing else uses are overwritten: results against torch.func, whatever else uses them."""

import pytest
import torch
from torch import nn
from torch.func import hessian, jacrev, vmap

from lsgen.geometry.jets import propagate
from lsgen.geometry.jets.propagation import verified_trace

f64 = torch.float64


class Branched(nn.Module):
    """A linear layer, and a function of what it returns."""

    def __init__(self, after):
        super().__init__()
        self.before, self.linear, self.after = nn.Linear(3, 6), nn.Linear(6, 8), after

    def forward(self, z):
        return self.after(self.linear(self.before(z).tanh()))


def _views(h):
    shaped = h.view(-1, 2, 4)
    return shaped.tanh().flatten(1) + shaped.flatten(1)


def _halves(h):
    a, b = h.chunk(2, -1)
    return nn.functional.silu(a) * b.tanh() + a


MAPS = {
    "elementwise": (torch.sigmoid, 1),
    "reshaped": (lambda h: h.view(-1, 2, 4).transpose(1, 2).sigmoid().flatten(1), 1),
    "one channel": (lambda h: h.unsqueeze(1).sigmoid().squeeze(1).exp(), 1),
    "used again": (lambda h: h.tanh() + h, 0),
    "used by two functions": (lambda h: h.tanh() * h.sin(), 0),
    "a view used again": (_views, 0),
    "halves": (_halves, 0),
    "detached": (lambda h: (h - h.detach()).sigmoid() + h.detach().exp(), 0),
    "convolution": (
        lambda h: nn.functional.conv1d(h[:, None], torch.tensor([[[1.0, -2.0, 0.5]]], dtype=f64)).tanh().flatten(1),
        1,
    ),
}


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("name", MAPS)
def test_derivatives_are_right_whatever_uses_them(name, graded):
    after, count = MAPS[name]
    net, z = Branched(after).double(), torch.randn(4, 3, dtype=f64)
    v = torch.randn(2, 4, 3, dtype=f64)
    kept = v.clone()
    one = lambda u: net(u[None])[0]
    first = torch.einsum("nmi,kni->knm", vmap(jacrev(one))(z), v)
    bent = vmap(hessian(one))(z)
    second = torch.stack([torch.einsum("nmij,ni,nj->nm", bent, v[a], v[b]) for a, b in ((0, 0), (0, 1), (1, 1))])
    with torch.set_grad_enabled(graded):
        for _ in range(2):
            torch.testing.assert_close(propagate(net, z, v, 1).t, first)
            torch.testing.assert_close(propagate(net, z, v, 2).t, torch.cat([first, second]))
    assert torch.equal(v, kept)
    overwriting = [step for step in verified_trace(net, z).steps if step.overwrites]
    assert len(overwriting) == 1 + count


def test_directions_that_all_codes_share_are_not_overwritten():
    net, z, v = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid()).double(), torch.randn(4, 3, dtype=f64), torch.eye(3)
    v = v.double()
    with torch.no_grad():
        found = propagate(net, z, v, 1).t
    torch.testing.assert_close(found, vmap(jacrev(lambda u: net(u[None])[0]))(z).permute(2, 0, 1))
    assert torch.equal(v, torch.eye(3, dtype=f64))


def test_derivatives_outside_a_transform_of_values_inside_it_are_not_overwritten():
    """The first layer's derivatives do not depend on z, whose batch or derivative a transform follows."""
    net = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid()).double().requires_grad_(False)
    z, eye = torch.randn(4, 3, dtype=f64), torch.eye(3, dtype=f64)
    expected = vmap(jacrev(lambda u: net(u[None])[0]))(z)
    one = lambda u: propagate(net, u[None], eye, 1).j[:, 0]
    torch.testing.assert_close(vmap(one)(z).mT, expected)
    slope = vmap(jacrev(one))(z)
    torch.testing.assert_close(slope.transpose(1, 2), vmap(hessian(lambda u: net(u[None])[0]))(z))
    at = z[:1].clone().requires_grad_()
    (found,) = torch.autograd.grad(propagate(net, at, eye, 1).t.sum(), at)
    torch.testing.assert_close(found[0], slope[0].sum((0, 1)))
