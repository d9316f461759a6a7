r"""Ordinary differential equations with step control, by the pair of orders 5 and 4 of Dormand and Prince.

The step is one for the whole batch; it is taken if the error of every state, the root mean square over its values of
the difference of the two orders against atol + rtol |x|, is at most 1. The solution stays on its device, in its type,
and carries gradients; none of the packages that solve such equations is a dependency of lsgen, and the pair is a table.

Reference: Dormand & Prince (1980); Hairer, Norsett & Wanner, "Solving ordinary differential equations I", section II.4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["integrate"]

_C = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_MOST = 100_000


def integrate(
    field: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    start: Tensor,
    end: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """Return the solution of dx/dt = field(t, x) at the end.

    Args:
        field: t, (), and x -> dx/dt.
        x: states at the start, (B, *shape).
        start: time, ().
        end: time, (), later or earlier.
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.

    Raises:
        RuntimeError: a state becomes infinite, or the steps become as small as the spacing of numbers.

    """
    t, last = float(start), float(end)
    h = (last - t) / 50
    slope, least = field(start, x), 4 * torch.finfo(x.dtype).eps * max(abs(t), abs(last), 1e-3)
    for _ in range(_MOST):
        if abs(last - t) <= least or not x.numel():
            return x
        h = last - t if abs(h) > abs(last - t) else h
        new, slopes = _step(field, x, slope, t, h, start)
        error = sum(weight * k for weight, k in zip(_E, slopes, strict=True) if weight)
        scale = atol + rtol * torch.maximum(x.detach().abs(), new.detach().abs())
        ratio = float((h * error.detach() / scale).flatten(1).square().mean(1).sqrt().max())  # type: ignore[union-attr]
        if ratio <= 1:
            t, x, slope = t + h, new, slopes[-1]
        elif abs(h) <= least or ratio != ratio:
            break
        h = h * min(5.0, max(0.2, 0.9 * max(ratio, 1e-10) ** -0.2))
    raise RuntimeError(
        f"the differential equation could not be solved to rtol = {rtol} and atol = {atol} from {float(start):.6g} to "
        f"{last:.6g}: it stopped at {t:.6g}"
    )


def _step(
    field: Callable[[Tensor, Tensor], Tensor], x: Tensor, slope: Tensor, t: float, h: float, like: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the solution of order 5 after a step, and the seven slopes."""
    slopes, state = [slope], x
    for c, row in zip(_C, _A, strict=True):
        state = x + h * sum(weight * k for weight, k in zip(row, slopes, strict=True) if weight)
        slopes.append(field(torch.full_like(like, t + c * h), state))
    return state, slopes
