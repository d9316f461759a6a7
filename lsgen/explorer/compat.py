"""Private parts of PyTorch that recording a decoder relies on; nothing else in this room touches any."""

from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

__all__ = ["TorchDispatchMode", "get_decompositions", "make_fx", "tree_map"]
