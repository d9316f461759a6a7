"""Every network of codes or observations keeps the contract. Networks enrol themselves by type.

A network is a module whose constructor takes `shape`, the shape of an observation, and whose `forward` takes one
argument: x, observations (N, *shape), or z, codes (N, dim). Layers and pairs are no networks.
"""

import inspect

import members
import pytest
import torch
from torch import Tensor, nn

DIM = 4  # a vector of one number at each of 2 x 2 places, for networks of grids
NONE = inspect.Parameter("none", inspect.Parameter.KEYWORD_ONLY)
SHAPES = ((1, 8, 8), (1, 32, 32), (1, 64, 64), (6,))  # the first that a network is made for; sentences come last
WORDS = 5


def _input(member: type[nn.Module]) -> str | None:
    parameters = inspect.signature(member.forward).parameters
    needed = [name for name, p in parameters.items() if name != "self" and p.default is p.empty]
    takes_shape = "shape" in inspect.signature(member).parameters
    return needed[0] if takes_shape and needed in (["x"], ["z"]) else None


NETWORKS = members.by_name([member for member in members.concrete(nn.Module, "lsgen.nn") if _input(member)])


def _built(member: type[nn.Module]) -> tuple[nn.Module, tuple[int, ...]]:
    refusals, small = [], {"width": 4, "centres": 3, "mapping_layers": 1}
    if inspect.signature(member).parameters.get("hidden", NONE).annotation == "Sequence[int]":
        small["hidden"] = (8,)
    for shape in SHAPES:
        torch.manual_seed(0)
        try:
            network = members.build(member, shape=shape, dim=DIM, size=WORDS, **small)
        except ValueError as error:
            refusals.append(str(error))
            continue
        if hasattr(network, "place"):  # centres among codes
            network.place(torch.randn(20, DIM))
        return network, shape
    raise AssertionError(f"{member.__name__} is made for none of {SHAPES}: {refusals}")


@pytest.fixture(params=NETWORKS)
def built(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    """Return a network in eval mode and five inputs."""
    member = NETWORKS[request.param]
    network, shape = _built(member)
    inputs = torch.rand(5, *shape) if _input(member) == "x" else torch.randn(5, DIM)
    inputs = (WORDS * inputs).floor() if len(shape) == 1 else inputs  # numbers of words
    if hasattr(network, "curvature"):  # codes in the ball
        inputs = inputs / (1 + inputs.norm(dim=1, keepdim=True)) / network.curvature**0.5
    return network.eval(), inputs


def test_outputs_are_for_every_input_by_itself(built: tuple[nn.Module, Tensor]) -> None:
    network, inputs = built
    with torch.no_grad():
        out = network(inputs)
        assert out.shape[0] == 5
        assert out.isfinite().all()
        torch.testing.assert_close(network(inputs), out, rtol=0, atol=0)
        alone = torch.cat([network(one) for one in inputs.split(1)])
    torch.testing.assert_close(alone, out, rtol=1e-3, atol=1e-4)


def test_double_precision_is_the_same_network(built: tuple[nn.Module, Tensor]) -> None:
    network, inputs = built
    with torch.no_grad():
        single = network(inputs)
        double = network.double()(inputs.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-4)


def test_weights_are_all_of_its_state(built: tuple[nn.Module, Tensor]) -> None:
    network, inputs = built
    twin, _ = _built(type(network))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    twin.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(twin.eval()(inputs), network(inputs), rtol=0, atol=0)


def test_every_parameter_has_an_effect(built: tuple[nn.Module, Tensor]) -> None:
    network, inputs = built
    network.train()(inputs).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_what_encodes_or_decodes_says_its_sizes(built: tuple[nn.Module, Tensor]) -> None:
    """`dim` and `heads` let parts that disagree be refused."""
    network, inputs = built
    taken = inspect.signature(type(network)).parameters
    if "dim" in taken and "heads" in taken:
        assert network.dim == DIM
        out = network(inputs)
        if _input(type(network)) == "x" and out.ndim == 2 and "classes" not in taken:
            assert out.shape[1] == network.heads * DIM
        elif _input(type(network)) == "z":
            assert out.shape[1] % network.heads == 0
