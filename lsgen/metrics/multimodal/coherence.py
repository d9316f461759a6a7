r"""Coherence: whether modalities that are generated show the class that they should.

    cross coherence        C(A -> j) = P( c_j(E[x_j|z]) = y ),    z ~ q(z|x_A),    j not in A,    y the label
    conditional coherence  C(k) = the average of C(A -> j) over all A of k modalities and all j that are not in A
    joint coherence        P( c_1(E[x_1|z]) = ... = c_M(E[x_M|z]) ),    z ~ p(z),

with c_j a classifier of modality j that is trained apart. Chance is what remains if the generated class does not
depend on the others: sum_y p(y) P(c_j = y), and sum_y prod_j P(c_j = y). A class that no classifier tells apart looks
coherent where it is generated always, so that the level of chance has to be read beside the value.

Intervals are those of Clopper & Pearson for as many trials as there are observations. The average over subsets and
modalities of one observation is no more spread than one trial, so that they cover at least what they state.

Reference: Shi et al., "Variational mixture-of-experts autoencoders" (2019), section 4.1,
https://arxiv.org/abs/1911.03393; Sutter, Daunhawer & Vogt, "Generalized multimodal ELBO" (2021), section 4,
https://arxiv.org/abs/2105.02470. Clopper & Pearson (1934), Biometrika 26.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from scipy.stats import beta
from torch import Tensor

from lsgen.latent.multimodal import MultimodalSpace
from lsgen.metrics.multimodal.classifiers_apart import ModalityClassifier

__all__ = ["GeneratedClasses", "binomial_interval", "generated_classes", "subsets_of"]


def subsets_of(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all subsets with at least one of the names, the smaller ones first."""
    return [subset for k in range(1, len(names) + 1) for subset in combinations(names, k)]


def binomial_interval(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of Clopper & Pearson of a probability, of which a share of n trials was found.

    Args:
        share: successes / n; their number need not be whole.
        n: trials.
        level: probability that it covers, at least.

    """
    hits, tail = share * n, (1 - level) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


@dataclass(frozen=True)
class GeneratedClasses:
    """The classes of what a model generates, as classifiers tell them.

    Attributes:
        names: the M modalities.
        given: for every subset of them, the classes (N, M) that are generated for N observations from it.
        labels: the classes that they should have, (N,).
        joint: the classes (n, M) of draws from the prior.
        classes: number of classes.

    """

    names: tuple[str, ...]
    given: Mapping[tuple[str, ...], Tensor]
    labels: Tensor
    joint: Tensor
    classes: int

    def hits(self, subset: tuple[str, ...], name: str) -> Tensor:
        """Return whether a modality that is generated from a subset has the right class, bool (N,)."""
        return self.given[subset][:, self.names.index(name)] == self.labels

    def conditional(self, inputs: int) -> Tensor:
        """Return for every observation the share (N,) of right classes among what is generated from so many inputs."""
        pairs = [(subset, name) for subset in self.given if len(subset) == inputs for name in self._missing(subset)]
        return torch.stack([self.hits(*pair).double() for pair in pairs]).mean(0)

    @property
    def agreement(self) -> Tensor:
        """Whether all modalities of a draw from the prior have one class, bool (n,)."""
        return (self.joint == self.joint[:, :1]).all(1)

    def values(self) -> dict[str, float]:
        """Return all coherences by key, with their intervals and the levels of chance."""
        found: dict[str, float] = {}
        for inputs in range(1, len(self.names)):
            key = f"conditional_{inputs}"
            self._add(found, key, self.conditional(inputs))
            found[f"{key}_chance"] = self._conditional_chance(inputs)
        self._add(found, "joint", self.agreement.double())
        shares = torch.stack([self._shares(one) for one in self.joint.unbind(1)])
        found["joint_chance"] = float(shares.prod(0).sum())
        for subset in self.given:
            for name in self._missing(subset):
                self._add(found, f"from/{'+'.join(subset)}/to/{name}", self.hits(subset, name).double())
        for name in self.names:
            self._add(found, f"reconstructed/{name}", self.hits(self.names, name).double())
        every = torch.stack([self.conditional(k) for k in range(1, len(self.names))]).mean(0)
        for value in self.labels.unique().tolist():
            self._add(found, f"class/{value}", every[self.labels == value])
        return found

    def _missing(self, subset: tuple[str, ...]) -> list[str]:
        return [name for name in self.names if name not in subset]

    def _shares(self, found: Tensor) -> Tensor:
        return torch.bincount(found, minlength=self.classes).double() / len(found)

    def _conditional_chance(self, inputs: int) -> float:
        labels = self._shares(self.labels)
        found = [
            self._shares(self.given[subset][:, self.names.index(name)])
            for subset in self.given
            if len(subset) == inputs
            for name in self._missing(subset)
        ]
        return float((torch.stack(found).mean(0) * labels).sum())

    def _add(self, found: dict[str, float], key: str, hits: Tensor) -> None:
        share = float(hits.mean())
        found[key] = share
        found[f"{key}_low"], found[f"{key}_high"] = binomial_interval(share, len(hits))


@torch.no_grad()
def generated_classes(
    space: MultimodalSpace,
    x: Tensor,
    labels: Tensor,
    classifiers: Mapping[str, ModalityClassifier],
    draws: int,
    classes: int = 10,
    chunk_size: int = 250,
) -> GeneratedClasses:
    """Return the classes of all modalities generated from all subsets of them, and from the prior.

    Args:
        space: a latent space of at least two modalities.
        x: packed observations (N, D), whole.
        labels: their classes, (N,).
        classifiers: those of the modalities by name.
        draws: draws from the prior.
        classes: number of classes.
        chunk_size: observations, or draws, at a time.

    Raises:
        ValueError: there is one modality alone.

    """
    names = space.names
    if len(names) < 2:
        raise ValueError(f"expected a latent space of at least two modalities, got {names[0]} alone")
    subsets = subsets_of(names)
    parts: dict[tuple[str, ...], list[Tensor]] = {subset: [] for subset in subsets}
    for some in x.split(chunk_size):
        experts = space.experts(some)
        for subset in subsets:
            z = space.given(experts, space.mask(subset, len(some), some.device)).sample()
            parts[subset].append(_told(space, z, classifiers))
    prior = [
        _told(space, space.prior().sample(torch.Size((n,))), classifiers)
        for n in [min(chunk_size, draws - first) for first in range(0, draws, chunk_size)]
    ]
    given = {subset: torch.cat(found) for subset, found in parts.items()}
    return GeneratedClasses(names, given, labels.cpu(), torch.cat(prior), classes)


def _told(space: MultimodalSpace, z: Tensor, classifiers: Mapping[str, ModalityClassifier]) -> Tensor:
    """Return the classes (N, M) of what codes are decoded to."""
    return torch.stack([classifiers[name].predict(space.decode_one(name, z).mean) for name in space.names], 1)
