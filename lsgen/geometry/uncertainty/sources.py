r"""Sources of uncertainty about a decoder: ensembles, dropout, and variances by radial basis functions.

    Ensemble                decoders trained apart, all of the same latent space
    Dropout                 one decoder under several fixed masks
    LaplaceApproximation    one decoder under several draws from a Gaussian around its weights
    RBFUncertainty          a decoder's mean beside a standard deviation that grows away from the codes

Each is called with a latent space and returns another, which `immersion(space, uncertainty=...)` takes and
`metric_field` too. The first three have fixed members and the average metric, see `lsgen.geometry.members`. Members
drawn anew at every point define no metric; `independent_energy` is the energy that they define instead.

Reference: Syrota, Moreno-Munoz & Hauberg, "Decoder ensembling for learned latent geometries" (2024),
https://arxiv.org/abs/2408.07507; Gal & Ghahramani, "Dropout as a Bayesian approximation" (2016),
https://arxiv.org/abs/1506.02142.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.geometry.immersion import Immersion, SpaceMap
from lsgen.geometry.members import MemberLikelihood, Uncertainty, joined
from lsgen.geometry.uncertainty.laplace import LaplaceApproximation
from lsgen.latent import LatentSpace
from lsgen.likelihoods import Gaussian
from lsgen.nn import RBFDecoder, RBFPrecision

__all__ = ["Dropout", "Ensemble", "LaplaceApproximation", "RBFUncertainty", "Uncertainty", "independent_energy"]


DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Ensemble(Uncertainty):
    """Decoders of one latent space, trained apart.

    Args:
        decoders: maps (N, d) -> (N, *raw); they take the place of the space's own, which may be among them.

    Raises:
        ValueError: there are none.

    """

    def __init__(self, decoders: Sequence[nn.Module]) -> None:
        if not decoders:
            raise ValueError("expected at least one decoder, got none")
        self.decoders = list(decoders)

    def __call__(self, space: LatentSpace) -> LatentSpace:
        """Return the space of all decoders."""
        return joined(space, self.decoders)


class Dropout(Uncertainty):
    """A decoder with dropout, under masks that are drawn once and kept.

    Args:
        members: number M of masks.
        seed: of the masks.

    Raises:
        ValueError: there are none.

    """

    def __init__(self, members: int = 10, seed: int = 0) -> None:
        if members < 1:
            raise ValueError(f"expected at least 1 member, got {members}")
        self.members, self.seed = members, seed

    def __call__(self, space: LatentSpace) -> LatentSpace:
        """Return the space of the decoder under every mask; weights are shared with it.

        Raises:
            ValueError: the decoder has no layers `torch.nn.Dropout` (or 1d, 2d, 3d), or is in train mode.

        """
        generator = torch.Generator().manual_seed(self.seed)
        shapes = _dropped_shapes(space)
        return joined(space, [_masked(space.decoder, shapes, generator) for _ in range(self.members)])


class RBFUncertainty(Uncertainty):
    """A decoder's mean, fixed, with the standard deviation of an `RBFPrecision`.

    Args:
        precision: placed, and fitted to the errors of the mean.

    """

    def __init__(self, precision: RBFPrecision) -> None:
        self.precision = precision

    def __call__(self, space: LatentSpace) -> LatentSpace:
        """Return the space of the same mean, with a Gaussian likelihood.

        Raises:
            ValueError: dimension or shape of the observations differ.

        """
        found, wanted = (self.precision.dim, *self.precision.shape), (space.dim, *space.likelihood.shape)
        if found != wanted:
            raise ValueError(f"expected a precision of dimension and shape {wanted}, got {found}")
        decoder = RBFDecoder(_Mean(space), self.precision, frozen=False)
        return LatentSpace(decoder, Gaussian(space.likelihood.shape), space.prior)


class _Mean(nn.Module):
    """Codes -> E[x|z]."""

    def __init__(self, space: LatentSpace) -> None:
        super().__init__()
        self.decoder, self.likelihood = space.decoder, space.likelihood

    def forward(self, z: Tensor) -> Tensor:
        """Return means (N, *shape)."""
        mean: Tensor = self.likelihood(self.decoder(z)).mean
        return mean


class _FixedMask(nn.Module):
    """Multiplication by a mask that stays."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the mask."""
        return x * self.get_buffer("mask").to(x)


