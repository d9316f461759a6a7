"""A trace follows every change of its map, and says what automatic differentiation says."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial, wraps
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lsgen.geometry import Immersion, immersion, jet, metric, reference, scalar_curvature
from lsgen.geometry.jets import tracing

GAIN = 2.0


def linear(z: Tensor) -> Tensor:
    return z * 2


linear.__module__ = "lsgen.of_mine"


class Slotted:
    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale


class Scaled(nn.Module):
    gain = 1.5

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(inner=SimpleNamespace(scale=2.0), slotted=Slotted(1.0), tensor=torch.ones(3))
        self.composed = OmegaConf.create({"inner": {"scale": 2.0}})
        self.table = np.ones(3, dtype=np.float32)
        self.a, self.b, self.activation = nn.Linear(3, 3), nn.Linear(3, 3, bias=False), torch.sin
        self.b.weight = self.a.weight
        self.settings = {"scales": [2.0, 1.0]}
        self.fixed = [torch.ones(3)]
        self.offset: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        h = self.activation(self.b(self.a(z))) * self.settings["scales"][0] * self.fixed[0]
        inner = self.config.inner.scale * self.composed.inner.scale * self.config.slotted.scale
        h = h * self.gain * self.config.tensor * torch.as_tensor(self.table) * inner * sum(GAIN for _ in range(1))
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
    "a number in a nested object": lambda m: setattr(m.config.inner, "scale", 5.0),
    "a number in a slot": lambda m: setattr(m.config.slotted, "scale", 5.0),
    "a tensor in an object": lambda m: setattr(m.config, "tensor", torch.full((3,), 5.0)),
    "a number in a config": lambda m: setattr(m.composed.inner, "scale", 5.0),
    "an entry of an array": lambda m: m.table.__setitem__(1, 5.0),
    "an attribute of the class": lambda m: setattr(Scaled, "gain", Scaled.gain + 1),
    "a global": lambda m: globals().__setitem__("GAIN", GAIN + 1),
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


def gained(z: Tensor) -> Tensor:
    return z.sin() * GAIN


def times_gain(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    @wraps(fn)
    def product(z: Tensor) -> Tensor:
        return fn(z) * GAIN

    return product


@pytest.mark.parametrize("fn", [torch.func.vmap(gained), times_gain(torch.sin), times_gain(linear)])
def test_globals_of_what_functions_of_pytorch_and_of_lsgen_hold_or_lend_their_names_to(
    fn: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    im, z = Immersion(fn, 3), torch.randn(2, 3)
    before = metric(im, z)
    monkeypatch.setitem(globals(), "GAIN", 3 * GAIN)
    torch.testing.assert_close(metric(im, z), 9 * before)


def test_a_map_that_names_functions_of_lsgen_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they lead to, such as stores of lsgen that grow meanwhile, has no part in what the map is."""
    count, build = [], tracing.build_trace
    monkeypatch.setattr(tracing, "build_trace", lambda *a: count.append(1) or build(*a))
    surface, z = reference.sphere(), torch.randn(2, 2)
    im = Immersion(lambda z: surface.immersion.fn(z), 2)
    assert immersion.__name__ in im.fn.__code__.co_names
    first = metric(im, z)
    found = len(count)
    assert found > 0
    for _ in range(2):
        assert torch.equal(metric(im, z), first)
    assert len(count) == found


class Held(nn.Module):
    """Multiplies by what a function makes of something that it holds."""

    def __init__(self, held: Any, read: Callable[[Any], float]) -> None:
        super().__init__()
        self.linear, self.held, self.read = nn.Linear(2, 3), held, read

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.linear(z) * self.read(self.held))


class Kept:
    scale = 1.0


def _set(i: int, model: Held, make: Callable[[int], Any]) -> None:
    model.held = None
    model.held = make(i)


