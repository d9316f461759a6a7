"""The evidence lower bound of test observations, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch

from lsgen.callbacks.base import undisturbed
from lsgen.callbacks.evaluation.metrics import code_length
from lsgen.callbacks.probes import observed_of
from lsgen.latent import EncodableLatentSpace
from lsgen.models.fitted import FittedModel
from lsgen.models.losses import Losses
from lsgen.models.vae import VAE
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Bound"]


@dataclass(frozen=True)
class Bound:
    """Measures -ELBO of test observations, the same ones for every run, with as many codes each as the objective draws.

    Its keys are `nats`, and `bits_per_dimension` or `nats_per_dimension` as `code_length` decides, both with the values
    of the observations. The code of a quantiser of K entries at L places costs L log K nats under the uniform prior.

    Attributes:
        n: observations, drawn at random from the test set.
        batch_size: observations at once.
        seed: seed of the codes.

    Raises:
        TypeError: a run is not of a VAE or a fitted model, or of one without a decoder, which bounds no evidence.
        ValueError: a number is not positive, there are fewer than n test observations, or the posterior is a point
            without a bound.

    """

    n: int = 2000
    batch_size: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n, self.batch_size) < 1:
            raise ValueError(f"expected n and batch_size of at least 1, got {self}")

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        model = run.model
        if not isinstance(model, VAE | FittedModel) or not isinstance(model.latent_space, EncodableLatentSpace):
            raise TypeError(f"Bound expected a VAE or a FittedModel with a decoder, got {type(model).__name__}")
        batch = run.probe(self.n)
        with undisturbed(model, self.seed), torch.no_grad():
            model.eval()
            rows = torch.arange(len(batch["x"])).split(self.batch_size)
            found = [model.loss({name: part[some] for name, part in batch.items()}) for some in rows]
        elbo = torch.cat([cast(Losses, losses).elbo for losses in found]).double()
        if elbo.isnan().any():
            raise ValueError(
                f"Bound expected posteriors with a bound, got {type(model.latent_space.posterior).__name__}"
            )
        observed = observed_of(model, batch)
        counted = None if observed is None else observed.sum() / len(observed)
        name, length = code_length(elbo, model.latent_space, run.data, counted)
        parts = {"nats": -elbo, name: length}
        values = {key: float(part.mean()) for key, part in parts.items()}
        return Measured(values, {key: part.float() for key, part in parts.items()})
