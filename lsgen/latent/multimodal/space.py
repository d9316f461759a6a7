r"""The latent space of observations of several modalities, such as images with captions and sounds.

    p(x_1, ..., x_M|z) = prod_i p_i(x_i|z),    q(z|x_A) for any subset A of the modalities .

Observations are packed vectors (B, D), see `Packing`, and the decoders' raw outputs lie side by side. So this is an
ordinary latent space, and its metric is the sum of those of the modalities. With private codes z = (u, w_1, ..., w_M),
the decoder of modality i sees (u, w_i).

Reference: Wu & Goodman (2018), https://arxiv.org/abs/1802.05335; Palumbo, Daunhawer & Vogt, "MMVAE+" (2023), section 3,
for private codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from lsgen.latent.multimodal.experts import (
    Experts,
    JointPosterior,
    NormalMixture,
    ProductOfExperts,
    with_private_codes,
)
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import EncoderDependentPrior, Prior, StandardNormal
from lsgen.latent.space import EncodableLatentSpace
from lsgen.likelihoods import Likelihood, Modalities, Packing
from lsgen.likelihoods.modalities import PackedDistribution

__all__ = ["MultimodalSpace"]

Subset = Tensor | Sequence[str]


class MultimodalSpace(EncodableLatentSpace):
    """A latent space of several modalities, with a posterior of any subset of them.

    Args:
        encoders: by name, observations (N, *shape_i) -> mean and log variance (N, 2 (d + p)) of the shared code and of
            the modality's own.
        decoders: by name, codes (N, d + p) -> raw outputs (N, *raw_shape_i).
        likelihood: p(x|h), whose names and their order are those of the modalities.
        prior: p(z), of the shared code and all private codes together, d + M p dimensions.
        joint: how the posterior of several modalities is made; a product of experts unless given.
        private: dimension p of each modality's own code.

    Raises:
        TypeError: the likelihood is none of several modalities, or the prior does not go with the joint posterior or
            with private codes.
        ValueError: names differ, or an encoder or a decoder has another dimension or number of heads.

    """

    likelihood: Modalities

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoders: Mapping[str, nn.Module],
        likelihood: Modalities,
        prior: Prior,
        joint: JointPosterior | None = None,
        private: int = 0,
    ) -> None:
        joint = ProductOfExperts() if joint is None else joint
        _check_parts(encoders, decoders, likelihood, prior, joint)
        names, shared = list(likelihood.parts), prior.dim - len(likelihood.parts) * private
        if private < 0 or shared < 1:
            raise ValueError(
                f"expected a prior of more than {len(names)} x {private} dimensions, for a shared code beside the "
                f"private ones of {', '.join(names)}, got {prior.dim}"
            )
        if private and not isinstance(prior, StandardNormal):
            raise TypeError(f"expected a StandardNormal as the prior of private codes, got {type(prior).__name__}")
        for name in names:
            _check_networks(name, encoders[name], decoders[name], likelihood.parts[name], shared + private)
        posterior = _ExpertPosterior(joint, shared, private, len(names))
        encoder = _Encoders({name: encoders[name] for name in names}, likelihood.packing)
        decoder = _Decoders({name: decoders[name] for name in names}, shared, private)
        super().__init__(encoder, decoder, likelihood, prior, posterior)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the modalities, in their order."""
        return self.packing.names

    @property
    def packing(self) -> Packing:
        """Names, shapes and places of the modalities in a packed observation."""
        return self.likelihood.packing

    @property
    def joint(self) -> JointPosterior:
        """How the posterior of several modalities is made."""
        return cast(_ExpertPosterior, self.posterior).joint

    @property
    def shared(self) -> int:
        """The dimension d of the code that the modalities share, which is the first part of z."""
        return cast(_ExpertPosterior, self.posterior).shared

    @property
    def private(self) -> int:
        """The dimension p of each modality's own code; these follow the shared one in the order of the names."""
        return cast(_ExpertPosterior, self.posterior).private

    def encode(self, x: Tensor, present: Subset | None = None) -> Distribution:
        """Return q(z|x_A) of packed observations (N, D), of batch shape (N,) and event shape (dim,).

        Args:
            x: the observations; what stands in the place of an absent modality does not matter, and may be NaN.
            present: the modalities A: bool (N, M), which on an accelerator is not checked, or names; all unless given.

        Raises:
            ValueError: there is no modality of a name, or an observation has none.

        """
        mask = self.mask(present, len(x), x.device)
        return self.given(self.experts(x, mask), mask)

    def experts(self, x: Tensor, present: Tensor | None = None) -> Experts:
        """Return what the encoders say of packed observations (N, D).

        Args:
            x: the observations.
            present: which modalities there are, bool (N, M); encoders read zeros in the place of others, so that
                nothing, a gradient of NaN above all, comes from what stands there.

        """
        x = x if present is None else torch.where(self.likelihood.spread(present), x, 0)
        experts = cast(_ExpertPosterior, self.posterior).experts(self.outputs(x))
        return self.joint.see(x, experts)

    def given(self, experts: Experts, present: Tensor | None = None) -> Independent | NormalMixture:
        """Return q(z|x_A) of all codes from the experts.

        Args:
            experts: of all modalities.
            present: the modalities A, bool (..., N, M), not checked; all unless given.

        """
        return cast(_ExpertPosterior, self.posterior).given(experts, range(len(self.names)), present)

    def alone(self, experts: Experts, name: str) -> Independent | NormalMixture:
        """Return q(z|x_i) of one modality from the experts of all, what `modality(name)` encodes to."""
        place = self.packing.place(name)
        return cast(_ExpertPosterior, self.posterior).given(experts.only(place), [place], None)

    def mask(self, present: Subset | None, n: int, device: torch.device) -> Tensor | None:
        """Return a subset of modalities as a mask, bool (n, M); None for all.

        Raises:
            ValueError: there is no modality of a name, an observation has none, or the mask has another shape.

        """
        if present is None:
            return None
        count = len(self.names)
        if not isinstance(present, Tensor):
            places = {self.packing.place(name) for name in ([present] if isinstance(present, str) else present)}
            present = torch.tensor([i in places for i in range(count)], device=device).expand(n, count)
            empty = not places
        elif present.shape != (n, count) or present.dtype != torch.bool:
            raise ValueError(
                f"expected a boolean mask of shape ({n}, {count}) of the modalities {', '.join(self.names)}, "
                f"got {present.dtype} {tuple(present.shape)}"
            )
        else:
            empty = present.device.type == "cpu" and not bool(present.any(-1).all())
        if empty:
            raise ValueError(f"expected at least one of the modalities {', '.join(self.names)}, got none")
        return present

    def decode(self, z: Tensor) -> PackedDistribution:
        """Return p(x|z) of all modalities, of batch shape B, at codes (B, dim)."""
        return cast(PackedDistribution, super().decode(z))

    def decode_one(self, name: str, z: Tensor) -> Distribution:
        """Return p_i(x_i|z) of one modality, of batch shape B and event shape `shape_i`, at codes (B, dim)."""
        part, decoder = self.likelihood.parts[name], cast(_Decoders, self.decoder).only(name)
        h = decoder(z.reshape(-1, self.dim))
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        distribution: Distribution = part(h.reshape(*z.shape[:-1], *h.shape[1:]))
        return distribution

    def modality(self, name: str) -> EncodableLatentSpace:
        """Return the latent space of one modality alone, whose observations are (N, *shape_i) and whose codes are z.

        Its posterior is q(z|x_i); the private codes of other modalities have their prior.

        Raises:
            ValueError: there is none of this name.

        """
        place, own = self.packing.place(name), cast(_ExpertPosterior, self.posterior)
        encoder, decoder = cast(_Encoders, self.encoder), cast(_Decoders, self.decoder)
        posterior = _ExpertPosterior(own.joint, own.shared, own.private, own.count, place)
        part = cast(Likelihood, self.likelihood.parts[name])
        return EncodableLatentSpace(encoder.networks[name], decoder.only(name), part, self.prior, posterior)

    @torch.no_grad()
    def complete(self, x: Tensor, present: Subset, n: int | None = None) -> Tensor:
        """Return packed observations whose absent modalities are generated from those that are present.

        Args:
            x: packed observations (N, D).
            present: the modalities that are there, bool (N, M) or names; they stay as they are.
            n: how many completions are drawn, z from q(z|x_A) and then x from p(x|z); the mean of p(x|z) at the mean
                code unless given.

        Returns:
            (N, D), or (n, N, D).

        Raises:
            ValueError: there is no modality of a name, or an observation has none.

        """
        mask = self.mask(present, len(x), x.device)
        q = self.given(self.experts(x, mask), mask)
        made = self.decode(q.mean).mean if n is None else self.observe(q.sample(torch.Size((n,))))
        return torch.where(self.likelihood.spread(cast(Tensor, mask)), x, made)


