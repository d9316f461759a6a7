"""Pretended devices, and models composed from conf as they stand, for the contracts of devices.

PyTorch's `FakeTensorMode` makes tensors of any device that have a shape and a type but no values. Operations that mix
devices are refused, and so is whatever needs a value on the host (`.item()`, `bool(x)`, `.tolist()`, `nonzero`, boolean
masks). A copy from the device to the host is refused by `NoCopies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lsgen.conf
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from members import chooses_data, installed
from torch import Tensor, nn
from torch._decomp.decompositions import gru_impl
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import Library
from torch.utils._python_dispatch import TorchDispatchMode

from lsgen.cli.config.open_shape import fill_shape
from lsgen.latent import ItemSpace, LatentSpace, Space
from lsgen.likelihoods import Bernoulli
from lsgen.models import VAE, LatentModel
from lsgen.models.vae import DataSetObjective

if not torch.backends.cuda.is_built():  # some operations on pretended tensors abort the process there
    pytest.skip("PyTorch was not built for CUDA, which pretended devices need, GPU or not", allow_module_level=True)

TREE = Path(next(iter(lsgen.conf.__path__)))
MODELS, NETS = (
    [path.stem for path in sorted((TREE / group).glob("[!_]*.yaml")) if path.stem != "none"]
    for group in ("model", "net")
)
CUDA = torch.device("cuda", 0)
B = 6

NOT_RUN: dict[str, str] = {
    # class -> the reason
    "AmortisedDistance": "no part of a model; it is run below",
    "CholeskyField": "a part of the estimators of exponential families; see tests/models/exponential",
    "ConcatenationFusion": "a fusion that no model chooses; see tests/nn/features",
    "ConvexPotential": "a part of the estimators of exponential families; see tests/models/exponential",
    "FullSoftmax": "a decoder of words that no model chooses; see tests/models/embedding",
    "HierarchicalSoftmax": "a decoder of words that no model chooses; see tests/models/embedding",
    "FirstStage": "another model's latent space; see tests/models/diffusion/test_first_stage.py",
    "GatedLinear": "layers that experiments alone choose; they are run below",
    "LocalStatistics": "a part of the estimators of exponential families; see tests/models/exponential",
    "MLPPrecision": "a precision that an experiment alone chooses; it is run below",
    "MutualInformation": "a term that an experiment alone chooses; it is run below",
    "MissingnessNetwork": "a model of the mask in place of SelfMasking; see tests/models/test_not_miwae.py",
    "MixtureDenoiser": "no model chooses it; it is run below",
    "Regulariser": "what all penalties derive from",
    "StatisticsMLP": "a part of the estimators of exponential families; see tests/models/exponential",
    "StudentTPosterior": "a posterior that an experiment alone chooses; it is run below",
    "Styles": "a latent space derived from a trained generator; it is sampled below",
    "TorchvisionBackbone": "a network of another library that no model chooses; see tests/nn/features",
    "WeightedL1": "a loss of pairs that no model chooses; it is run below",
}


PRETENDED = Library("aten", "IMPL", "Meta")  # the shapes of what PyTorch draws and gives no pretended form
PRETENDED.impl("_sample_dirichlet", lambda concentration, generator=None: torch.empty_like(concentration))


class NoCopies(TorchDispatchMode):
    """Refuses copies from a device to the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_) and out.device.type == "cpu":
            devices = {x.device.type for x in args if isinstance(x, Tensor)}
            assert devices == {"cpu"}, "a copy from the device to the host"
        return out


class ChecksPass(TorchDispatchMode):
    """Answers what is asked of all values with yes and of any value with no, so that no check of values refuses."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and hasattr(args[0], "answer"):
            return args[0].answer
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.all, torch.ops.aten.any):
            out.answer = func.overloadpacket is torch.ops.aten.all
        return out


@contextmanager
def pretended() -> Iterator[None]:
    # Of a recurrent network cuDNN asks the driver; here it is what PyTorch decomposes it into.
    with patch.object(torch._VF, "gru", gru_impl), FakeTensorMode(allow_non_fake_inputs=True):
        yield


def moved(module: nn.Module, device: torch.device) -> dict[int, tuple[Tensor, Tensor]]:
    """Replace parameters and buffers by pretended ones on a device; return (old, new) by the identity of the old."""
    known: dict[int, tuple[Tensor, Tensor]] = {}

    def new(old: Tensor) -> Tensor:
        if id(old) not in known:
            x = torch.empty_like(old, device=device)
            known[id(old)] = old, nn.Parameter(x, old.requires_grad) if isinstance(old, nn.Parameter) else x
        return known[id(old)][1]

    for part in module.modules():
        for table in (part._parameters, part._buffers):
            table.update({name: new(x) for name, x in table.items() if x is not None})
        if hasattr(part, "_device"):
            part._device = device
    return known


def composed(*overrides: str) -> Any:
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        return compose("train", ["callbacks.checkpoint.monitor=null", *overrides], return_hydra_config=True)


@cache
def fitting(choice: str) -> Any:
    """Return the config of a model or a network with the smallest data that it can be built for."""
    group, name = choice.split("=")
    if group == "model" and not installed(name):
        pytest.skip("needs numba")
    if (TREE / "experiment" / f"{name}_digits.yaml").is_file():
        config = composed(f"experiment={name}_digits")
        fill_shape(config)
        return config
    if group == "model" and chooses_data(name):
        config = composed(choice)
        fill_shape(config)
        return config
    if group == "net" and name.startswith("modalities_"):  # for the data of that name
        config = composed(f"data={name.removeprefix('modalities_')}", "model=mvae")
        fill_shape(config)
        return config
    if group == "net" and name.startswith("views_"):
        config = composed(f"data={name.removeprefix('views_')}", "model=dual_encoder")
        fill_shape(config)
        return config
    for model in [name] if group == "model" else ["vae", "sngan", "poincare_vae", "bigan", "ddpm", "siamese"]:
        for data in ("digits", "cifar10", "sprites"):
            config = composed(f"data={data}", f"model={model}", *([choice] if group == "net" else []))
            with suppress(InstantiationException, ValueError):
                instantiate(config.model)
                return config
    raise AssertionError(f"no data and no model for {choice}")


@cache
def other_nets() -> list[str]:
    """Return the networks of conf/net that no model chooses."""
    return sorted(set(NETS) - {fitting(f"model={name}").hydra.runtime.choices.net for name in MODELS})


def built(config: Any) -> LatentModel:
    if "sampler" in config.model:
        config.model.sampler.steps = 3
    model: LatentModel = instantiate(config.model)
    if isinstance(model, VAE) and isinstance(model.objective, DataSetObjective):
        model.objective.prepare(1000)
    return model


def batch_of(space: Space) -> dict[str, Tensor]:
    shape = space.likelihood.shape if isinstance(space, LatentSpace) else getattr(space, "shape", None) or (1, 8, 8)
    x, pair, missing = (torch.rand(B, *shape) for _ in range(3))
    numbers = isinstance(space, ItemSpace) and not isinstance(getattr(space, "likelihood", None), Bernoulli)
    x = x.round().long() if numbers else x.round()
    numbers = {"label": torch.arange(B) % 3, "weight": torch.rand(B) + 0.5}
    return {"x": x, "pair": pair.round(), "observed": missing < 0.7, **numbers}
