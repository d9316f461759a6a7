r"""Stochastic gradient descent on windows, one after another, on a CPU.

For each item with its context and each code z in it (the code of each item of the context, or their mean),

    g_t = rate sigma_t (1 - s(sigma_t u_t.z)),    u_t <- u_t + g_t z,    z <- z + sum_t g_t u_t,

over the targets t with signs sigma_t that `BinaryDecoder` gives; u_t on the right are those before the step. It is the
gradient of `BinaryDecoder.losses`, taken step by step as in word2vec.c, so that no rate is too large for many pairs of
one batch. What bounds it is memory: (2 + 2 T) d numbers of a pair are read and written, and the T targets of a window
stay in the first cache for all of its pairs, which share them. Several threads do not wait for one another.

Reference: Ji et al., "Parallelizing word2vec in shared and distributed memory" (2016), for shared negatives; Recht et
al., "Hogwild: a lock-free approach to parallelizing stochastic gradient descent" (2011), for threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import exp, log
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["descend"]

_FAR = 30.0  # from here on log(1 + exp(x)) is x
_SMALL = 1e-100


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _window(hidden: Any, targets: Any, signs: Any, outputs: Any, rate: float, change: Any) -> float:
    """Update the vectors of targets by one code (d,), put rate times its gradient into `change`, return the loss."""
    loss, product, size = 0.0, 1.0, len(hidden)
    for k in range(size):
        change[k] = 0
    for t in range(len(targets)):
        sign = signs[t]
        if sign == 0:
            continue
        output = outputs[targets[t]]
        score = hidden.dtype.type(0)
        for k in range(size):
            score += hidden[k] * output[k]
        margin = sign * float(score)
        p = 1 / (1 + exp(-margin))
        if margin < -_FAR:
            loss -= margin
        else:
            product *= p
            if product < _SMALL:
                loss -= log(product)
                product = 1.0
        g = hidden.dtype.type(rate * sign * (1 - p))
        for k in range(size):
            change[k] += g * output[k]
            output[k] += g * hidden[k]
    return loss - log(product)


@numba.njit(cache=True, nogil=True)
def _descend(
    first: int, last: int, items: Any, left: Any, right: Any, targets: Any, signs: Any, codes: Any, outputs: Any,
    rate: float, average: bool,
) -> tuple[float, int]:  # fmt: skip
    loss, pairs, size = 0.0, 0, codes.shape[1]
    change, mean = np.zeros(size, codes.dtype), np.zeros(size, codes.dtype)
    for i in range(first, last):
        members = left[i] + right[i]
        if items[i] < 0 or members == 0:
            continue
        if not average:
            for j in range(i - left[i], i + right[i] + 1):
                if j != i:
                    code = codes[items[j]]
                    loss += _window(code, targets[i], signs[i], outputs, rate, change)
                    for k in range(size):
                        code[k] += change[k]
            pairs += members
            continue
        mean[:] = 0
        for j in range(i - left[i], i + right[i] + 1):
            if j != i:
                mean += codes[items[j]]
        mean /= members
        loss += _window(mean, targets[i], signs[i], outputs, rate, change)
        change /= members
        for j in range(i - left[i], i + right[i] + 1):
            if j != i:
                codes[items[j]] += change
        pairs += 1
    return loss, pairs


def descend(
    contexts: Sequence[NDArray[Any]],
    targets: Sequence[NDArray[Any]],
    tables: Sequence[NDArray[Any]],
    rate: float,
    average: bool,
    workers: int = 1,
) -> tuple[float, int]:
    """Change codes and the vectors of contexts in place by one pass over windows.

    Args:
        contexts: items, left and right of `Contexts`, (n,).
        targets: rows and signs (n, T) of `BinaryDecoder.targets`.
        tables: codes (V, d) and vectors of contexts, float32 or float64.
        rate: of learning.
        average: whether the code is the mean of the context, else each of its items has a loss of its own.
        workers: threads that share the windows out and write without waiting for one another, so that what several
            make differs from run to run.

    Returns:
        The sum of the losses, each before its step, and how many there were.

    """
    kernel: Any = _descend
    cuts = np.linspace(0, len(contexts[0]), workers + 1).astype(int).tolist()

    def part(first: int, last: int) -> tuple[float, int]:
        loss, pairs = kernel(first, last, *contexts, *targets, *tables, rate, average)
        return float(loss), int(pairs)

    if workers == 1:
        return part(*cuts)
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(part, cuts[:-1], cuts[1:]))
    return sum(loss for loss, _ in found), sum(pairs for _, pairs in found)
