r"""The codes of a model's observations as a table, with the scores of each that take the model to compute.

| column               | what it is                                                                                   |
|----------------------|----------------------------------------------------------------------------------------------|
| label, factors       | as the data have them, factors by their names                                                |
| split                | where an observation comes from; "prior" where codes are drawn from the prior                |
| elbo                 | log p(x|z) - KL(q(z|x) || p(z)) in nats, z drawn once from q, at beta = 1                     |
| reconstruction_error | mean squared difference of an observation and the mean of p(x|z) at its code, over dimensions |
|                      | but numbers of words and of classes                                                          |
| prior_nll            | -log p(z) in nats at the code, by the density of the prior with respect to its manifold       |

A column is there where the model has it: no ELBO where the posterior is a point, no density of a prior that can only be
sampled. Where values are missing, what is not observed counts in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen import viz
from lsgen.callbacks.analysis.observations import HELD_OUT, SampledObservations, sample_observations
from lsgen.callbacks.base import undisturbed
from lsgen.callbacks.latent.probe_codes import means
from lsgen.callbacks.probes import counts_observed, observations_of
from lsgen.callbacks.rendering.drawings import quantities, typical
from lsgen.data import Split
from lsgen.latent import (
    Codes,
    EncodableLatentSpace,
    EncodableSpace,
    ItemSpace,
    LatentSpace,
    Posterior,
    Prior,
    Space,
    encode_observations,
    observed_log_prob,
)
from lsgen.latent.densities import check_density
from lsgen.latent.encoding import column_entries, spread
from lsgen.latent.manifolds.description import lies_on
from lsgen.models.contract import as_numbers
from lsgen.models.divergence import kl_terms

__all__ = ["Collected", "collect_codes", "decoded_codes", "untrained_codes"]


@dataclass(frozen=True)
class Collected:
    """The codes of a model with what they are codes of.

    Attributes:
        codes: the table (N, d); its `scale` are the standard deviations of the posteriors.
        observations: what was encoded, (N, *shape) on the CPU, in the scale that the model takes; None for items and
            for codes that were drawn from the prior.
        reconstructions: means of p(x|z) at the codes, (N, *shape) on the CPU; None without a decoder.
        value_range: least and greatest value of the observations, or of what was decoded; None where there are none.
        source: "encoder", "prior" (a model without encoder: codes are draws), "items" or "table".
        sampling: how they were chosen, in words.
        total: what they were chosen from; None where that is not known.
        left_out: how many codes were not finite or not on the manifold, and are missing.
        label_names: names of the classes, where they have any.
        vocabulary: words that observations are counts of, where they are.

    """

    codes: Codes
    observations: Tensor | None
    reconstructions: Tensor | None
    value_range: tuple[float, float] | None
    source: str
    sampling: str
    total: int | None
    left_out: int
    label_names: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)


@torch.no_grad()
def collect_codes(
    module: nn.Module,
    data: Any = None,
    n: int | None = 2000,
    seed: int = 0,
    splits: Sequence[Split] = HELD_OUT,
    chunk_size: int = 256,
) -> Collected:
    """Return the codes of a model with their observations, reconstructions and scores.

    A model without an encoder gives codes drawn from its prior; a closed set of items gives its own. The modes of all
    modules and the states of all random number generators are left as they were.

    Args:
        module: a model with a `latent_space`, or a space.
        data: a data module or batches of observations; not used by a model without encoder.
        n: how many codes; all of what there is where it is None, except of a prior.
        seed: of the choice of observations and of all draws.
        splits: where observations come from, see `sample_observations`.
        chunk_size: observations encoded and decoded at a time; all of them are kept in memory.

    Raises:
        TypeError: there is no space, or no data for an encoder.
        ValueError: n is not positive, there are no observations, or no code is finite and on the manifold.

    """
    space = _space_of(module)
    if n is not None and n < 1:
        raise ValueError(f"expected at least one code, got n = {n}")
    with undisturbed(space, seed):
        space.eval()
        if isinstance(space, ItemSpace):
            return _items(space, n, seed)
        if not isinstance(space, EncodableSpace):
            assert isinstance(space, LatentSpace)
            return _drawn(space, n, seed, chunk_size)
        if data is None:
            raise TypeError(f"expected data for the encoder of {type(space).__name__}, got none")
        sample = sample_observations(data, n, seed, splits, chunk_size, module)
        return _encoded(space, sample, counts_observed(module))


@torch.no_grad()
def decoded_codes(space: Space | None, codes: Codes, chunk_size: int = 256) -> Collected:
    """Return a table of codes with what a space decodes them to.

    Args:
        space: what decodes, where it can; None for codes alone.
        codes: the table.
        chunk_size: codes decoded at a time.

    Raises:
        ValueError: the codes have another dimension than the space.

    """
    words = f"{len(codes):,} codes of a table"
    if not isinstance(space, LatentSpace):
        return Collected(codes, None, None, None, "table", words, len(codes), 0)
    if codes.dim != space.dim:
        raise ValueError(f"expected codes of {space.dim} dimensions, got {codes.dim}")
    like = next(iter(space.parameters()), torch.zeros(()))
    with undisturbed(space, 0):
        decoded = means(space.eval(), codes.tensor(like.device).to(like.dtype), chunk_size).cpu()
    return Collected(codes, None, decoded, _range(decoded), "table", words, len(codes), 0)


@torch.no_grad()
def untrained_codes(module: nn.Module, collected: Collected, seed: int = 0, chunk_size: int = 256) -> Codes:
    """Return codes of the same observations by an untrained copy of the network, the baseline of a probe.

    Layers get new weights by their own `reset_parameters`; parameters of modules without one have their entries
    permuted at random, which keeps their distribution and discards what was learned.

    Args:
        module: a model with a `latent_space`, or a space; it stays as it is.
        collected: what `collect_codes` has returned for it.
        seed: of the weights.
        chunk_size: observations encoded at a time.

    Raises:
        TypeError: there is no space, or it has no encoder.

    """
    space = _space_of(module)
    if not isinstance(space, EncodableSpace) or collected.observations is None:
        raise TypeError(f"expected a space with an encoder and its observations, got {type(space).__name__}")
    with undisturbed(space, seed):
        fresh = deepcopy(space).eval()
        for part in fresh.modules():
            _reset(part)
        batches = [{"x": x} for x in collected.observations.split(chunk_size)]
        return encode_observations(fresh, batches, collected.codes.ids, ())


def _space_of(module: nn.Module) -> Space:
    space = module if isinstance(module, Space) else getattr(module, "latent_space", None)
    if not isinstance(space, Space):
        raise TypeError(f"expected a model with a latent_space, or a space, got {type(module).__name__}")
    return space


def _reset(part: nn.Module) -> None:
    own = list(part.parameters(recurse=False))
    reset = getattr(part, "reset_parameters", None)
    if own and callable(reset):
        reset()
        return
    for parameter in own:
        flat = parameter.data.flatten()
        order = torch.randperm(flat.numel()).to(flat.device)
        parameter.data.copy_(flat[order].reshape(parameter.shape))


def _items(space: ItemSpace, n: int | None, seed: int) -> Collected:
    items = space.items()
    total, words = len(items), f"all {len(items):,} items"
    if n is not None and n < total:
        items = items.select(np.sort(np.random.default_rng(seed).permutation(total)[:n]))
        words = f"{n:,} of {total:,} items, drawn at random with seed {seed}"
    return Collected(items, None, None, None, "items", words, total, 0)


def _drawn(space: LatentSpace, n: int | None, seed: int, chunk_size: int) -> Collected:
    """Return codes that are drawn from the prior, and what they are decoded to."""
    if n is None:
        raise ValueError(f"expected a number of codes to draw from the prior of {type(space).__name__}, got none")
    drawn = space.prior().sample((n,))
    kept = drawn[lies_on(space.manifold, drawn)]
    if not len(kept):
        raise ValueError(f"expected codes on {space.manifold}, got none among {n} draws from the prior")
    decoded = means(space, kept, chunk_size).cpu()
    columns: dict[str, Any] = {"split": ["prior"] * len(kept), **_prior_nll(space, kept)}
    codes = Codes(kept.cpu(), [f"prior/{i}" for i in range(len(kept))], space.manifold, columns)
    words = f"{n:,} draws from the prior with seed {seed}, as the model has no encoder"
    return Collected(codes, None, decoded, _range(decoded), "prior", words, None, n - len(kept))


def _encoded(space: EncodableSpace, sample: SampledObservations, missing: bool) -> Collected:
    parts, ids, left_out = list[dict[str, Any]](), list[str](), 0
    for split, names, batch in sample.parts:
        part, kept = _encode(space, batch, missing, sample.factor_names)
        rows = kept.nonzero()[:, 0].tolist()
        left_out += len(names) - len(rows)
        if rows:
            ids += [names[row] for row in rows]
            parts.append({**part, "split": [split] * len(rows)})
    if not parts:
        raise ValueError(f"expected finite codes on {space.manifold}, got none among {left_out} observations")
    shared = {name for name in parts[0] if all(name in part for part in parts)}
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name in shared - {"split"}}
    z, x, decoded, scale = (joined.pop(name, None) for name in ("_z", "_x", "_decoded", "_scale"))
    columns: dict[str, Any] = {**joined, "split": [split for part in parts for split in part["split"]]}
    codes = Codes(z, ids, space.manifold, columns, scale)
    words = sample.sampling if sample.total is not None else f"{len(codes) + left_out:,}, {sample.sampling}"
    bounds = None if x is None else _range(x)
    known = sample.label_names, sample.vocabulary
    return Collected(codes, x, decoded, bounds, "encoder", words, sample.total, left_out, *known)


def _encode(
    space: EncodableSpace, batch: Mapping[str, Any], missing: bool, factors: tuple[str, ...]
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the codes of a batch and all that belongs to them, and which observations have one, bool (B,)."""
    like = next(iter(space.parameters()), torch.zeros(()))
    x, observed = observations_of(batch).x, batch.get("observed") if missing else None
    if isinstance(space, LatentSpace):
        x = as_numbers(x, space.likelihood, like.dtype)
    x = x.to(like.device, like.dtype)
    q = space.encode(x)
    z, scale = space.manifold.shift(q.mean, torch.zeros_like(q.mean)), spread(q)
    kept = lies_on(space.manifold, z)
    found = {_name(name, factors): value for name, value in column_entries(batch, len(x)).items()}
    if isinstance(space, EncodableLatentSpace):
        decoded = typical(space.likelihood, space.decode(z))
        found |= _scores(space, q, z, x, decoded, None if observed is None else observed.to(like.device))
        if decoded.shape == x.shape:
            found["_decoded"] = decoded
    found |= {"_z": z, "_x": x} | ({} if scale is None else {"_scale": scale.to(z.dtype)})
    return {name: value.cpu()[kept.cpu()] for name, value in found.items()}, kept


