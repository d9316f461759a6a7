"""Names of the weights of compiled modules without the prefixes of `torch.compile`.

`torch.compile(part)` wraps a module, and its weights are then called `part._orig_mod.NAME`. A model saves them as
`part.NAME`, and reads either, so that a checkpoint fits the model whether or not a part is compiled.
"""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["name_plainly"]

_WRAPPED = "_orig_mod."


def name_plainly(module: nn.Module) -> None:
    """Remove the prefixes of `torch.compile` from the names that a module saves and loads."""
    module.register_state_dict_post_hook(_rename)
    module.register_load_state_dict_pre_hook(_fit)


def _rename(module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    for key in [key for key in state if _WRAPPED in key]:
        state[key.replace(_WRAPPED, "")] = state.pop(key)


def _fit(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Rename loaded weights to the names that the module uses."""
    own = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    own += [name for name, _ in module.named_buffers(remove_duplicate=False)]
    wrapped = {prefix + name.replace(_WRAPPED, ""): prefix + name for name in own if _WRAPPED in name}
    _rename(module, state, prefix, {})
    for plain, name in wrapped.items():
        if plain in state:
            state[name] = state.pop(plain)
