"""Data in memory that lie on a pretended CUDA device: no step copies anything between it and the host."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pretended import CUDA, B, pretended
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lsgen.data import CaptionedDigits, DataModule, Digits, Labels, Loading, Missing, TensorSource
from lsgen.data.encodings import Standardise
from lsgen.data.sampler import Request


class StaysThere(TorchDispatchMode):
    """Refuses operations between the device and the host, apart from numbers that come with the call of a kernel."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.ndim:
            tensors = [out, *(x for x in args if isinstance(x, Tensor) and x.ndim)]
            assert len({x.device for x in tensors}) == 1, f"{func} copies between the device and the host"
        return out


class Rows(DataModule):
    """Rows of numbers, standardised."""

    def __init__(self) -> None:
        super().__init__(None, (3,), Standardise(), 4, 0, Loading())
        self.source = TensorSource(x=torch.rand(20, 3).double())
        self.encoding.fit(lambda: [self.source.tensors["x"]])

    def build(self, split: Any) -> Any:
        return self.subset(self.source, torch.arange(20), split)


MADE = {
    "captioned": lambda: CaptionedDigits(missing={"caption": 0.3}),
    "binarised": lambda: Digits(binarise="dynamic"),
    "dequantised": lambda: Digits(dequantise=True),
    "labelled": lambda: Digits(labelled=Labels(50, share=0.5)),
    "mcar": lambda: Digits(missing=0.3),
    "mar": lambda: Digits(missing=Missing(0.3, "mar")),
    "self_masked": lambda: Digits(missing=Missing(0.5, "self_masked")),
    "standardised": Rows,
}


@pytest.mark.parametrize("name", MADE)
def test_batches_are_made_there(name: str) -> None:
    split = MADE[name]().dataset("train")
    here = split[Request(torch.arange(B), 1)]
    with pretended():
        there, request = split.to(CUDA), Request(torch.arange(B, device=CUDA), 1)
        with StaysThere():
            batch = there[request]
    assert {key: (x.shape, x.dtype) for key, x in batch.items()} == {key: (x.shape, x.dtype) for key, x in here.items()}
    assert {x.device for x in batch.values()} == {CUDA}


def test_a_loader_asks_for_them_there() -> None:
    data = Digits(loading=Loading(on_device=True))
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=CUDA), global_rank=1, world_size=2)
    data.setup("fit")
    with pretended():
        loaders = data.train_dataloader(), data.val_dataloader()
        requests = [list(loader.sampler) for loader in loaders]
        with StaysThere():
            batches = [loader.dataset[asked[0]] for loader, asked in zip(loaders, requests, strict=True)]
    assert {x.device for batch in batches for x in batch.values()} == {CUDA}
    assert not loaders[0].pin_memory
    assert loaders[0].dataset.source is loaders[1].dataset.source
    assert {x.device.type for x in data.probe(4).values()} == {"cpu"}
