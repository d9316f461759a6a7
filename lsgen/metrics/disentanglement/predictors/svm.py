r"""Linear support vector machines on one number at a time, one class against the rest, solved exactly.

For a code x and labels y_n = +-1 with weights c_n,

    minimise over w, b:    1/2 (w^2 + b^2) + sum_n c_n max(0, 1 - y_n (w x_n + b))^2 ,

the squared hinge loss with a penalised constant term. The observations inside the margin form half lines in x, so that
their moments S_p = sum x^p (p = 0, 1, 2) are differences of cumulative sums over sorted observations: a step of
Newton's method costs a bisection for each machine instead of a pass over the data. With

    grad = (w, b) + 2 sum_A c (w x + b - y) (x, 1),        hess = 1 + 2 sum_A c (x, 1)(x, 1)^T

over the active observations A, steps are halved until the objective falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["fit_margins"]

Pair = tuple[Tensor, Tensor]

ITERATIONS = 60
HALVINGS = 30
TOLERANCE = 1e-12
ROUNDING = 1e-13


def fit_margins(x: Tensor, y: Tensor, classes: int, cost: float) -> Pair:
    """Fit one machine for each code and class, classes weighted inversely to their frequency.

    Args:
        x: codes (N, d).
        y: classes (N,), each of 0 .. classes - 1 occurring.
        classes: number of classes K.
        cost: weight of an observation before balancing; observations of the other classes keep it where K > 2.

    Returns:
        Slopes and constants, (d, K): the class of a point is that of the largest w x + b.

    """
    count = torch.bincount(y, minlength=classes)
    weight = cost * len(y) / (classes * count.to(x))
    against = weight.flip(0) if classes == 2 else torch.full_like(weight, cost)
    problem = _Problem(_Sums.of_class(x, y, classes), _Sums.of_class(x, torch.zeros_like(y), 1), weight, against)
    return problem.solve(x.shape[1], classes)


@dataclass(frozen=True)
class _Sums:
    """Cumulative moments of sorted codes within classes: sums of x^0, x^1, x^2 below a threshold."""

    ordered: Tensor
    moments: Tensor
    bounds: Tensor
    key: Tensor

    @classmethod
    def of_class(cls, x: Tensor, y: Tensor, classes: int) -> _Sums:
        columns = x.T.contiguous()
        by_value = columns.argsort(dim=1)
        group = y[by_value]
        grouped = group.argsort(dim=1, stable=True)
        values = columns.gather(1, by_value.gather(1, grouped))
        powers = torch.stack([torch.ones_like(values), values, values**2])
        moments = torch.nn.functional.pad(powers.cumsum(-1), (1, 0))
        bounds = torch.nn.functional.pad(torch.bincount(y, minlength=classes).cumsum(0), (1, 0))
        # Where class and rank among all observations are one sorted integer, one bisection serves all classes.
        key = group.gather(1, grouped) * len(y) + grouped
        return cls(columns.gather(1, by_value), moments, bounds, key)

    def below(self, threshold: Tensor) -> Tensor:
        """Return the moments (3, d, K) of observations of each class below thresholds (d, K)."""
        classes = torch.arange(threshold.shape[1], device=threshold.device) % (len(self.bounds) - 1)
        rank = torch.searchsorted(self.ordered, threshold)
        position = torch.searchsorted(self.key, rank + classes * self.ordered.shape[1])
        # A rank of N would be the first of the next class.
        position = torch.minimum(position, self.bounds[1:][classes])
        return self._at(position) - self._at(self.bounds[:-1][classes].expand_as(position))

    def total(self, d: int, classes: int) -> Tensor:
        """Return the moments of all observations of each class."""
        which = torch.arange(classes, device=self.bounds.device) % (len(self.bounds) - 1)
        start, end = (bound[which].expand(d, -1) for bound in (self.bounds[:-1], self.bounds[1:]))
        return self._at(end) - self._at(start)

    def _at(self, position: Tensor) -> Tensor:
        return self.moments.gather(2, position.expand(3, *position.shape))


@dataclass(frozen=True)
class _Problem:
    own: _Sums
    everyone: _Sums
    weight: Tensor
    against: Tensor

    def solve(self, d: int, classes: int) -> Pair:
        """Return the minimisers (w, b) of all machines."""
        w = self.own.ordered.new_zeros(d, classes)
        b = torch.zeros_like(w)
        totals = self.own.total(d, classes), self.everyone.total(d, classes)
        for _ in range(ITERATIONS):
            value, gradient, step = self._newton(w, b, totals)
            if bool((gradient <= TOLERANCE).all()):
                break
            w, b = self._descend(w, b, value, step, totals)
        return w, b

    def _active(self, w: Tensor, b: Tensor, totals: Pair) -> Pair:
        """Return the weighted moments of active observations of the class and of the rest, (3, d, K) each."""
        slope = torch.where(w == 0, 1.0, w)
        moments = []
        for sign in (1, -1):
            # Active: sign (w x + b) < 1, that is x below (sign - b)/w where sign w > 0, else x above.
            threshold = (sign - b) / slope
            own, everyone = self.own.below(threshold), self.everyone.below(threshold)
            below = own if sign > 0 else everyone - own
            total = totals[0] if sign > 0 else totals[1] - totals[0]
            flat = torch.where(sign * b < 1, total, torch.zeros_like(total))
            moments.append(torch.where(w == 0, flat, torch.where(sign * w > 0, below, total - below)))
        return self.weight * moments[0], self.against * moments[1]

    def _value(self, w: Tensor, b: Tensor, moments: Pair) -> Tensor:
        value = (w**2 + b**2) / 2
        for sign, (s0, s1, s2) in zip((1, -1), moments, strict=True):
            value = value + w**2 * s2 + 2 * w * (b - sign) * s1 + (b - sign) ** 2 * s0
        return value

    def _newton(self, w: Tensor, b: Tensor, totals: Pair) -> tuple[Tensor, Tensor, Pair]:
        """Return the objective, the size of its gradient, and Newton's step."""
        moments = self._active(w, b, totals)
        (p0, p1, p2), (n0, n1, n2) = moments
        s0, s1, s2 = p0 + n0, p1 + n1, p2 + n2
        grad_w = w + 2 * (w * s2 + b * s1 - (p1 - n1))
        grad_b = b + 2 * (w * s1 + b * s0 - (p0 - n0))
        ww, wb, bb = 1 + 2 * s2, 2 * s1, 1 + 2 * s0
        determinant = ww * bb - wb**2
        step = (wb * grad_b - bb * grad_w) / determinant, (wb * grad_w - ww * grad_b) / determinant
        size = torch.hypot(grad_w, grad_b) / (1 + s0 + s2)
        return self._value(w, b, moments), size, step

    def _descend(self, w: Tensor, b: Tensor, value: Tensor, step: Pair, totals: Pair) -> Pair:
        """Return the points after steps halved until no objective rises."""
        length = torch.ones_like(w)
        for _ in range(HALVINGS):
            new_w, new_b = w + length * step[0], b + length * step[1]
            worse = self._value(new_w, new_b, self._active(new_w, new_b, totals)) > value * (1 + ROUNDING)
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        return torch.where(worse, w, new_w), torch.where(worse, b, new_b)
