r"""A last linear layer with more outputs than inputs, replaced by a square one with the same inner products.

    f(z) = W h(z) + b,    W = Q R,  Q^T Q = 1    =>    <d f, d' f> = <R d h, R d' h>

for derivatives d, d' of any order: Q is an isometry onto the range of W, and b a translation. Metric, curvature and
geodesics see inner products alone, so that m outputs shrink to as many numbers as the layer has inputs.

Reference: Golub & Van Loan, "Matrix Computations" (2013), section 5.2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from lsgen.geometry.compat import is_plain

__all__ = ["last_linear", "reduced_factor"]

aten = torch.ops.aten
LINEAR = {aten.mm.default, aten.addmm.default}
RESHAPING = {aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.clone.default}
SCALING = {aten.mul.Tensor, aten.div.Tensor}
WIDEST, LEAST, KEPT = 512, 1.25, 8

_factors: list[tuple[Tensor, Tensor]] = []


def reduced_factor(w: Tensor) -> Tensor | None:
    """Return the transposed factor R^T (n, n) of the weights W = Q R.

    Factors are kept together with copies of their weights, and are used as long as the weights are equal to the copy.

    Args:
        w: the transposed weights W^T (n, m).

    Returns:
        The factor, or None if it would save little (m < 1.25 n), n exceeds 512, or W itself is differentiated.

    """
    n, m = w.shape
    if n > WIDEST or m < LEAST * n or not is_plain(w):
        return None
    if w.requires_grad and torch.is_grad_enabled():
        return None
    for place, (weights, factor) in enumerate(_factors):
        same = weights.shape == w.shape and weights.dtype == w.dtype and weights.device == w.device
        if same and torch.equal(weights, w):
            _factors.insert(0, _factors.pop(place))
            return factor
    with torch.no_grad(), torch.inference_mode(False):
        weights = w.clone()
        factor = torch.linalg.qr(weights.mT.double(), mode="r").R.mT.to(w.dtype).contiguous()
    _factors.insert(0, (weights, factor))
    del _factors[KEPT:]
    return factor


def last_linear(output: Node, depends: set[str], points: int) -> tuple[str, frozenset[str]]:
    """Return the last linear step of a trace and the steps after it that only rearrange its result.

    Both are empty if a step follows that neither rearranges nor multiplies by a constant number.

    Args:
        output: the step that makes the result.
        depends: names of the steps that depend on the input.
        points: the number of points N that the trace is for.

    """
    rearranging: set[str] = set()
    node = output
    while node.target not in LINEAR:
        before = [used for used in node.all_input_nodes if used.name in depends]
        if len(before) != 1 or len(before[0].users) != 1:
            return "", frozenset()
        if _rearranges(node, points):
            rearranging.add(node.name)
        elif not _scales(node, before[0]):
            return "", frozenset()
        node = before[0]
    bent, weights = node.args[-2:]
    fixed = isinstance(weights, Node) and weights.name not in depends
    plain = not node.kwargs and all(used is bent or used.name not in depends for used in node.all_input_nodes)
    return (node.name, frozenset(rearranging)) if fixed and plain else ("", frozenset())


def _rearranges(node: Node, points: int) -> bool:
    """Whether a step only reshapes each point or permutes its coordinates."""
    args: Any = node.args
    if node.meta["val"].shape[:1] != (points,):
        return False
    if node.target is aten.cat.default:
        return len(args[0]) == 1
    if node.target is aten.permute.default:
        return bool(args[1][0] == 0)
    if node.target is aten.squeeze.dim:
        return bool(args[1] % args[0].meta["val"].ndim != 0)
    return node.target in RESHAPING


def _scales(node: Node, x: Node) -> bool:
    """Whether a step multiplies or divides x by one number."""
    if node.target not in SCALING or node.args[0] is not x or node.kwargs:
        return False
    by = node.args[1]
    return by.meta["val"].ndim == 0 if isinstance(by, Node) else isinstance(by, int | float)
