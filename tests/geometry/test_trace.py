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
