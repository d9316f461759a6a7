from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import jet


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.activation = nn.Linear(3, 3), nn.Linear(3, 3, bias=False), torch.sin
        self.b.weight = self.a.weight
        self.settings = {"scales": [2.0, 1.0]}
        self.fixed = [torch.ones(3)]
        self.offset: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        h = self.activation(self.b(self.a(z))) * self.settings["scales"][0] * self.fixed[0]
        return h if self.offset is None else h + self.offset * z


CHANGES: dict[str, Callable[[Scaled], object]] = {
    "a function": lambda m: setattr(m, "activation", torch.tanh),
    "a number in a list": lambda m: m.settings["scales"].__setitem__(0, 5.0),
    "a tensor in a list": lambda m: m.fixed.__setitem__(0, torch.full((3,), 3.0)),
    "a tensor where there was none": lambda m: setattr(m, "offset", torch.ones(3)),
    "a bias where there was none": lambda m: setattr(m.b, "bias", nn.Parameter(torch.ones(3))),
    "a bias taken away": lambda m: setattr(m.a, "bias", None),
    "weights no longer shared": lambda m: setattr(m.b, "weight", nn.Parameter(torch.eye(3))),
    "a hook": lambda m: m.a.register_forward_hook(lambda module, args, output: 2 * output),
    "another forward": lambda m: setattr(m.a, "forward", lambda x: 3 * x),
    "values in place": lambda m: m.a.weight.data.mul_(2),
    "another tensor of the same place": lambda m: setattr(m.a, "bias", nn.Parameter(torch.full((3,), 0.5))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_jet_is_that_of_the_map_as_it_is_now(change: str) -> None:
    made = Scaled().eval()
    z = torch.linspace(-1, 1, 6).reshape(2, 3)
    before = jet(made, z)
    CHANGES[change](made)
    now = jet(made, z)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: made(x[None])[0]))(z).mT
    torch.testing.assert_close(now.value, made(z))
    torch.testing.assert_close(now.jacobian, jacobian)
    assert not torch.allclose(now.value, before.value)


def _read_twice(z: Tensor) -> Tensor:
    x = z.sin()
    y = x.square()
    x.add_(1)
    return x * y


def _read_before(z: Tensor) -> Tensor:
    x = z.sin()
    return x.cos() + x.mul_(2)


def _through_a_view(z: Tensor) -> Tensor:
    x = z.sin()
    x[:, :2].add_(z[:, 1:])
    return x * x


IN_PLACE: list[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
    (_read_twice, lambda z: (z.sin() + 1) * z.sin().square()),
    (_read_before, lambda z: z.sin().cos() + 2 * z.sin()),
    (_through_a_view, lambda z: (z.sin() + torch.cat([z[:, 1:], 0 * z[:, :1]], 1)).square()),
]


@pytest.mark.parametrize(("fn", "plain"), IN_PLACE)
def test_a_map_may_work_in_place(fn: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor]) -> None:
    z = torch.randn(4, 3, dtype=torch.float64)
    for found, expected in zip(jet(fn, z), jet(plain, z), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_normalisation_that_works_in_place_is_traced(caplog: pytest.LogCaptureFixture) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4))
    jet(net, torch.randn(2, 3))
    assert "differentiated as a whole" not in caplog.text
