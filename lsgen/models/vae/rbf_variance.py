r"""The VAE of Latent Space Oddity, whose decoder variance grows away from the data.

    steps below n:     -log N( x; mu(z), sigma^2 ) + KL( q(z|x) || p(z) )                    encoder and mean learn
    at step n:         centres, bandwidths and weights of beta(z) from the last M codes and their squared errors
    from step n on:    -log N( x; mu(z), 1 / beta(z) ) + KL( q(z|x) || p(z) )                the weights of beta learn

so that uncertainty is large wherever no code has been seen, and shortest paths keep to the data.

Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), section 4, https://arxiv.org/abs/1710.11379.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import Objective, SampleTerms, sample_terms
from lsgen.nn import StagedRBFDecoder

__all__ = ["RBFVariance"]


class RBFVariance(Objective):
    """The ELBO of a `StagedRBFDecoder`, in its two stages.

    Args:
        fit_at: generator step n at which the precision is fitted, or the first one after it that has seen more codes
            than there are centres; below 1, as a part of `steps`.
        observations: number M of codes it is fitted to, those of the last training batches before; they are part of
            the checkpoint while they are gathered.
        steps: generator steps of the whole training, `${model.max_steps}` in a config.

    Raises:
        ValueError: one of them is not positive, fit_at is a part of unknown steps, or training ends before it.

    """

    def __init__(self, fit_at: float = 5000, observations: int = 2000, steps: int | None = None) -> None:
        super().__init__()
        if 0 < fit_at < 1:
            if steps is None:
                raise ValueError(f"expected the steps that fit_at is a part of, got fit_at = {fit_at} and none")
            fit_at = max(1, round(fit_at * steps))
        elif steps is not None and fit_at >= steps:
            raise ValueError(f"expected fit_at before the last of {steps} generator steps, got {fit_at:g}")
        if min(fit_at, observations) < 1:
            raise ValueError(f"expected fit_at and observations of at least 1, got {fit_at:g} and {observations}")
        self.fit_at, self.observations = int(fit_at), observations
        self._codes: list[Tensor] = []
        self._errors: list[Tensor] = []

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse also a decoder that does not learn in two stages, or no fewer centres than codes.

        Raises:
            TypeError: see `Objective.check`; also for the decoder.
            ValueError: the precision has no fewer centres than there are codes to fit it to.

        """
        super().check(space)
        if not isinstance(space.decoder, StagedRBFDecoder):
            raise TypeError(f"RBFVariance expected a StagedRBFDecoder, got {type(space.decoder).__name__}")
        least = space.decoder.both.precision.too_few_codes
        if self.observations <= least:
            raise ValueError(f"expected more observations than {least}, one a centre, got {self.observations}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + KL, and fit the precision once its step has come.

        Raises:
            TypeError: the decoder is no `StagedRBFDecoder`.

        """
        decoder, x = space.decoder, batch["x"]
        if not isinstance(decoder, StagedRBFDecoder):
            raise TypeError(f"RBFVariance expected a StagedRBFDecoder, got {type(decoder).__name__}")
        learning = self.training and torch.is_grad_enabled()
        enough = sum(map(len, self._codes)) > decoder.both.precision.too_few_codes
        if learning and not decoder.is_fitted and step >= self.fit_at and enough:
            decoder.fit(torch.cat(self._codes), torch.cat(self._errors))
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                for value in decoder.both.precision.state_dict().values():
                    torch.distributed.broadcast(value, src=0)
            self._codes, self._errors = [], []
        if not decoder.is_fitted:
            terms = sample_terms(space, x)
            if learning:
                self._gather(decoder, terms.z.detach(), x)
            return terms.bound()
        with torch.no_grad():
            q = space.encode(x)
            z = q.sample()
            kl = kl_terms(q, space.prior(), z)
        terms = SampleTerms(q, z, -_with_fixed_mean(space, z).log_prob(x), kl)
        return terms.bound()

    def get_extra_state(self) -> dict[str, list[Tensor]]:
        """Return the codes and errors gathered so far, for the checkpoint."""
        return {"codes": list(self._codes), "errors": list(self._errors)}

    def set_extra_state(self, state: dict[str, list[Tensor]]) -> None:
        """Restore the codes and errors gathered so far."""
        self._codes, self._errors = list(state["codes"]), list(state["errors"])

    @torch.no_grad()
    def _gather(self, decoder: StagedRBFDecoder, z: Tensor, x: Tensor) -> None:
        self._codes.append(z)
        self._errors.append((x - decoder.mean(z)).square())
        while sum(map(len, self._codes)) - len(self._codes[0]) >= self.observations:
            del self._codes[0], self._errors[0]


def _with_fixed_mean(space: EncodableLatentSpace, z: Tensor) -> torch.distributions.Distribution:
    """Return p(x|z) with gradients of the standard deviation only."""
    mean, log_sigma = space.raw(z).chunk(2, dim=1)
    out: torch.distributions.Distribution = space.likelihood(torch.cat([mean.detach(), log_sigma], 1))
    return out