class _Encoders(nn.Module):
    """The encoders of all modalities: packed observations (N, D) -> raw outputs (N, M, 2 (d + p))."""

    def __init__(self, networks: Mapping[str, nn.Module], packing: Packing) -> None:
        super().__init__()
        self.networks, self.packing = nn.ModuleDict(networks), packing

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.networks[name](own) for name, own in self.packing.unpack(x).items()], 1)


class _Decoders(nn.Module):
    """The decoders of all modalities: codes (N, dim) -> their raw outputs side by side."""

    def __init__(self, networks: Mapping[str, nn.Module], shared: int, private: int) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.shared, self.private = shared, private
        self.dim = shared + len(networks) * private

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([self.only(name)(z).flatten(1) for name in self.networks], 1)

    def only(self, name: str) -> nn.Module:
        """Return the decoder of one modality, which takes codes (N, dim)."""
        if not self.private:
            return self.networks[name]
        place = list(self.networks).index(name)
        return _OwnCodes(self.networks[name], self.shared, self.private, place, self.dim)


class _OwnCodes(nn.Module):
    """A decoder that sees of codes (N, dim) the shared part and that of its modality."""

    def __init__(self, network: nn.Module, shared: int, private: int, place: int, dim: int) -> None:
        super().__init__()
        self.network, self.shared, self.dim = network, shared, dim
        self.start = shared + place * private
        self.end = self.start + private

    def forward(self, z: Tensor) -> Any:
        return self.network(torch.cat([z[:, : self.shared], z[:, self.start : self.end]], 1))


