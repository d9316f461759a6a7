"""The calls into torch that are not public, in one place: transforms of `torch.func` and wrapped tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import _len_torch_dispatch_stack_pre_dispatch as _pre_dispatched
from torch.overrides import _pop_mode_temporarily
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["is_batched", "is_plain", "is_transformed", "is_wrapped", "outside_transforms", "unwrapped"]

_functorch = torch._C._functorch
_PLAIN = (Tensor, nn.Parameter, nn.Buffer)


def is_wrapped(x: Tensor) -> bool:
    """Whether a transform of `torch.func` follows this tensor."""
    return bool(_functorch.is_functorch_wrapped_tensor(x))


def is_batched(x: Tensor) -> bool:
    """Whether a tensor stands for a batch of tensors under `torch.vmap`, at any level of nested transforms."""
    while is_wrapped(x):
        if _functorch.is_batchedtensor(x):
            return True
        x = _functorch.get_unwrapped(x)
    return False


def is_plain(x: Tensor) -> bool:
    """Whether a tensor is neither wrapped by a transform nor of another class, as fake tensors are."""
    return type(x) in _PLAIN and not is_wrapped(x)


def unwrapped(x: Tensor) -> Tensor:
    """Return the values of a tensor outside all transforms; of a batch, those of its first member."""
    places = []
    while is_wrapped(x):
        places.append(_functorch.maybe_get_bdim(x) if _functorch.is_batchedtensor(x) else -1)
        x = _functorch.get_unwrapped(x)
    for place in reversed(places):  # each counts the dimensions without those of the levels below it
        x = x if place < 0 else x.select(place, 0)
    return x


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Suspend the transforms of `torch.func`, the tracing and the modes that this is called within."""
    if not (is_transformed() or _len_torch_function_stack() or _len_torch_dispatch_stack() or _pre_dispatched()):
        yield
        return
    with temporarily_clear_interpreter_stack(), _disable_current_modes(), ExitStack() as stack:
        for _ in range(_len_torch_function_stack()):
            stack.enter_context(_pop_mode_temporarily())
        yield


def is_transformed() -> bool:
    """Whether a transform of `torch.func` is in force."""
    return _functorch.peek_interpreter_stack() is not None
