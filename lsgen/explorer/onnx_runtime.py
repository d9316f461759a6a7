"""ONNX Runtime for pages: its two files, which the page holds, and a decoder as a model that it runs.

The page's own interpreter knows the operations of lsgen's networks at moderate sizes; ONNX Runtime knows those that
ONNX has, and runs large networks faster. Its files are not part of lsgen: `python scripts/onnxruntime_web.py` fetches
the pinned package from npm once; nothing is fetched when a page is written or read.
"""

from __future__ import annotations

import os
import warnings
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.explorer.contents import OnnxDecoder
from lsgen.explorer.decoder import CHECKED, LARGEST_ERROR, UndecodableError, shown
from lsgen.explorer.tracing import refuse_random_numbers
from lsgen.extras import from_extra
from lsgen.latent import LatentSpace

__all__ = ["FILES", "ONNX_RUNTIME", "OnnxRuntimeFiles", "onnx_decoder", "onnx_runtime_directory", "onnx_runtime_files"]

ONNX_RUNTIME = "1.30.0"
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""Names of the two files and the SHA-256 of their bytes."""
MOST_WEIGHTS, OPSET = 64_000_000, 18
LEAST_HALVED = 1024  # weights in one array


@dataclass(frozen=True)
class OnnxRuntimeFiles:
    """The two files of onnxruntime-web that a page holds.

    Attributes:
        script: the module in JavaScript.
        wasm: the runtime itself.

    """

    script: str
    wasm: bytes


def onnx_runtime_directory() -> Path:
    """Return where the files are looked for: LSGEN_ONNXRUNTIME_WEB, or a directory of the user's cache."""
    if given := os.environ.get("LSGEN_ONNXRUNTIME_WEB"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lsgen" / f"onnxruntime-web-{ONNX_RUNTIME}"


def onnx_runtime_files(directory: str | Path | None = None) -> OnnxRuntimeFiles:
    """Return the files of the pinned version of onnxruntime-web.

    Args:
        directory: where they are; `onnx_runtime_directory` unless given.

    Raises:
        FileNotFoundError: one is not there, or is another than that of the pinned version.

    """
    place = onnx_runtime_directory() if directory is None else Path(directory)
    found = []
    for name, digest in FILES.items():
        file = place / name
        content = file.read_bytes() if file.is_file() else b""
        if sha256(content).hexdigest() != digest:
            got = "other" if content else "no"
            raise FileNotFoundError(
                f"expected {name} of onnxruntime-web {ONNX_RUNTIME} in {place}, got {got} bytes: "
                "python scripts/onnxruntime_web.py fetches it"
            )
        found.append(content)
    return OnnxRuntimeFiles(found[0].decode(), found[1])


@torch.no_grad()
def onnx_decoder(
    space: LatentSpace, z: Tensor, value_range: tuple[float, float], runtime: OnnxRuntimeFiles
) -> OnnxDecoder:
    """Return a decoder as an ONNX model, from one code to the mean of p(x|z), with the runtime for a page.

    Weights are kept in half precision where that changes what is shown by less than a hundredth of its range.

    Args:
        space: its decoder and likelihood; left as it is.
        z: codes (N, d), the first few of which the page checks itself on.
        value_range: values that are shown black and white.
        runtime: what runs it.

    Raises:
        UndecodableError: it draws random numbers, has too many weights, or PyTorch cannot export it.
        ImportError: the extra `onnx` is not installed.

    """
    copied = deepcopy(space).float().cpu().eval()
    codes = z[:CHECKED].detach().float().cpu()
    numbers = sum(parameter.numel() for parameter in copied.parameters())
    if numbers > MOST_WEIGHTS:
        raise UndecodableError(f"the decoder has {numbers:,} weights, and ONNX models of pages up to {MOST_WEIGHTS:,}")
    mean = _Mean(copied)
    refuse_random_numbers(mean, codes[:1])
    truth = torch.cat([mean(code) for code in codes.split(1)])
    halved = deepcopy(copied)
    for parameter in halved.parameters():
        if parameter.numel() >= LEAST_HALVED:
            parameter.copy_(parameter.half().float())
    rounded = torch.cat([_Mean(halved)(code) for code in codes.split(1)])
    half = float((rounded - truth).abs().max()) <= LARGEST_ERROR / 2 * max(value_range[1] - value_range[0], 1e-12)
    model = _exported(mean, codes[:1], half)
    checks = codes.numpy(), truth.flatten(1).numpy()
    return OnnxDecoder(model, runtime.script, runtime.wasm, tuple(truth.shape[1:]), *value_range, checks)


class _Mean(nn.Module):
    """What a page shows of the mean of p(x|z)."""

    def __init__(self, space: LatentSpace) -> None:
        super().__init__()
        self.space = space

    def forward(self, z: Tensor) -> Tensor:
        return shown(self.space.decode(z).mean)


def _exported(mean: nn.Module, z: Tensor, half: bool) -> bytes:
    """Return the bytes of the model; large arrays of weights in half precision if that is asked for."""
    with from_extra("onnx", "decoders are written for ONNX Runtime by onnx and onnxscript"):
        import onnx
        import onnxscript  # noqa: F401, what torch.onnx asks for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                mean, (z,), dynamo=True, verbose=False, opset_version=OPSET, input_names=["z"], output_names=["x"]
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:  # the exporter raises errors of many types
        raise UndecodableError(f"PyTorch cannot export the decoder to ONNX: {str(error).splitlines()[0]}") from error
    return _halved(onnx, model) if half else bytes(model.SerializeToString())


def _halved(onnx: Any, model: Any) -> bytes:
    """Return a model whose large arrays of weights are kept in half precision and cast when it is loaded."""
    kept, casts = [], []
    for array in model.graph.initializer:
        values = onnx.numpy_helper.to_array(array)
        if array.data_type != onnx.TensorProto.FLOAT or values.size < LEAST_HALVED:
            kept.append(array)
            continue
        kept.append(onnx.numpy_helper.from_array(values.astype("float16"), f"{array.name}/half"))
        casts.append(onnx.helper.make_node("Cast", [f"{array.name}/half"], [array.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    for field, entries in ((model.graph.initializer, kept), (model.graph.node, nodes)):
        copies = list(entries)
        del field[:]
        field.extend(copies)
    return bytes(model.SerializeToString())
