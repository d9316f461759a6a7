r"""Rules for elementwise functions y = f(x).

    y_i = f'(x) x_i,        y_ij = f'(x) x_ij + f''(x) x_i x_j

Each function below returns (f, f', f'') at x. f'' is given as a function without arguments, because a first-order
propagation does not need it, and as None if it is zero. At a kink the derivative is that of automatic differentiation:
relu'(0) = 0, and clamp' = 1 on its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi, sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lsgen.geometry.jets.taylor import Rule, Taylor, chain, only_first

__all__ = ["ELEMENTWISE_RULES", "PIECEWISE_LINEAR", "log_sigmoid", "power", "reciprocal", "rsqrt", "sigmoid"]

Expansion = tuple[Tensor, Tensor, Callable[[], Tensor] | None]
aten = torch.ops.aten


def _exp(x: Tensor) -> Expansion:
    y = x.exp()
    return y, y, lambda: y


def _exp2(x: Tensor) -> Expansion:
    y = x.exp2()
    return y, y * log(2), lambda: y * log(2) ** 2


def _expm1(x: Tensor) -> Expansion:
    y = x.exp()
    return x.expm1(), y, lambda: y


def _log(x: Tensor) -> Expansion:
    r = x.reciprocal()
    return x.log(), r, lambda: -r * r


def _log1p(x: Tensor) -> Expansion:
    r = (1 + x).reciprocal()
    return x.log1p(), r, lambda: -r * r


def _log2(x: Tensor) -> Expansion:
    r = x.reciprocal()
    return x.log2(), r / log(2), lambda: -r * r / log(2)


def _log10(x: Tensor) -> Expansion:
    r = x.reciprocal()
    return x.log10(), r / log(10), lambda: -r * r / log(10)


def _sqrt(x: Tensor) -> Expansion:
    y = x.sqrt()
    f1 = 0.5 / y
    return y, f1, lambda: -0.5 * f1 / x


def rsqrt(x: Tensor) -> Expansion:
    """Expand 1/sqrt(x)."""
    y = x.rsqrt()
    r = x.reciprocal()
    f1 = -0.5 * y * r
    return y, f1, lambda: -1.5 * f1 * r


def reciprocal(x: Tensor) -> Expansion:
    """Expand 1/x."""
    y = x.reciprocal()
    return y, -y * y, lambda: 2 * y * y * y


def sigmoid(x: Tensor) -> Expansion:
    """Expand the logistic function."""
    y = x.sigmoid()
    f1 = y * x.neg().sigmoid_()
    return y, f1, lambda: f1 * (1 - 2 * y)


def _tanh(x: Tensor) -> Expansion:
    y = x.tanh()
    f1 = 1 - y * y
    return y, f1, lambda: -2 * y * f1


def _silu(x: Tensor) -> Expansion:
    s = x.sigmoid()
    y = x * s
    return y, torch.lerp(y, s.new_ones(()), s), lambda: s * (1 - s) * (2 + x * (1 - 2 * s))


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Expansion:
    s = torch.where(x * beta > threshold, torch.ones_like(x), (beta * x).sigmoid())
    return F.softplus(x, beta, threshold), s, lambda: beta * s * (1 - s)


def log_sigmoid(x: Tensor) -> Expansion:
    """Expand the logarithm of the logistic function."""
    s = (-x).sigmoid()
    return F.logsigmoid(x), s, lambda: -s * (1 - s)


def _gelu(x: Tensor, *, approximate: str = "none") -> Expansion:
    if approximate == "tanh":
        k, c = sqrt(2 / pi), 0.044715
        x2 = x * x
        th = torch.tanh(k * x * (1 + c * x2))
        u1, u2 = k * (1 + 3 * c * x2), 6 * k * c * x
        s1 = 1 - th * th
        s2 = -2 * th * s1
        return (
            0.5 * x * (1 + th),
            0.5 * (1 + th + x * s1 * u1),
            lambda: 0.5 * (2 * s1 * u1 + x * (s2 * u1 * u1 + s1 * u2)),
        )
    cdf = 0.5 * torch.erfc(x * -sqrt(0.5))
    pdf = torch.exp(-0.5 * x * x) / sqrt(2 * pi)
    return x * cdf, torch.addcmul(cdf, x, pdf), lambda: pdf * (2 - x * x)


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Expansion:
    positive = x > 0
    e = alpha * scale * torch.where(positive, torch.zeros_like(x), x * input_scale).exp()
    y = torch.where(positive, scale * x, alpha * scale * (x.clamp(max=0) * input_scale).expm1())
    zero = torch.zeros_like(x)
    f1 = torch.where(positive, zero + scale, input_scale * e)
    return y, f1, lambda: torch.where(positive, zero, input_scale * input_scale * e)


def _celu(x: Tensor, alpha: float = 1.0) -> Expansion:
    return _elu(x, alpha, 1.0, 1 / alpha)


def _selu(x: Tensor) -> Expansion:
    return _elu(x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _mish(x: Tensor) -> Expansion:
    s = x.sigmoid()
    th = F.softplus(x).tanh()
    q = 1 - th * th
    f1 = th + x * s * q
    return x * th, f1, lambda: s * q * (2 + x * (1 - s - 2 * th * s))


def _hardswish(x: Tensor) -> Expansion:
    inside = (x > -3) & (x < 3)
    slope = torch.where(inside, x / 3 + 0.5, (x >= 3).to(x.dtype))
    return F.hardswish(x), slope, lambda: inside.to(x.dtype) / 3


def _hardsigmoid(x: Tensor) -> Expansion:
    return F.hardsigmoid(x), ((x > -3) & (x < 3)).to(x.dtype) / 6, None


def _sin(x: Tensor) -> Expansion:
    y = x.sin()
    return y, x.cos(), lambda: -y


def _cos(x: Tensor) -> Expansion:
    y = x.cos()
    return y, -x.sin(), lambda: -y


def _tan(x: Tensor) -> Expansion:
    y = x.tan()
    f1 = 1 + y * y
    return y, f1, lambda: 2 * y * f1


def _asin(x: Tensor) -> Expansion:
    r = ((1 - x) * (1 + x)).rsqrt()
    return x.asin(), r, lambda: x * r**3


def _acos(x: Tensor) -> Expansion:
    r = ((1 - x) * (1 + x)).rsqrt()
    return x.acos(), -r, lambda: -x * r**3


def _atan(x: Tensor) -> Expansion:
    r = (1 + x * x).reciprocal()
    return x.atan(), r, lambda: -2 * x * r * r


def _sinh(x: Tensor) -> Expansion:
    y = x.sinh()
    return y, x.cosh(), lambda: y


def _cosh(x: Tensor) -> Expansion:
    y = x.cosh()
    return y, x.sinh(), lambda: y


def _asinh(x: Tensor) -> Expansion:
    r = (1 + x * x).rsqrt()
    return x.asinh(), r, lambda: -x * r**3


def _acosh(x: Tensor) -> Expansion:
    r = ((x - 1) * (x + 1)).rsqrt()
    return x.acosh(), r, lambda: -x * r**3


def _atanh(x: Tensor) -> Expansion:
    r = ((1 - x) * (1 + x)).reciprocal()
    return x.atanh(), r, lambda: 2 * x * r * r


def _erf(x: Tensor) -> Expansion:
    f1 = 2 / sqrt(pi) * torch.exp(-x * x)
    return x.erf(), f1, lambda: -2 * x * f1


def _erfc(x: Tensor) -> Expansion:
    f1 = -2 / sqrt(pi) * torch.exp(-x * x)
    return x.erfc(), f1, lambda: -2 * x * f1


def power(x: Tensor, exponent: float) -> Expansion:
    """Expand x^n."""
    n = exponent
    if n in (0, 1):
        return x**n, torch.full_like(x, float(n)), None
    f1 = n * x ** (n - 1)
    return x**n, f1, lambda: torch.full_like(x, 2.0) if n == 2 else n * (n - 1) * x ** (n - 2)


def _abs(x: Tensor) -> Expansion:
    return x.abs(), x.sign(), None


def _relu(x: Tensor) -> Expansion:
    return x.relu(), (x > 0).to(x.dtype), None


def _leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Expansion:
    slope = torch.where(x > 0, torch.ones_like(x), torch.full_like(x, negative_slope))
    return x * slope, slope, None


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Expansion:
    return x.clamp(min_val, max_val), ((x > min_val) & (x < max_val)).to(x.dtype), None


def _clamp(x: Tensor, min: Any = None, max: Any = None) -> Expansion:
    y = torch.clamp(x, min, max)
    return y, (x == y).to(x.dtype), None


def _clamp_min(x: Tensor, min: Any) -> Expansion:
    return _clamp(x, min=min)


def _clamp_max(x: Tensor, max: Any) -> Expansion:
    return _clamp(x, max=max)


def _threshold(x: Tensor, threshold: float, value: float) -> Expansion:
    return F.threshold(x, threshold, value), (x > threshold).to(x.dtype), None


def _shrink(x: Tensor, y: Tensor) -> Expansion:
    return y, (y != 0).to(x.dtype), None


def _softshrink(x: Tensor, lambd: float = 0.5) -> Expansion:
    return _shrink(x, F.softshrink(x, lambd))


def _hardshrink(x: Tensor, lambd: float = 0.5) -> Expansion:
    return _shrink(x, F.hardshrink(x, lambd))


FUNCTIONS: dict[Any, Callable[..., Expansion]] = {
    aten.exp: _exp,
    aten.exp2: _exp2,
    aten.expm1: _expm1,
    aten.log: _log,
    aten.log1p: _log1p,
    aten.log2: _log2,
    aten.log10: _log10,
    aten.sqrt: _sqrt,
    aten.rsqrt: rsqrt,
    aten.reciprocal: reciprocal,
    aten.sigmoid: sigmoid,
    aten.tanh: _tanh,
    aten.silu: _silu,
    aten.softplus: _softplus,
    aten.gelu: _gelu,
    aten.elu: _elu,
    aten.celu: _celu,
    aten.selu: _selu,
    aten.mish: _mish,
    aten.hardswish: _hardswish,
    aten.hardsigmoid: _hardsigmoid,
    aten.sin: _sin,
    aten.cos: _cos,
    aten.tan: _tan,
    aten.asin: _asin,
    aten.acos: _acos,
    aten.atan: _atan,
    aten.sinh: _sinh,
    aten.cosh: _cosh,
    aten.asinh: _asinh,
    aten.acosh: _acosh,
    aten.atanh: _atanh,
    aten.erf: _erf,
    aten.erfc: _erfc,
    aten.abs: _abs,
    aten.relu: _relu,
    aten.leaky_relu: _leaky_relu,
    aten.hardtanh: _hardtanh,
    aten.clamp: _clamp,
    aten.clamp_min: _clamp_min,
    aten.clamp_max: _clamp_max,
    aten.threshold: _threshold,
    aten.softshrink: _softshrink,
    aten.hardshrink: _hardshrink,
}


def _rule(op: Any, function: Callable[..., Expansion]) -> Rule:
    name = str(op)

    def rule(x: Taylor, *args: Any, **kwargs: Any) -> Taylor:
        only_first(name, (*args, *kwargs.values()))
        return chain(x, *function(x.v, *args, **kwargs))

    return rule


ELEMENTWISE_RULES: dict[Any, Rule] = {op: _rule(op, function) for op, function in FUNCTIONS.items()}

PIECEWISE_LINEAR = {
    aten.relu: "ReLU",
    aten.leaky_relu: "LeakyReLU",
    aten._prelu_kernel: "PReLU",
    aten.hardtanh: "Hardtanh",
    aten.threshold: "Threshold",
    aten.softshrink: "Softshrink",
    aten.hardshrink: "Hardshrink",
    aten.hardsigmoid: "Hardsigmoid",
    aten.max_pool2d_with_indices: "MaxPool2d",
}
