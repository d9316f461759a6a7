"""Evaluation of networks that draw random numbers with the same draws at every call.

A finite difference of a generator with noise, style mixing or dropout measures what these change, not what the code
changes, unless all its evaluations see the same draws. The same holds for a spectrally normalised layer in train mode,
which improves its estimate of the norm in every forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.utils import parametrize

__all__ = ["same_noise"]


@contextmanager
def same_noise(function: Callable[[Tensor], Tensor]) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function whose calls all use the same random draws and the same parametrised weights.

    What it draws follows from one number of the CPU's global generator; each call leaves the global generators of the
    CPU and of its input's device as they were. Calls with inputs of one shape see the same noise.

    Args:
        function: codes (N, d) -> observations (N, *shape), drawing from torch's global generators.

    Example:
        >>> with same_noise(lambda z: z + torch.randn_like(z)) as held:
        ...     bool((held(torch.zeros(3)) == held(torch.zeros(3))).all())
        True

    """
    seed = int(torch.randint(2**62, ()))

    def held(z: Tensor) -> Tensor:
        kind = z.device.type
        with torch.random.fork_rng([] if kind == "cpu" else [z.device], device_type="cuda" if kind == "cpu" else kind):
            torch.default_generator.manual_seed(seed)
            if kind != "cpu":
                state = torch.Generator(z.device).manual_seed(seed).get_state()
                torch.get_device_module(z.device).set_rng_state(state, z.device)
            return function(z)

    with parametrize.cached():
        yield held
