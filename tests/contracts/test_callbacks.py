"""Every callback keeps the contract: training is bitwise what it is without it, and it says what it did.

Callbacks enrol themselves by type; arguments without a default are offered by name, see OFFERS.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import members
import pytest
import torch
import views_of_digits
from named_points import NamedNodes, NamedPoints, word_files
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from torch import nn
from torchmetrics import MeanMetric

from lsgen.callbacks import Checkpoint, Paths, PeriodicCallback, Seeding, WordTests, problems_of
from lsgen.data import CosineNetwork, DataModule, Digits, KarateClub, LinkSplit, Nodes
from lsgen.latent import OneHot, Prior, Product, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Multinomial
from lsgen.metrics.quality import ClassifierDistance, DatasetClassifier, Pixels
from lsgen.models import VAE, LatentModel
from lsgen.models.diffusion import Denoiser, Diffusion, LinearLogSNR
from lsgen.models.gan import GAN, NonSaturating
from lsgen.models.topics import LogisticNormalPosterior, LogisticNormalPrior, SoftmaxTopics, TopicEncoder
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPDenoiser, MLPEncoder
from lsgen.nn.adversarial.critics import MLPCritic

SHAPE, STEPS = (1, 8, 8), 4
# Seeding is not here: it is what random numbers begin from.
FOUND = members.concrete(Callback, "lsgen.callbacks")
FINAL = [
    one
    for one in FOUND
    if not any(other is not one and issubclass(other, one) for other in FOUND) and one is not Seeding
]
CALLBACKS = members.by_name(FINAL)
OFFERS: dict[str, Any] = {  # small numbers of what the callbacks look at
    "every_n_steps": 2, "seed": 0, "n": 24, "n_real": 40, "n_ratio": 24, "n_class": 4, "k": 2, "subsets": 2,
    "subset_size": 10, "iterations": 2, "plane_points": 3, "pairs": 1, "intervals": 4, "kl_probes": 16, "points": 5,
    "observations": 4, "sets": 1, "members": 3, "max_iterations": 3, "steps": 3, "restarts": 1, "draws": 3,
    "samples": 8, "methods": ("mean",), "sigma": 0.5, "bins": 4, "cells": 2,
    "gallery": 16, "galleries": 2, "probed": 40,
}  # fmt: skip


class Rows(Logger):
    """Keeps the keys of all rows."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    name = version = "rows"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.keys |= set(metrics)


def _vae() -> LatentModel:
    encoder, decoder = MLPEncoder(SHAPE, 2, hidden=(8,)), MLPDecoder(2, SHAPE, hidden=(8,), activation=nn.SiLU)
    return VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(2), ELBO(), max_steps=STEPS)


def _gan(prior: Prior) -> LatentModel:
    generator, critic = MLPDecoder(prior.dim, SHAPE, hidden=(8,), activation=nn.SiLU), MLPCritic(SHAPE, [8])
    return GAN(generator, critic, FixedGaussian(SHAPE), prior, NonSaturating(), max_steps=STEPS)


def _topics() -> LatentModel:
    encoder, decoder = TopicEncoder(SHAPE, 2, (8,)), SoftmaxTopics(2, SHAPE)
    prior, posterior = LogisticNormalPrior(2), LogisticNormalPosterior(2)
    return VAE(encoder, decoder, Multinomial(SHAPE), prior, ELBO(), posterior, max_steps=STEPS)


VIEWS = ("modalities", "sentences", "views", "captions", "answers")  # models of views_of_digits, with their data
NETWORKS = {"network": KarateClub(), "flows": CosineNetwork(6, 2, 2)}
SPLITS = {"network": LinkSplit(), "flows": LinkSplit("none")}
MODELS: dict[str, Callable[[], Any]] = {
    "VAE": _vae,
    "GAN": lambda: _gan(StandardNormal(2)),
    "diffusion": lambda: Diffusion(Denoiser(MLPDenoiser(SHAPE, hidden=(8,)), LinearLogSNR()), max_steps=STEPS),
    "GAN of classes": lambda: _gan(Product([StandardNormal(2), OneHot(10)])),
    "topics": _topics,
    **{name: partial(lambda name: getattr(views_of_digits, name)(STEPS)[0], name) for name in VIEWS},
    "words": lambda: NamedPoints(max_steps=STEPS),
    "network": lambda: NamedNodes(max_steps=STEPS, names=NETWORKS["network"].graph().names),
    "flows": lambda: NamedNodes(max_steps=STEPS, names=NETWORKS["flows"].graph().names),
}
DATA: dict[str, dict[str, Any]] = {"plain": {}, "with missing values": {"missing": 0.3}}


