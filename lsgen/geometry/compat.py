"""Private parts of PyTorch that geometry relies on; nothing else in this room touches any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import _len_torch_dispatch_stack_pre_dispatch as _pre_dispatched
from torch._subclasses.fake_tensor import is_fake, maybe_get_fake_mode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import _pop_mode_temporarily
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map, tree_map_only

__all__ = [
    "TorchDispatchMode",
    "has_values",
    "is_batched",
    "is_fake",
    "is_fresh",
    "is_plain",
    "is_transformed",
    "is_view",
    "is_wrapped",
    "make_fx",
    "math_attention",
    "one_thread",
    "out_of_place",
    "outside_modes",
    "outside_transforms",
    "schema_of",
    "tensor_tables",
    "tree_map",
    "tree_map_only",
    "unwrapped",
]

_functorch = torch._C._functorch
_PLAIN = (Tensor, nn.Parameter, nn.Buffer)
one_thread = RLock()  # held by who sets a flag of the process


def is_wrapped(x: Tensor) -> bool:
    """Whether a transform of `torch.func` follows this tensor."""
    return bool(_functorch.is_functorch_wrapped_tensor(x))


@contextmanager
def math_attention() -> Iterator[None]:
    """Compute attention by operations that have every derivative within this block, one thread at a time."""
    with one_thread, sdpa_kernel(SDPBackend.MATH):
        yield


def is_batched(x: Tensor) -> bool:
    """Whether a tensor stands for a batch of tensors under `torch.vmap`, at any level of nested transforms."""
    while is_wrapped(x):
        if _functorch.is_batchedtensor(x):
            return True
        x = _functorch.get_unwrapped(x)
    return False


def has_values(x: Tensor) -> bool:
    """Whether the values of a tensor can be read; under `torch.vmap` and of fake tensors they cannot."""
    return is_plain(x) or not (is_batched(x) or is_fake(x))


def is_plain(x: Tensor) -> bool:
    """Whether a tensor is neither wrapped by a transform nor of another class, as fake tensors are."""
    return type(x) in _PLAIN and not is_wrapped(x)


def unwrapped(x: Tensor) -> Tensor:
    """Return the values of a tensor outside all transforms: of a batch under `vmap`, its first member."""
    places = []
    while is_wrapped(x):
        places.append(_functorch.maybe_get_bdim(x) if _functorch.is_batchedtensor(x) else -1)
        x = _functorch.get_unwrapped(x)
    for place in reversed(places):  # each counts the dimensions without those of the levels below it
        x = x if place < 0 else x.select(place, 0)
    return x


@contextmanager
def outside_transforms(x: Tensor) -> Iterator[None]:
    """Suspend the transforms of `torch.func` and the modes in force, except the fake mode of a fake tensor x."""
    if not (is_transformed() or _len_torch_function_stack() or _len_torch_dispatch_stack() or _pre_dispatched()):
        yield
        return
    with temporarily_clear_interpreter_stack(), _disable_current_modes(), ExitStack() as stack:
        for _ in range(_len_torch_function_stack()):
            stack.enter_context(_pop_mode_temporarily())
        fake = maybe_get_fake_mode(x)
        if fake is not None:
            stack.enter_context(fake)
        yield


def outside_modes() -> AbstractContextManager[Any]:
    """Suspend the modes in force that see the operations of PyTorch."""
    made: AbstractContextManager[Any] = _disable_current_modes()
    return made


def is_transformed() -> bool:
    """Whether a transform of `torch.func` is in force."""
    return _functorch.peek_interpreter_stack() is not None


def is_view(x: Tensor) -> bool:
    """Whether autograd knows a tensor as a view of another one."""
    return x._is_view()


def schema_of(op: Any) -> Any:
    """Return the schema of an operation, None for a function that has none."""
    return getattr(op, "_schema", None)


def is_fresh(op: Any) -> bool:
    """Whether an operation returns one tensor that shares its memory with none of the arguments."""
    returns: Any = getattr(schema_of(op), "returns", ())
    return len(returns) == 1 and returns[0].alias_info is None


def out_of_place(op: Any) -> Any:
    """Return the out-of-place form of an operation; None if there is none."""
    name = op.overloadpacket.__name__
    plain = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    overload = op._overloadname
    return getattr(plain, overload) if plain is not None and overload in plain.overloads() else None


def tensor_tables(module: nn.Module) -> tuple[dict[str, Any], ...]:
    """Return the dictionaries of a module's weights, of its buffers and of its other attributes."""
    return module._parameters, module._buffers, vars(module)
