"""How far the codes explain the factors of variation that the data were made of.

| key                        | meaning                                                                      |
|----------------------------|------------------------------------------------------------------------------|
| test/factor/NAME/r2        | R^2 of a linear fit of the factor from all posterior means                   |
| test/factor/NAME/r2_single | R^2 from the one latent that explains it best                                |

They are measured on fixed held-out observations, where the data module knows their factors.
"""

from __future__ import annotations

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lsgen.data import DataModule
from lsgen.latent import EncodableLatentSpace
from lsgen.metrics import FactorRegression

__all__ = ["FactorMetrics"]


class FactorMetrics(Callback):
    """Logs, with the test set, how much of each ground-truth factor is linear in the posterior means.

    It measures where the latent space has an encoder and the data have factors, and says nothing elsewhere.

    Args:
        n: held-out observations, all of the test set where that has fewer.
        chunk_size: observations encoded at a time.

    Raises:
        ValueError: n or chunk_size is not positive.

    """

    def __init__(self, n: int = 5000, chunk_size: int = 500) -> None:
        if n < 1 or chunk_size < 1:
            raise ValueError(f"expected n and chunk_size of at least 1, got {n} and {chunk_size}")
        self.n, self.chunk_size = n, chunk_size

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        space = getattr(pl_module, "latent_space", None)
        if not isinstance(data, DataModule) or not data.factor_names or not isinstance(space, EncodableLatentSpace):
            return
        probe = data.probe(min(self.n, len(data.dataset("test"))), "test")
        metric = FactorRegression(space.dim, len(data.factor_names)).to(pl_module.device)
        for x, factors in zip(probe["x"].split(self.chunk_size), probe["factors"].split(self.chunk_size), strict=True):
            metric.update(self._codes(space, x.to(pl_module.device)), factors.to(pl_module.device))
        values = metric.compute()
        for i, name in enumerate(data.factor_names):
            for key in ("r2", "r2_single"):
                pl_module.log(f"test/factor/{name}/{key}", values[key][i], batch_size=1, rank_zero_only=True)

    @staticmethod
    @torch.no_grad()
    def _codes(space: EncodableLatentSpace, x: Tensor) -> Tensor:
        return space.encode(x).mean