def _dropped_shapes(space: LatentSpace) -> dict[str, torch.Size]:
    """Return the shapes that the dropout layers of the decoder see, by name, found by decoding one code."""
    if space.decoder.training:
        raise ValueError("expected a decoder in eval mode, got one in train mode: call .eval() first")
    layers = {name: m for name, m in space.decoder.named_modules() if isinstance(m, DROPOUTS)}
    if not layers:
        raise ValueError(f"expected a decoder with dropout, got {type(space.decoder).__name__} without")
    shapes: dict[str, torch.Size] = {}

    def note(name: str) -> Any:
        return lambda module, inputs: shapes.update({name: inputs[0].shape})

    hooks = [layer.register_forward_pre_hook(note(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            space.decoder(next(space.decoder.parameters()).new_zeros(1, space.dim))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _masked(decoder: nn.Module, shapes: dict[str, torch.Size], generator: torch.Generator) -> nn.Module:
    """Return a copy of the decoder that shares its weights and has masks for dropout layers."""
    shared = {id(t): t for t in (*decoder.parameters(), *decoder.buffers())}
    member = deepcopy(decoder, shared)
    for name, shape in shapes.items():
        layer = member.get_submodule(name)
        assert isinstance(layer, DROPOUTS)
        whole = isinstance(layer, nn.Dropout)
        kept = shape if whole else torch.Size((*shape[:2], *[1] * (len(shape) - 2)))
        mask = (torch.rand(kept, generator=generator) >= layer.p).float() / max(1 - layer.p, 1e-12)
        parent, _, child = name.rpartition(".")
        setattr(member.get_submodule(parent), child, _FixedMask(mask.to(next(decoder.parameters()).device)))
    return member


def independent_energy(
    im: Immersion, curves: Tensor, draws: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    r"""Return the energy of curves whose members are drawn independently at every point.

        E_n = n sum_k E_{i,j} |f_i(z_k) - f_j(z_{k+1})|^2 = n sum_k ( |D_k|^2 + V_k + V_{k+1} ),

    with D_k the difference of the members' mean and V = 1/M sum_i |f_i - mean|^2 their variance. It is not the energy
    of a metric: V counts n times in each of n segments, so that E_n grows like 2 n^2 int V dt with their number n, and
    compares only curves of the same n. The fixed members of `Ensemble` have an energy that converges.

    Args:
        im: the immersion of a space with members, in a Euclidean space (all signs +1).
        curves: codes (B, n + 1, d).
        draws: draws of a member for each point to estimate the expectation by; exact where it is not given.
        generator: of the draws.

    Returns:
        Energies (B,).

    Raises:
        TypeError: the immersion has no members.
        ValueError: curves have another shape, the flat space has negative signs, or draws is not positive.

    Reference:
        Syrota, Moreno-Munoz & Hauberg (2024), equation 9.

    """
    likelihood = im.fn.likelihood if isinstance(im.fn, SpaceMap) else None
    if not isinstance(likelihood, MemberLikelihood):
        raise TypeError("expected the immersion of a space with members, got one without")
    if curves.ndim != 3 or curves.shape[1] < 2:
        raise ValueError(f"expected curves of shape (B, N, d) with N of at least 2, got {tuple(curves.shape)}")
    if im.signs is not None and bool((im.signs < 0).any()):
        raise ValueError("expected a flat space with positive signs only, got negative ones: use another kind")
    if draws is not None and draws < 1:
        raise ValueError(f"expected at least 1 draw, got {draws}")
    members = likelihood.members
    f = im(curves).unflatten(-1, (members, -1)) * members**0.5
    segments = curves.shape[1] - 1
    if draws is None:
        mean = f.mean(2)
        variance = (f - mean.unsqueeze(2)).square().sum(-1).mean(2)
        squares = (mean[:, 1:] - mean[:, :-1]).square().sum(-1) + variance[:, 1:] + variance[:, :-1]
        return segments * squares.sum(-1)
    chosen = torch.randint(members, (draws, *f.shape[:2]), generator=generator, device=f.device)
    total = f.new_zeros(len(f))
    for index in chosen:
        points = f.gather(2, index[..., None, None].expand(*index.shape, 1, f.shape[-1])).squeeze(2)
        total = total + segments * points.diff(dim=1).square().sum((1, 2))
    return total / draws
