"""Derivatives of every quantity by the transforms of torch.func, before and after eager calls: central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

from lsgen.geometry import (
    Immersion,
    MetricField,
    christoffel,
    curve_length,
    immersion,
    jet,
    log_volume,
    mean_curvature,
    metric,
    metric_field,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    spectrum,
)
from lsgen.geometry.curvature import second_fundamental_form, volume_and_curvature
from lsgen.geometry.geodesics import curve_energy
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Beta, Gaussian

f64 = torch.float64
U, V = torch.tensor([[1.0, 0.5], [0.3, -0.7]], dtype=f64).unbind(0)
WEIGHTS = torch.linspace(0.5, 1.5, 8, dtype=f64)


def curve(z: Tensor) -> Tensor:
    return torch.stack([z, z + 0.1 * U.to(z), z + 0.3 * V.to(z)], -2)


QUANTITIES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "metric": metric,
    "log_volume": log_volume,
    "eigenvalues": lambda im, z: spectrum(im, z).eigenvalues,
    "christoffel": christoffel,
    "riemann": riemann,
    "ricci": ricci,
    "scalar_curvature": scalar_curvature,
    "volume_and_curvature": lambda im, z: torch.stack(volume_and_curvature(im, z), -1),
    "sectional_curvature": lambda im, z: sectional_curvature(im, z, U.expand_as(z), V.expand_as(z)),
    "curve_energy": lambda im, z: curve_energy(im, curve(z)),
    "curve_length": lambda im, z: curve_length(im, curve(z)),
}
OF_IMMERSIONS = {
    "second_fundamental_form": second_fundamental_form,
    "mean_curvature": lambda im, z: mean_curvature(im, z).vector,
    "jet": lambda im, z: jet(im, z).hessian,
}
PAIRS = [
    *(("network", name) for name in QUANTITIES | OF_IMMERSIONS),
    *((kind, name) for kind in ("scale", "field") for name in ("log_volume", "scalar_curvature")),
]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.LayerNorm(5), nn.Softmax(-1), nn.Linear(5, 6)).double().eval()


def made(kind: str) -> Immersion | MetricField:
    if kind == "network":
        return Immersion(network(), 2)
    likelihood = Gaussian((3,)) if kind == "scale" else Beta((3,))
    space = LatentSpace(network(), likelihood, StandardNormal(2)).double().eval()
    return immersion(space) if kind == "scale" else metric_field(space)


def total(quantity: Callable[[Any, Tensor], Tensor], im: Any) -> Callable[[Tensor], Tensor]:
    def value(z: Tensor) -> Tensor:
        x = quantity(im, z).flatten()
        return (x * torch.linspace(0.5, 1.5, len(x), dtype=f64)).sum()

    return value


def differences(f: Callable[[Tensor], Tensor], z: Tensor, h: float = 1e-5) -> Tensor:
    steps = h * torch.eye(2, dtype=f64)
    return torch.stack([(f(z + e) - f(z - e)) / (2 * h) for e in steps])


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]] = {
    "grad": lambda f, z: grad(f)(z),
    "jacrev": lambda f, z: jacrev(f)(z),
    "jacfwd": lambda f, z: jacfwd(f)(z),
    "jvp": lambda f, z: torch.stack([jvp(f, (z,), (e,))[1] for e in torch.eye(2, dtype=f64)]),
    "vmap": lambda f, z: vmap(grad(f))(torch.stack([z, z + 1]))[0],
}


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_every_transform_differentiates_every_quantity(kind: str, name: str) -> None:
    quantity = (QUANTITIES | OF_IMMERSIONS)[name]
    z = torch.tensor([0.4, -0.8], dtype=f64)
    expected = differences(total(quantity, made(kind)), z)
    eager = quantity(made(kind), z)
    for name_of_transform, transform in TRANSFORMS.items():
        im = made(kind)
        f = total(quantity, im)
        torch.testing.assert_close(transform(f, z), expected, rtol=2e-5, atol=2e-5)
        torch.testing.assert_close(quantity(im, z), eager, rtol=1e-10, atol=1e-10)
        if name_of_transform in ("grad", "jacfwd"):  # after an eager call
            torch.testing.assert_close(transform(f, z), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["metric", "log_volume", "scalar_curvature", "curve_length"])
def test_weights_of_a_functional_call_have_gradients(name: str) -> None:
    net, quantity, z = network(), QUANTITIES[name], torch.tensor([[0.4, -0.8]], dtype=f64)
    weights = {key: w.detach().clone() for key, w in net.named_parameters()}

    def value(part: Tensor) -> Tensor:
        given = {**weights, "0.weight": part}
        return total(quantity, Immersion(lambda x: functional_call(net, given, (x,)), 2))(z)

    w = weights["0.weight"]
    found = grad(value)(w)
    torch.testing.assert_close(vmap(grad(value))(torch.stack([w, 2 * w]))[0], found)
    live = w.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(value(live), live)[0], found)
    e = torch.zeros_like(w)
    e[1, 0] = 1e-5
    torch.testing.assert_close(found[1, 0], (value(w + e) - value(w - e)) / 2e-5, rtol=2e-5, atol=2e-5)


def test_batches_of_batches_are_those_of_all_codes() -> None:
    torch.manual_seed(0)
    im = Immersion(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).requires_grad_(False), 2)
    z = torch.randn(3, 4, 2)
    for outer, inner in ((0, 0), (1, 0), (0, 1), (2, 1)):
        x = (z if inner == 0 else z.mT).movedim(0, outer)
        both = vmap(vmap(lambda w: metric(im, w[None])[0], in_dims=inner), in_dims=outer)
        torch.testing.assert_close(both(x), metric(im, z))


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("transform", [jacfwd, jacrev])
def test_transforms_differentiate_maps_without_rules_where_no_graph_is_kept(transform: Any, outside: Any) -> None:
    """The metric of z -> lgamma(z) is diagonal, digamma^2, with the derivative 2 digamma trigamma."""
    im, z = Immersion(torch.lgamma, 2), torch.tensor([0.7, 2.5], dtype=f64)
    slope = 2 * torch.digamma(z) * torch.polygamma(1, z)
    with outside():
        found = transform(lambda u: metric(im, u))(z)
    torch.testing.assert_close(found.diagonal(dim1=0, dim2=1), torch.diag(slope))
