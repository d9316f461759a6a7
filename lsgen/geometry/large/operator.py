r"""The metric as an operator on tangent vectors.

    g v = J^T S (J v),    S = diag(signature)

One product with the metric of an immersion takes one forward derivative J v and one reverse derivative J^T w, whatever
the latent dimension: neither J (d x m) nor g (d x d) is held. A metric given directly is asked for its matrices. Memory
is that of the activations of one forward pass and of `chunk_size` derivatives.

Reference: Griewank & Walther, "Evaluating Derivatives" (2008), chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.chunks import affordable
from lsgen.geometry.jets import check_deterministic
from lsgen.geometry.riemannian import RiemannianMetric, check_metric

__all__ = ["MetricOperator"]


class MetricOperator:
    r"""The induced metric at given codes, applied to vectors.

        v -> g v = J^T S J v

    Args:
        im: the metric.
        z: codes (B, d).
        chunk_size: number of derivatives (pairs of a code and a vector) to propagate at once; chosen by the same budget
            of memory as elsewhere where it is not given.

    Raises:
        TypeError: im is no `RiemannianMetric`, or see `jet`.
        ValueError: chunk_size is not positive, or see `jet`.

    Example:
        >>> from lsgen.geometry import Immersion
        >>> circle = Immersion(lambda t: torch.cat([t.cos(), t.sin()], -1), dim=1)
        >>> MetricOperator(circle, torch.zeros(1))(torch.tensor([3.0]))
        tensor([3.])

    """

    def __init__(self, im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> None:
        check_metric(im)
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"expected a chunk_size of at least 1, got {chunk_size}")
        self.im, self.shape = im, z.shape
        flat = check_codes(im.fn, im.dim, z).detach()
        check_deterministic(im.fn, im.lifted(flat))
        self.z = flat.clone() if flat.is_inference() else flat
        self.chunk_size = chunk_size or (affordable(im, self.z, 1) if len(self.z) else 1)

    def __call__(self, v: Tensor) -> Tensor:
        """Return g v for vectors (B, d), one at each code, or (B, k, d), k at each code, in the shape they have."""
        return self._in_chunks(v, self.im.dim, lambda z, part: self.im.pull(z, self.im.push(z, part)))

    def push(self, v: Tensor) -> Tensor:
        """Return J v, of shape (B, m) or (B, k, m), in the frame in which derivatives are taken (of a metric, v)."""
        return self._in_chunks(v, self.im.dim, self.im.push)

    def pull(self, w: Tensor) -> Tensor:
        """Return J^T S w, of shape (B, d) or (B, k, d), for vectors (B, m) or (B, k, m) of the flat space."""
        return self._in_chunks(w, None, self.im.pull)

    def dense(self) -> Tensor:
        """Return the matrices g (B, d, d) themselves, from d products in bounded memory."""
        eye = torch.eye(self.im.dim, dtype=self.z.dtype, device=self.z.device)
        g = self(eye.expand(*self.shape[:-1], *eye.shape))
        return (g + g.mT) / 2

    def _in_chunks(self, v: Tensor, width: int | None, work: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        single = v.ndim == len(self.shape)
        batch = v.shape[: len(self.shape) - 1]
        if batch != self.shape[:-1] or not 0 <= v.ndim - len(self.shape) <= 1 or width not in (None, v.shape[-1]):
            raise ValueError(
                f"expected vectors {(*self.shape[:-1], width or 'm')} or {(*self.shape[:-1], 'k', width or 'm')} "
                f"at codes {tuple(self.shape)}, got {tuple(v.shape)}"
            )
        flat = v.reshape(len(self.z), 1 if single else v.shape[-2], v.shape[-1])
        across = min(flat.shape[1], self.chunk_size)
        along = max(1, self.chunk_size // max(1, across))
        with torch.inference_mode(False), torch.no_grad():
            if not flat.numel():
                some = work(self.z.new_zeros(1, self.im.dim), flat.new_zeros(1, 1, flat.shape[-1]))
                return some.new_zeros(*v.shape[:-1], some.shape[-1])
            rows = [
                torch.cat([work(z, piece) for piece in part.split(across, 1)], 1)
                for z, part in zip(self.z.split(along), flat.split(along), strict=True)
            ]
        joined = torch.cat(rows)
        return joined.reshape(*batch, joined.shape[-1]) if single else joined.reshape(*batch, *joined.shape[1:])
