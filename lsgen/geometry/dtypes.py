"""The dtypes that geometry computes in, and their names."""

from __future__ import annotations

import torch

__all__ = ["check_values", "dtype_name"]


def check_values(dtype: torch.dtype) -> None:
    """Refuse values of a map that are neither float32 nor float64."""
    if dtype not in (torch.float32, torch.float64):
        how = ": give real and imaginary parts as torch.view_as_real does" if dtype.is_complex else ""
        raise TypeError(f"expected a map with values of dtype float32 or float64, got {dtype_name(dtype)}{how}")


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without its module, such as float32."""
    return str(dtype).removeprefix("torch.")
