"""Training with every objective of a VAE, through the engine, against a bare PyTorch loop of the same objective.

Models are those of conf/model, as they stand, on images of 28 x 28 pixels in batches of 64; both sides alternate
within one process, and a row gives the median over the rounds.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from bench_engine import RandomImages, engine_step
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import Tensor

from lsgen.data import BatchDataset, Split, TensorSource
from lsgen.models import VAE
from lsgen.models.vae import AdversarialObjective, DataSetObjective

SHAPE, BATCH, STEPS, WARM, ROUNDS, TARGET = (1, 28, 28), 64, 16, 4, 3, 0.9
MODELS = Path(__file__).resolve().parent.parent / "conf" / "model"
SETTINGS = {"conditional_vae": (), "vq_vae": ("model.prior.dim=196",)}


class EveryKind(RandomImages):
    """Random images with labels, gaps and partners, whichever an objective asks for."""

    def __init__(self) -> None:
        n = 20 * BATCH
        super().__init__(SHAPE, n, BATCH)
        pair = torch.randint(0, 2, (n, *SHAPE)).float()
        label, observed = torch.arange(n) % 11 - 1, torch.rand(n, *SHAPE) < 0.5
        self.source = TensorSource(x=self.source.tensors["x"], pair=pair, label=label, observed=observed)

    def build(self, split: Split) -> BatchDataset:
        """Return all of it as every split."""
        return self.subset(self.source, torch.arange(len(self.source)), split)


def vae(name: str) -> VAE | None:
    """Return the model of a yaml where it is a VAE with an objective."""
    text = (MODELS / f"{name}.yaml").read_text()
    settings = SETTINGS.get(name, () if "override /net" in text else ("net=mlp",))
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        config = compose("train", [f"model={name}", "data=mnist", *settings])
    if config.model["_target_"] != "lsgen.models.VAE":
        return None
    model = instantiate(config.model)
    assert isinstance(model, VAE)
    return model


def bare_step(model: VAE, data: EveryKind) -> float:
    """Return the seconds of a training step in a loop of a few lines."""
    objective, tensors = model.objective, data.source.tensors
    ours = torch.optim.Adam(model.latent_space.parameters(), lr=1e-3)
    theirs = torch.optim.Adam(objective.parameters(), lr=1e-4) if isinstance(objective, AdversarialObjective) else None
    if isinstance(objective, DataSetObjective):
        objective.prepare(len(data.source))
    order, at, started = torch.randperm(len(data.source)), 0, 0.0
    model.train()
    for step in range(WARM + STEPS):
        if step == WARM:
            started = perf_counter()
        if at + BATCH > len(order):
            order, at = torch.randperm(len(order)), 0
        batch = {key: value[order[at : at + BATCH]] for key, value in tensors.items()}
        batch["x"] = batch["x"].float()
        at += BATCH
        loss = _loss(model, batch, step)
        for optimizer in (ours, theirs):
            if optimizer is not None:
                optimizer.zero_grad()
        loss.backward()
        for optimizer in (ours, theirs):
            if optimizer is not None:
                optimizer.step()
    return (perf_counter() - started) / STEPS


def _loss(model: VAE, batch: dict[str, Tensor], step: int) -> Tensor:
    objective, space = model.objective, model.latent_space
    if not isinstance(objective, AdversarialObjective):
        loss: Tensor = objective(space, batch, step).loss
        return loss
    losses, codes = objective.losses_and_codes(space, batch, step)
    return losses.loss + objective.adversary_loss(space, codes.detach())


def rows(names: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure."""
    found, data = [], EveryKind()
    for name in names or sorted(path.stem for path in MODELS.glob("[!_]*.yaml")):
        if vae(name) is None:
            continue
        bare, engine = [], []
        for _ in range(ROUNDS):
            for times, work in (
                (bare, lambda m: bare_step(m, data)),
                (engine, lambda m: engine_step(m, data, STEPS, WARM)),
            ):
                model = vae(name)
                assert model is not None
                times.append(work(model))
        ratio = statistics.median(bare) / statistics.median(engine)
        found.append(
            {
                "work": f"training with {name}, batch {BATCH}",
                "bound_or_peer": "bare PyTorch loop of the same objective",
                "ratio": ratio,
                "target": f">= {TARGET:g}",
                "met": ratio >= TARGET,
                "note": f"{1e3 * statistics.median(engine):.1f} ms a step",
            }
        )
    return found


if __name__ == "__main__":
    import sys

    for entry in rows(sys.argv[1:] or None):
        print(entry)
