"""A decoder as a program that the page runs itself, with weights in half precision.

The page gets the recorded operations (`lsgen.explorer.tracing`) as steps of a small interpreter
(`page/decoder.js`), the weights that they use, and a few codes with what they are decoded to, on which the page checks
its own results when it opens.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from lsgen.explorer.contents import DecoderProgram
from lsgen.explorer.instructions import Assembler
from lsgen.explorer.tracing import Recording, UndecodableError, record
from lsgen.latent import LatentSpace

__all__ = ["UndecodableError", "decoder_program"]

MOST_WEIGHTS = 8_000_000
MOST_PRODUCTS = 1_500_000_000  # multiplications of one code, a few seconds in a page
CHECKED = 4  # codes on which the page checks itself
LARGEST_ERROR = 0.01  # of the range that is shown


@torch.no_grad()
def decoder_program(space: LatentSpace, z: Tensor, value_range: tuple[float, float]) -> DecoderProgram:
    """Return the program that decodes one code to the mean of p(x|z).

    Args:
        space: its decoder and likelihood; left as it is.
        z: codes (N, d) on which the program is checked, the first few of them.
        value_range: values that are shown black and white.

    Raises:
        UndecodableError: the page cannot run the decoder; the message names what it lacks.

    """
    copied = deepcopy(space).float().cpu().eval()
    codes = z[:CHECKED].detach().float().cpu().half().float()
    recording = record(copied, codes[:1], shown)
    assembler = Assembler(recording)
    out = assembler.assemble()
    numbers = sum(weight.numel() for weight in assembler.weights.values())
    if numbers > MOST_WEIGHTS:
        raise UndecodableError(f"the decoder has {numbers:,} weights, and a page holds up to {MOST_WEIGHTS:,}")
    if assembler.products > MOST_PRODUCTS:
        raise UndecodableError(
            f"the decoder makes {assembler.products:,} multiplications for a code, and a page up to {MOST_PRODUCTS:,}"
        )
    truth = torch.cat([shown(copied.decode(code).mean) for code in codes.split(1)])
    error = _error(recording, codes, truth, value_range)
    weights = {name: weight.float().numpy() for name, weight in assembler.weights.items()}
    weights |= {"check/codes": codes.numpy(), "check/shown": truth.flatten(1).numpy()}
    steps = [*assembler.steps, {"kind": "output", "in": [out], "size": truth[0].numel()}]
    return DecoderProgram(steps, weights, tuple(truth.shape[1:]), *value_range, error=error)


def shown(mean: Tensor) -> Tensor:
    """Return means (B, *shape) as the page draws them: (B, H, W), (B, H, W, 3) or (B, D).

    Channels that are no colours stand side by side, as in `lsgen.viz.to_pixels`.
    """
    if mean.ndim == 4 and mean.shape[1] == 3:
        return mean.movedim(1, -1)
    if mean.ndim == 4:
        return mean.movedim(1, 2).flatten(2)
    if mean.ndim in (2, 3):
        return mean
    raise UndecodableError(f"the page shows observations of up to three dimensions, and these have {mean.ndim - 1}")


def _error(recording: Recording, codes: Tensor, truth: Tensor, value_range: tuple[float, float]) -> float:
    """Return the largest error of weights in half precision.

    Raises:
        UndecodableError: it is more than 1 % of what is shown, or a value is not finite.

    """
    rounded = torch.cat([recording.run(code) for code in codes.split(1)])
    error = float((rounded - truth).abs().max()) if bool(truth.isfinite().all()) else float("nan")
    most = LARGEST_ERROR * max(value_range[1] - value_range[0], 1e-12)
    if not error <= most:
        raise UndecodableError(
            f"the decoder needs more than half precision: with rounded weights its values are off by {error:.2g}, and "
            f"{most:.2g} would do"
        )
    return error