class _ExpertPosterior(Posterior):
    """The posterior that a joint posterior makes of the encoders' raw outputs.

    Args:
        joint: how experts are joined.
        shared: dimension d of the shared code.
        private: dimension p of each modality's own.
        count: number M of modalities.
        place: number of the one modality whose raw outputs come, (B, 2 (d + p)); None for those of all.

    """

    heads = 2

    def __init__(self, joint: JointPosterior, shared: int, private: int, count: int, place: int | None = None) -> None:
        super().__init__()
        self.joint, self.shared, self.private, self.count, self.place = joint, shared, private, count, place
        self.raw_dim = None if place is None else shared + private

    @property
    def factorised(self) -> bool:  # type: ignore[override]
        """Whether the joint posterior is; that of one modality always is."""
        return self.joint.factorised or self.place is not None

    def experts(self, raw: Tensor) -> Experts:
        """Return the experts of raw outputs (B, M, 2 (d + p))."""
        mean, log_variance = raw.chunk(2, -1)
        sizes = [self.shared, self.private]
        (mean, own_mean), (log_variance, own) = mean.split(sizes, -1), log_variance.split(sizes, -1)
        return Experts(mean, log_variance, own_mean, own)

    def given(self, experts: Experts, places: Sequence[int], present: Tensor | None) -> Independent | NormalMixture:
        """Return the posterior of the shared code and the private ones from the experts of some modalities."""
        q: Independent | NormalMixture = self.joint(experts, present)
        return with_private_codes(q, experts, places, self.count, present)

    def forward(self, raw: Tensor) -> Distribution:
        """Return the posterior of all modalities, or of one."""
        if self.place is None:
            return self.given(self.experts(raw), range(self.count), None)
        return self.given(self.experts(raw.unsqueeze(-2)), [self.place], None)


def _check_parts(
    encoders: Mapping[str, nn.Module],
    decoders: Mapping[str, nn.Module],
    likelihood: Modalities,
    prior: Prior,
    joint: JointPosterior,
) -> None:
    """Refuse parts of other types or names."""
    for name, part, kind in (("likelihood", likelihood, Modalities), ("joint", joint, JointPosterior)):
        if not isinstance(part, kind):
            raise TypeError(f"expected {name} to be a {kind.__name__}, got {type(part).__name__}")
    names = set(likelihood.parts)
    for what, found in (("encoders", encoders), ("decoders", decoders)):
        if set(found) != names:
            raise ValueError(f"expected {what} of {', '.join(likelihood.parts)}, got {', '.join(found) or 'none'}")
    if isinstance(prior, EncoderDependentPrior):
        raise TypeError(
            f"expected a prior that needs no encoder, of which there are several, got {type(prior).__name__}"
        )
    joint.check(prior)


def _check_networks(name: str, encoder: nn.Module, decoder: nn.Module, part: nn.Module, dim: int) -> None:
    """Refuse networks of another dimension or number of heads."""
    wanted: list[tuple[str, nn.Module, str, Any]] = [
        (f"encoders.{name}", encoder, "dim", dim),
        (f"encoders.{name}", encoder, "heads", 2),
        (f"decoders.{name}", decoder, "dim", dim),
        (f"decoders.{name}", decoder, "heads", part.heads),
    ]
    for what, network, attribute, expected in wanted:
        got = getattr(network, attribute, expected)
        if got != expected:
            raise ValueError(f"expected {what}.{attribute} = {expected}, got {got}")