def _scores(
    space: EncodableLatentSpace, q: Distribution, z: Tensor, x: Tensor, decoded: Tensor, observed: Tensor | None
) -> dict[str, Tensor]:
    scores = _prior_nll(space, z)
    amounts = quantities(space.likelihood)
    if decoded.shape == x.shape and bool(amounts.any()):
        squares = (decoded - x).square().flatten(1)
        counts = amounts.flatten().to(squares).expand_as(squares)
        counts = counts if observed is None else counts * observed.flatten(1).to(squares.dtype)
        scores["reconstruction_error"] = (squares * counts).sum(1) / counts.sum(1)
    if not _has_density(space.prior, space.posterior):
        return scores
    draw, p = space.draw(q)
    likelihood = p.log_prob(x) if observed is None else observed_log_prob(p, x, observed)
    scores["elbo"] = likelihood - kl_terms(q, space.prior(), draw).sum(-1)
    return scores


def _prior_nll(space: LatentSpace, z: Tensor) -> dict[str, Tensor]:
    return {"prior_nll": -space.prior().log_prob(z)} if _has_density(space.prior) else {}


def _has_density(*parts: Prior | Posterior) -> bool:
    try:
        check_density(*parts)
    except TypeError:
        return False
    return True


def _name(name: str, factors: tuple[str, ...]) -> str:
    """Return the name of a column: that of the factor, for a column of "factors"."""
    stem, _, number = name.rpartition("_")
    return factors[int(number)] if stem == "factors" and number.isdecimal() and int(number) < len(factors) else name


def _range(x: Tensor) -> tuple[float, float] | None:
    finite = x[x.isfinite()]
    return viz.value_range(finite) if finite.numel() else None
