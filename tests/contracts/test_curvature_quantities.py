"""Every curvature quantity holds what the room promises: any batch shape and dtype, its input left as it was."""

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, curvature, log_volume, metric

QUANTITIES = {name: getattr(curvature, name) for name in curvature.__all__ if "curvature" in name}
QUANTITIES |= {"metric": metric, "log_volume": log_volume}
POINTWISE = [name for name in QUANTITIES if name != "sectional_curvature"]


def test_the_list_is_not_empty():
    assert "scalar_curvature" in POINTWISE


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_shapes_and_dtypes(name, dtype, batch):
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)).to(dtype)
    z = torch.randn(*batch, 2, dtype=dtype)
    before = z.clone()
    found = QUANTITIES[name](Immersion(net, 2), z)
    for result in found if isinstance(found, tuple) else (found,):
        assert result.shape[: len(batch)] == batch
        assert result.dtype == dtype
        assert torch.isfinite(result).all()
    assert torch.equal(z, before)


@pytest.mark.parametrize("name", POINTWISE)
def test_chunks_are_wholes(name):
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    z = torch.randn(7, 2, dtype=torch.float64)
    quantity = QUANTITIES[name]
    torch.testing.assert_close(quantity(Immersion(net, 2), z, chunk_size=3), quantity(Immersion(net, 2), z))
