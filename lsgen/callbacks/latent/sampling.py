"""Codes of samples from the prior, or from a sampler fitted to the codes of training observations."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.data import DataModule
from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.latent.sampling.samplers import CodeSampler, FromPrior

__all__ = ["CodeSource"]


class CodeSource:
    """Fits a sampler to the current model whenever samples are drawn.

    Args:
        sampler: source of codes; the prior where it is None.
        codes: training observations whose codes it is fitted to, or all where there are fewer.

    Raises:
        ValueError: codes is not positive.

    """

    def __init__(self, sampler: CodeSampler | None = None, codes: int = 10_000) -> None:
        if codes < 1:
            raise ValueError(f"expected codes of at least 1, got {codes}")
        self.sampler, self.codes = sampler, codes
        self._x: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data, and check that the sampler suits the model before training starts.

        Raises:
            TypeError: codes are needed, and the space has no encoder or the data are no `lsgen.data.DataModule`.
            ValueError: the sampler cannot draw on the manifold of the codes.

        """
        if self.sampler is None:
            return
        space = pl_module.latent_space
        assert isinstance(space, LatentSpace)
        self.sampler.check(space.manifold)
        self.sampler.bind(space.prior)
        if not self.sampler.needs_codes:
            return
        data, name = getattr(trainer, "datamodule", None), type(self.sampler).__name__
        if not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"{name} expected a latent space with an encoder, got {type(space).__name__}")
        if not isinstance(data, DataModule):
            raise TypeError(f"{name} expected a lsgen.data.DataModule to take codes from, got {type(data).__name__}")
        self._x = data.probe(min(self.codes, len(data.dataset("train"))), "train")["x"]

    def prepare(self, space: LatentSpace, chunk_size: int, x: Tensor | None = None) -> CodeSampler:
        """Return the sampler, fitted to the codes of the training observations.

        Args:
            space: the model.
            chunk_size: observations encoded at a time.
            x: observations to take where there is no training whose data were noted.

        """
        if self.sampler is None:
            return FromPrior(space.prior)
        self.sampler.bind(space.prior)
        known = self._x if self._x is not None else x
        if self.sampler.needs_codes:
            if known is None or not isinstance(space, EncodableLatentSpace):
                raise TypeError(f"{type(self.sampler).__name__} expected observations and an encoder, got none")
            like = next(space.parameters())
            parts = [space.encode(part.to(like.device, like.dtype)).sample() for part in known.split(chunk_size)]
            self.sampler.fit(space.manifold.onto(torch.cat(parts)))
        return self.sampler
