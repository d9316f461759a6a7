import torch
from torch import nn

from lsgen.geometry import Immersion, log_volume, scalar_curvature
from lsgen.geometry.curvature import volume_and_curvature


def test_both_are_what_they_are_alone_and_on_the_sphere():
    def sphere(t):
        return torch.stack([t[:, 0].sin() * t[:, 1].cos(), t[:, 0].sin() * t[:, 1].sin(), t[:, 0].cos()], -1)

    z = torch.rand(4, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    im = Immersion(sphere, 2)
    volume, curvature = volume_and_curvature(im, z, chunk_size=3)
    assert torch.allclose(volume, z[..., 0].sin().log())
    assert torch.allclose(curvature, torch.full((4, 5), 2.0, dtype=torch.float64))
    assert torch.allclose(volume, log_volume(im, z))
    assert torch.allclose(curvature, scalar_curvature(im, z))


def test_a_rank_deficient_metric_has_no_volume_and_no_curvature():
    layer = nn.Linear(2, 3).double()
    layer.weight.data[:, 1] = 0
    volume, curvature = volume_and_curvature(Immersion(layer, 2), torch.randn(3, 2, dtype=torch.float64))
    assert (volume == -torch.inf).all()
    assert curvature.isnan().all()