made_elsewhere = ModuleType("made_elsewhere")
made_elsewhere.scale = 1.0  # type: ignore[attr-defined]
HELD: dict[str, tuple[Callable[[int], Any], Callable[[Any], float], Callable[[Held, int], object] | None]] = {
    "NumPy number": (np.float32, float, None),
    "range": (range, len, None),
    "frozenset": (lambda i: frozenset(range(i)), len, None),
    "time difference": (timedelta, lambda x: float(x.days), None),
    "set": (lambda _: {1}, len, lambda m, i: m.held.add(i)),
    "empty set": (lambda _: set(), lambda x: 1.0 + len(x), lambda m, i: m.held.add(i)),
    "class of an empty container": (lambda i: set() if i % 2 else {}, lambda x: 1.0 + isinstance(x, set), None),
    "queue": (lambda _: deque([1.0]), sum, lambda m, i: m.held.append(i)),
    "bytes": (lambda _: bytearray(b"a"), len, lambda m, i: m.held.append(i)),
    "array of objects": (
        lambda i: np.array([Slotted(i)], dtype=object),
        lambda x: x[0].scale,
        lambda m, i: setattr(m.held[0], "scale", i),
    ),
    "class of an object": (lambda _: Kept(), lambda x: x.scale, lambda _, i: setattr(Kept, "scale", i)),
    "module": (lambda _: None, lambda _: made_elsewhere.scale, lambda _, i: setattr(made_elsewhere, "scale", i)),
    "tensor read as a number": (lambda i: torch.tensor(float(i)), float, lambda m, i: m.held.fill_(i)),
    "another tensor read": (lambda i: torch.tensor(float(i)), Tensor.item, None),
    "tensor that decides": (torch.tensor, lambda x: 2.0 if x < 3 else 5.0, lambda m, i: m.held.fill_(i)),
    "tensor read as a list": (lambda i: torch.full((2,), i), lambda x: sum(x.tolist()), lambda m, i: m.held.fill_(i)),
    "tensor in a list": (lambda i: [torch.tensor(i)], lambda x: x[0].item(), lambda m, i: m.held[0].fill_(i)),
    "module of the network": (
        lambda i: nn.Linear(1, 1).requires_grad_(False).apply(lambda x: x.weight.fill_(i)),
        lambda x: x.weight[0, 0],
        None,
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_whatever_a_map_holds_counts_by_its_value(name: str) -> None:
    make, read, change = HELD[name]
    torch.manual_seed(0)
    model, z = Held(make(1), read).requires_grad_(False), torch.linspace(-1, 1, 6).reshape(3, 2)
    for i in range(2, 7):
        j = torch.func.vmap(torch.func.jacfwd(lambda x: torch.tanh(model.linear(x) * read(model.held))))(z)
        torch.testing.assert_close(metric(Immersion(model, 2), z), j.mT @ j)
        _set(i, model, make) if change is None else change(model, i)


def test_a_map_that_was_accepted_is_refused_once_it_no_longer_is_fit() -> None:
    drop, z = nn.Dropout(0.5), torch.linspace(-1, 1, 6).reshape(3, 2)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), drop).eval()
    im = Immersion(net, 2)
    before = metric(im, z)
    drop.train()
    with pytest.raises(ValueError, match="expected a map in eval mode, got Dropout in train mode"):
        metric(im, z)
    drop.eval()
    torch.testing.assert_close(metric(im, z), before)
    net.double()
    with pytest.raises(TypeError, match="expected codes of dtype float64 like the weights, got float32"):
        metric(im, z)
    torch.testing.assert_close(metric(im, z.double()).float(), before)
    net.append(nn.Identity())
    net[-1].register_forward_hook(lambda _, __, x: x * (1 + torch.rand(())))
    with pytest.raises(ValueError, match="expected a deterministic map"):
        metric(im, z.double())


def test_what_is_nested_deep_is_no_obstacle() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    model = Held(deep, lambda _: 1.0)
    z = torch.zeros(3, 2)
    j = torch.func.vmap(torch.func.jacfwd(model))(z)
    torch.testing.assert_close(metric(Immersion(model, 2), z), j.mT @ j)


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


def _view_read_later(z: Tensor) -> Tensor:
    x = z.sin()
    view = x[:, :1]
    x.add_(1)
    return x * view


