"""Every quantity of a metric at a code keeps what the room promises: any batch shape and dtype, its input not touched.

Quantities enrol themselves: functions exported by lsgen.geometry or its curvature whose only arguments without a
default are (im, z), and that take `chunk_size`.
"""

import inspect

import pytest
import torch
from torch import Tensor, nn

from lsgen import geometry
from lsgen.geometry import Immersion, curvature

NET = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5))


def _is_quantity(function):
    parameters = inspect.signature(function).parameters
    return [n for n, p in parameters.items() if p.default is p.empty] == ["im", "z"] and "chunk_size" in parameters


FUNCTIONS = {name: getattr(door, name) for door in (geometry, curvature) for name in door.__all__}
QUANTITIES = {name: f for name, f in FUNCTIONS.items() if inspect.isfunction(f) and _is_quantity(f)}


def _tensors(found):
    if isinstance(found, Tensor):
        return [found]
    return [part for part in (found if isinstance(found, tuple) else vars(found).values()) if isinstance(part, Tensor)]


def test_what_is_promised_is_here():
    assert {"metric", "log_volume", "spectrum", "christoffel", "riemann", "ricci", "scalar_curvature"} <= set(
        QUANTITIES
    )


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_shapes_and_dtypes(name, dtype, batch):
    z = torch.randn(*batch, 2, dtype=dtype)
    before = z.clone()
    results = _tensors(QUANTITIES[name](Immersion(NET.to(dtype), 2), z))
    assert results
    for result in results:
        assert result.shape[: len(batch)] == batch
        assert result.dtype == dtype or not result.is_floating_point()
        assert torch.isfinite(result).all()
    assert torch.equal(z, before)


@pytest.mark.parametrize("name", QUANTITIES)
def test_chunks_are_wholes(name):
    z, im = torch.randn(7, 2, dtype=torch.float64), Immersion(NET.double(), 2)
    parts, whole = (_tensors(QUANTITIES[name](im, z, chunk_size=size)) for size in (3, None))
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b)
