"""Private parts of PyTorch that models rely on; nothing else in this room imports any."""

from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

__all__ = ["BatchNorm"]