IN_PLACE: list[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
    (_read_twice, lambda z: (z.sin() + 1) * z.sin().square()),
    (_read_before, lambda z: z.sin().cos() + 2 * z.sin()),
    (_view_read_later, lambda z: (z.sin() + 1) * (z.sin() + 1)[:, :1]),
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


class _Rounded(torch.autograd.Function):
    """Rounds, with the derivative of the identity."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return g


def _under_no_grad(z: Tensor) -> Tensor:
    with torch.no_grad():
        s = z.norm(dim=1, keepdim=True) + z[:, :1].square()
    return z.sin() * s


def _alike(z: Tensor) -> Tensor:
    return z * (1 + 2 * torch.log_softmax(z, 1)) if float(z.detach().sum()) < 99 else z


def entry(fn: Callable[[Tensor], Tensor], k: int, row: Tensor) -> Tensor:
    return fn(row[None])[0, k]


TABLE = torch.linspace(-1, 1, 10, dtype=torch.float64).reshape(5, 2)
AS_WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "a cast to integers": lambda z: z.sin() * (3 * z).long().to(z.dtype),
    "a table": lambda z: F.embedding(z[:, 0].abs().long() % 5, TABLE) * z[:, :1].square(),
    "a broadcast selection": lambda z: torch.where(z[:, :1] > 0, z[:, :1] ** 2, torch.arange(5.0, dtype=z.dtype)),
    "a block without gradients": _under_no_grad,
    "a function with its own derivative": lambda z: _Rounded.apply(3 * z) * z,
    "a single constant": lambda z: z.sin() / torch.tensor([3.0, 7.0, 9.0]),
    "an integer constant": lambda z: z.sin() / torch.tensor([3, 7, 9]),
    "a power of zero": lambda z: (0 * z) ** 0 + z.square(),
    "a norm of zero": lambda z: torch.linalg.norm(0 * z, dim=1, keepdim=True) + z.square(),
    "a direction of zero": lambda z: F.normalize(0 * z) + z.square(),
    "a cumulative logsumexp": lambda z: torch.logcumsumexp(3 * z, 1),
    "a layer norm that cannot be traced": lambda z: F.layer_norm(_alike(z), (3,), 1 + 0.1 * TABLE[:3, 0]),
    "an instance norm that cannot be traced": lambda z: F.instance_norm(_alike(z)[:, None], eps=0.1)[:, 0],
}


AT_ZERO = ("a norm of zero", "a direction of zero")


@pytest.mark.parametrize("name", AS_WRITTEN)
def test_derivatives_are_those_of_autograd(name: str) -> None:
    fn, z = AS_WRITTEN[name], torch.tensor([[0.7, 1.3, -2.2], [0.1, -0.4, 0.9]], dtype=torch.float64)
    smooth = torch.square if name in AT_ZERO else fn  # autograd's second derivatives are NaN there
    jacobian, hessian = (
        torch.stack([torch.stack([by(partial(entry, f, k), row) for k in range(fn(z).shape[1])], -1) for row in z])
        for by, f in ((torch.autograd.functional.jacobian, fn), (torch.autograd.functional.hessian, smooth))
    )
    for _ in range(2):
        found = jet(fn, z)
        torch.testing.assert_close(found.value, fn(z), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.jacobian, jacobian, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found.hessian, hessian, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fn", [lambda z: z.sin().detach(), lambda z: 2 * z.data, torch.no_grad()(torch.sin)])
def test_a_map_whose_result_is_detached_is_refused(fn: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="expected a map that can be differentiated, got one whose result is detached"):
        metric(Immersion(fn, 3), torch.randn(2, 3))


def test_threads_trace_one_map_at_a_time() -> None:
    net = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    im = Immersion(lambda z: net(z[:, None])[:, 0], 4)
    z = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n)) for n in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: metric(im, x), z))
    assert torch.backends.mha.get_fastpath_enabled() == fast
    for g, x in zip(found, z, strict=True):
        torch.testing.assert_close(g, metric(im, x))


class Square(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return 2 * ctx.saved_tensors[0] * grads[0]


class Cubing(Square):
    """Takes three times as much for its derivative as it is."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return 6 * ctx.saved_tensors[0] * grads[0]


@pytest.mark.parametrize(
    ("fn", "factor"),
    [
        (lambda z: cast(Tensor, Square.apply(z)), 1),
        (lambda z: cast(Tensor, Cubing.apply(z)), 3),
        (lambda z: checkpoint(torch.square, z, use_reentrant=True), 1),
        (lambda z: checkpoint(torch.square, z, use_reentrant=False), 1),
    ],
    ids=["function", "function of its own derivative", "reentrant checkpoint", "checkpoint"],
)
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_functions_of_autograd_are_not_taken_for_detached(fn: Callable[[Tensor], Tensor], factor: float) -> None:
    z = torch.tensor([[0.5, -1.0], [2.0, 3.0]])
    torch.testing.assert_close(metric(Immersion(fn, 2), z), factor**2 * torch.diag_embed(4 * z**2))


def test_weights_of_inference_mode_are_traced() -> None:
    with torch.inference_mode():
        model, z = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), torch.linspace(-1, 1, 6).reshape(3, 2)
        layer = model[0]
        j = (1 - model(z) ** 2)[:, :, None] * layer.weight
        torch.testing.assert_close(metric(Immersion(model, 2), z), j.mT @ j)
        assert isinstance(scalar_curvature(Immersion(model, 2), z), Tensor)
