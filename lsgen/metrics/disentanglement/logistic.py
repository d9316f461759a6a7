r"""Multinomial logistic regression, fitted to convergence.

    minimise over W, b:    sum_n w_n ( -log softmax(W x_n + b)_{y_n} ) + penalty/2 |W|^2 ,

and, for two classes, the same with one row W and the logistic function, as scikit-learn does. Newton's method with

    hess_(a,b) = sum_n w_n p_na (delta_ab - p_nb) (x_n, 1)(x_n, 1)^T + penalty ,

steps halved until the objective falls; L-BFGS where there are too many coefficients for that.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LogisticRegression"]

LARGEST = 1024
HALVINGS = 30
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
        largest = self._newton() if self.coefficients.numel() <= LARGEST else self._lbfgs()
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
        largest, slow = gradient.abs().max(), True
        for _ in range(self.max_iter):
            if largest <= self.tolerance:
                break
            # A Hessian serves as long as a step with it makes the gradient three times smaller.
            if slow:
                factors = torch.linalg.lu_factor(self._hessian(log_p))
            step = torch.linalg.lu_solve(*factors, gradient.flatten()[:, None]).view_as(gradient)
            for _ in range(HALVINGS):
                new_value, log_p = self._objective(self.coefficients - step)
                if new_value <= value:
                    break
                step = step / 2
            self.coefficients, value = self.coefficients - step, new_value
            gradient, before = self._gradient(log_p), largest
            largest = gradient.abs().max()
            slow = bool(largest > before / 3)
        return largest

    def _hessian(self, log_p: Tensor) -> Tensor:
        rows, columns = self.coefficients.shape
        p = log_p.exp()[:, -rows:]
        squares = (self._design[:, :, None] * self._design[:, None, :]).flatten(1)
        blocks = ((self._weight[:, None] * p).T @ squares).view(rows, columns, columns)
        # The direction of a step need not be exact: the costly product is taken in float32.
        scaled = (self._weight.sqrt()[:, None] * self._design).to(torch.float32)
        joint = (p.to(torch.float32)[:, :, None] * scaled[:, None, :]).flatten(1)
        hessian = torch.block_diag(*blocks) - (joint.T @ joint).to(blocks)
        # Adding a constant to all rows changes nothing; the ridge picks one of the equal minima.
        diagonal = self._shrink.flatten() + RIDGE * blocks.diagonal(dim1=1, dim2=2).mean()
        return hessian + torch.diag(diagonal)

    def _lbfgs(self) -> Tensor:
        """Move to the minimum and return the largest entry of the gradient."""
        optimizer = torch.optim.LBFGS(
            [self.coefficients],
            max_iter=self.max_iter,
            tolerance_grad=self.tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            value, log_p = self._objective(self.coefficients)
            self.coefficients.grad = self._gradient(log_p)
            return value

        optimizer.step(closure)
        self.coefficients.grad = None
        return self._gradient(self._objective(self.coefficients)[1]).abs().max()