def _trained(model: str, data: str, run_dir: Path, *callbacks: Callback) -> tuple[LatentModel, Trainer, Any]:
    """Train a model and return it, its trainer and the next random numbers."""
    torch.manual_seed(0)
    built, rows = MODELS[model](), Rows()
    trainer = Trainer(
        default_root_dir=run_dir, accelerator="cpu", max_epochs=1, logger=rows, callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),
        enable_progress_bar="Progress" in {type(one).__name__ for one in callbacks},
        enable_model_summary=False, log_every_n_steps=1, limit_val_batches=1, num_sanity_val_steps=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        digits = {"batch_size": 64, "binarise": "threshold", "val_size": 64, "test_size": 64, **DATA[data]}
        trainer.fit(built, _data(model, digits))
    return built, trainer, torch.rand(3)


def _data(model: str, digits: dict[str, Any]) -> DataModule:
    if model in NETWORKS:
        return Nodes(graph=NETWORKS[model], split=SPLITS[model], batch_size=8)
    if model in VIEWS:
        return getattr(views_of_digits, model)(STEPS)[1]
    return Digits(**digits)


@cache
def _word_tests() -> WordTests:
    questions, pairs = word_files(Path(mkdtemp()))
    return WordTests([questions], [pairs])


@cache
def _reference(model: str, data: str, run_dir: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor, set[str]]:
    built, trainer, drawn = _trained(model, data, run_dir)
    return dict(built.state_dict()), drawn, set(trainer.logger.keys)


def _built(member: type[Callback]) -> Callback:
    classifier, extractor = DatasetClassifier(SHAPE, 10, steps=3), Pixels(SHAPE)
    grouped = {name for name, p in inspect.signature(member).parameters.items() if is_dataclass(p.default)}
    offers = {name: value for name, value in OFFERS.items() if name not in grouped}
    rulers = {
        "classifier": classifier,
        "extractor": extractor,
        "distance": ClassifierDistance(classifier),
        "tests": _word_tests(),
    }
    return members.build(member, **offers, **rulers, metrics={"mean": MeanMetric()}, paths=Paths(n=8))


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLBACKS)
def test_training_is_bitwise_the_same_with_it_and_without(name: str, tmp_path: Path) -> None:
    member = CALLBACKS[name]
    refusals = []
    for data in DATA:
        for model in MODELS:
            callback = _built(member)
            try:
                found, trainer, drawn = _trained(model, data, tmp_path / model, callback)
            except (TypeError, ValueError) as error:
                refusals.append(str(error))
                continue
            if isinstance(callback, PeriodicCallback) and (reason := callback.left_out(found.latent_space)) is not None:
                refusals.append(reason)
                continue
            state, expected, without = _reference(model, data, tmp_path / "reference")
            family = member.family if issubclass(member, PeriodicCallback) else ""
            if not any(key.startswith(family) for key in trainer.logger.keys - without) and model in NETWORKS:
                refusals.append(f"{name} has logged nothing of {model}")
                continue
            assert found.state_dict().keys() >= state.keys()
            for key, value in state.items():
                averaged = key.startswith("latent_space.decoder.generator.")  # what GeneratorEMA keeps up to date
                now = found.state_dict()[key]
                assert averaged or (torch.equal(now, value) if isinstance(value, torch.Tensor) else now == value), key
            assert torch.equal(drawn, expected)
            assert list(problems_of(trainer)) == []
            if issubclass(member, PeriodicCallback):
                assert any(key.startswith(member.family) for key in trainer.logger.keys - without)
            return
    raise AssertionError(f"{name} looks at none of {', '.join(MODELS)}: {refusals}")
