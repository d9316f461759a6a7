"""Observations, and what codes are decoded to, as sound, where the data can be heard."""

from __future__ import annotations

from torch import Tensor

from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Audible

__all__ = ["write_sounds"]


def write_sounds(sink: Sink, key: str, data: object, x: Tensor) -> None:
    """Write and log observations as sound, one after another; nothing where the data cannot be heard.

    What is not finite, such as what no code decodes to, is silence.

    Args:
        sink: where it goes.
        key: what it is called.
        data: where the observations come from.
        x: observations, or means of p(x|z), (N, *shape).

    """
    if isinstance(data, Audible):
        finite = x.isfinite().flatten(1).all(1)
        sounds = data.sound(x.nan_to_num(posinf=0.0, neginf=0.0)) * finite[:, None].cpu()
        sink.sound(key, sounds.numpy(), data.rate)
