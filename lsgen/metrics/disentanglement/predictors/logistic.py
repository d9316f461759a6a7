r"""Multinomial logistic regression, fitted to convergence.

    minimise over W, b:    sum_n w_n ( -log softmax(W x_n + b)_{y_n} ) + penalty/2 |W|^2 ,

and, for two classes, the same with one row W and the logistic function, as scikit-learn does. Newton's method with

    hess_(a,b) = sum_n w_n p_na (delta_ab - p_nb) (x_n, 1)(x_n, 1)^T + penalty ,

steps halved until the objective falls. Each step solves hess step = grad by conjugate gradients, of which an iteration
costs no more than a gradient; they begin with the Hessian at W = 0 as preconditioner, where all p are equal,

    hess = (1 - 1 1^T / K) / K  x  sum_n w_n (x_n, 1)(x_n, 1)^T + penalty ,

and go on with one that is factorised on the way once they are slow: all of it, or, where there are too many
coefficients for that, its blocks a = b.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LogisticRegression"]

Solve = Callable[[Tensor], Tensor]

LARGEST = 1024
HALVINGS = 30
INNER, PATIENCE, ACCURACY = 20, 6, 0.1
RIDGE = 1e-6


class LogisticRegression:
    """A linear classifier.

    Args:
        penalty: weight of |W|^2 / 2; the constant term b is not penalised.
        balanced: whether every class has the same total weight.
        tolerance: largest entry of the gradient, per observation, at which fitting stops.
        max_iter: largest number of iterations.

    Attributes:
        coefficients: W and b side by side, (K, d + 1), or (1, d + 1) for two classes.
        converged: whether the last fit met the tolerance.

    """

    def __init__(self, penalty: float, balanced: bool = False, tolerance: float = 1e-8, max_iter: int = 100) -> None:
        self.penalty, self.balanced, self.tolerance, self.max_iter = penalty, balanced, tolerance, max_iter
        self.converged = False

    def fit(self, x: Tensor, y: Tensor, classes: int) -> LogisticRegression:
        """Fit to observations x (N, d) with classes y (N,) out of 0 .. classes - 1."""
        rows = classes if classes > 2 else 1
        self.coefficients = torch.zeros(rows, x.shape[1] + 1, dtype=torch.float64, device=x.device)
        count = torch.bincount(y, minlength=classes).clamp(min=1)
        weight = (len(y) / (classes * count))[y] if self.balanced else torch.ones_like(y, dtype=x.dtype)
        self._weight = weight.to(x) / weight.sum()
        self._target = torch.nn.functional.one_hot(y, classes).to(x)
        self._design = torch.nn.functional.pad(x, (0, 1), value=1.0)
        self._shrink = torch.full_like(self.coefficients, self.penalty / len(y))
        self._shrink[:, -1] = 0
        largest = self._newton()
        self.converged = bool(largest <= self.tolerance)
        del self._weight, self._target, self._design, self._shrink
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """Return log p(class | x), (N, classes)."""
        return self._log_p(torch.nn.functional.pad(x, (0, 1), value=1.0), self.coefficients)

    def _log_p(self, design: Tensor, coefficients: Tensor) -> Tensor:
        scores = design @ coefficients.T
        return torch.log_softmax(scores if scores.shape[1] > 1 else torch.nn.functional.pad(scores, (1, 0)), dim=1)

    def _objective(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the objective per unit of weight and log p (N, K)."""
        log_p = self._log_p(self._design, coefficients)
        loss = -(self._weight * (log_p * self._target).sum(1)).sum()
        return loss + (self._shrink * coefficients**2).sum() / 2, log_p

    def _gradient(self, log_p: Tensor) -> Tensor:
        slope = self._weight[:, None] * (log_p.exp() - self._target)
        return slope[:, -len(self.coefficients) :].T @ self._design + self._shrink * self.coefficients

    def _newton(self) -> Tensor:
        """Move to the minimum and return the largest entry of the gradient."""
        value, log_p = self._objective(self.coefficients)
        gradient = self._gradient(log_p)
        precondition, inner = self._at_zero(), 0
        for _ in range(self.max_iter):
            if bool(gradient.abs().max() <= self.tolerance):
                break
            # The direction of a step need not be exact: it is found in float32.
            p = log_p[:, -len(self.coefficients) :].exp().to(torch.float32)
            precondition = self._factorised(p) if inner > PATIENCE else precondition
            step, inner = self._conjugate_gradients(p, gradient.to(torch.float32), precondition)
            step = step.to(gradient)
            for _ in range(HALVINGS):
                new_value, log_p = self._objective(self.coefficients - step)
                if new_value <= value:
                    break
                step = step / 2
            self.coefficients, value = self.coefficients - step, new_value
            gradient = self._gradient(log_p)
        return gradient.abs().max()

    def _conjugate_gradients(self, p: Tensor, gradient: Tensor, precondition: Solve) -> tuple[Tensor, int]:
        """Solve hess step = gradient to a tenth, and return the step and the number of iterations."""
        x, shrink = self._design.to(p), self._shrink.to(p)
        weighted = self._weight.to(p)[:, None] * p
        step, residual = torch.zeros_like(gradient), gradient
        direction = scaled = precondition(residual)
        size = first = (residual * scaled).sum()
        for iteration in range(INNER):
            slope = x @ direction.T
            slope = weighted * (slope - (p * slope).sum(1, keepdim=True))
            curved = slope.T @ x + shrink * direction
            length = size / (direction * curved).sum()
            if not bool(torch.isfinite(length)):
                return step, iteration
            step, residual = step + length * direction, residual - length * curved
            scaled = precondition(residual)
            size, before = (residual * scaled).sum(), size
            if bool(size <= ACCURACY**2 * first):
                return step, iteration + 1
            direction = scaled + size / before * direction
        return step, INNER

    def _at_zero(self) -> Solve:
        """Return the inverse of the Hessian where every class is as likely, applied to rows that sum to zero."""
        x = self._design.to(torch.float32)
        moments = (self._weight.to(x)[:, None] * x).T @ x / max(len(self.coefficients), 4)
        inverse = torch.linalg.inv(moments + torch.diag(self._shrink[0].to(x) + RIDGE * moments.diagonal().mean()))
        return lambda right: right @ inverse

    def _factorised(self, p: Tensor) -> Solve:
        """Return the inverse of the Hessian, or of its diagonal blocks if it is too large."""
        x, weight = self._design.to(p), self._weight.to(p)
        squares = (x[:, :, None] * x[:, None, :]).flatten(1)
        rows, columns = self.coefficients.shape
        whole = rows * columns <= LARGEST
        share = p if whole else p * (1 - p)
        blocks = ((weight[:, None] * share).T @ squares).view(rows, columns, columns)
        # Adding a constant to all rows changes nothing; the ridge picks one of the equal minima.
        diagonal = self._shrink.to(p) + RIDGE * blocks.diagonal(dim1=1, dim2=2).mean()
        if not whole:
            inverse = torch.linalg.inv(blocks + torch.diag_embed(diagonal))
            return lambda right: (inverse @ right[:, :, None]).squeeze(2)
        joint = (p[:, :, None] * (weight.sqrt()[:, None] * x)[:, None, :]).flatten(1)
        hessian = torch.block_diag(*blocks) - joint.T @ joint + torch.diag(diagonal.flatten())
        factors = torch.linalg.lu_factor(hessian)
        return lambda right: torch.linalg.lu_solve(*factors, right.flatten()[:, None]).view_as(right)
