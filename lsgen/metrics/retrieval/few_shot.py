r"""Few-shot classification by codes: episodes of N classes, of which k codes each are known.

    nearest      the class of the nearest known code
    prototype    the class with the nearest mean of known codes (of directions on a sphere, of sqrt p on a simplex;
                 elsewhere the Frechet mean, approached by steps of z <- exp_z(mean of log_z))

What is near is said by the manifold, or by a distance that the model has learned: the mean is the manifold's.

Classes at the same distance share the credit, so that codes that have collapsed score 1/N, the level of chance. The
interval is that of a mean of independent episodes, mean +- z sd/sqrt(E); the codes they are drawn from are taken as
given.

Reference: Vinyals et al., "Matching networks for one shot learning" (2016), https://arxiv.org/abs/1606.04080, section
4, for episodes; Snell, Swersky & Zemel, "Prototypical networks for few-shot learning" (2017),
https://arxiv.org/abs/1703.05175.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.distances import ChordDistance, CodeDistance, EuclideanDistance, HyperbolicDistance, distance_on
from lsgen.latent.manifolds.manifold import Euclidean, Manifold

__all__ = ["Episodes", "FewShot", "episode_accuracy"]

ENTRIES, STEPS = 2**21, 10


@dataclass(frozen=True)
class Episodes:
    """Options of episodes of few-shot classification.

    Attributes:
        ways: classes N of an episode.
        shots: known codes k of each class.
        queries: codes of each class that are classified.
        number: episodes E.
        seed: of their choice.

    Raises:
        ValueError: there are fewer than 2 classes or episodes, or another number is not positive.

    """

    ways: int = 5
    shots: int = 1
    queries: int = 5
    number: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ways < 2 or self.number < 2 or self.shots < 1 or self.queries < 1:
            raise ValueError(f"expected at least 2 ways and episodes, and 1 shot and query, got {self}")


class FewShot(Metric):
    """The accuracy of few-shot classification, by nearest codes and by prototypes, over random episodes.

    Classes take part that have enough members for `shots` and `queries`. What has the label -1 takes no part.

    Args:
        episodes: options of the episodes.
        manifold: where codes lie; flat space unless given.
        level: probability that an interval covers.
        distance: what is near; that of the manifold unless given.

    Raises:
        ValueError: the level is not in (0, 1).

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    codes: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self,
        episodes: Episodes = Episodes(ways=2),
        manifold: Manifold | None = None,
        level: float = 0.95,
        distance: CodeDistance | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < level < 1:
            raise ValueError(f"expected a level in (0, 1), got {level}")
        self.episodes, self.level = episodes, level
        self.manifold, self.distance = Euclidean() if manifold is None else manifold, distance
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, label: Tensor) -> None:
        """Add codes (B, d) with integer labels (B,).

        Raises:
            ValueError: shapes do not fit, or labels are no integers.

        """
        if codes.ndim != 2 or label.shape != codes.shape[:1] or label.is_floating_point():
            raise ValueError(
                f"expected codes (B, d) and integer labels (B,), got {tuple(codes.shape)} and {tuple(label.shape)} of "
                f"{label.dtype}"
            )
        self.codes.append(codes.detach())
        self.labels.append(label.detach().to(torch.int64))

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return for "prototype" and "nearest" the `value`, the ends `low` and `high`, and `chance`.

        Under "classes", "left_out" counts classes with too few members, and "value" all others.

        Raises:
            ValueError: fewer classes than `ways` have enough members, or a code is not finite.

        """
        codes, labels = dim_zero_cat(self.codes).double(), dim_zero_cat(self.labels)
        if not bool(codes.isfinite().all()):
            raise ValueError(f"expected finite codes, got {int((~codes.isfinite().all(-1)).sum())} that are not")
        one, classes = self.episodes, labels[labels >= 0].unique()
        members = [(labels == value).nonzero()[:, 0] for value in classes]
        enough = [rows for rows in members if len(rows) >= one.shots + one.queries]
        if len(enough) < one.ways:
            raise ValueError(
                f"expected {one.ways} classes with at least {one.shots} + {one.queries} members for {one.shots}-shot "
                f"episodes, got {len(enough)} of {len(members)} classes"
            )
        found: dict[str, list[Tensor]] = {"prototype": [], "nearest": []}
        for support, queries in _drawn(enough, one):
            for rule, parts in found.items():
                parts.append(episode_accuracy(codes[support], codes[queries], self.manifold, rule, self.distance))
        z, chance = NormalDist().inv_cdf((1 + self.level) / 2), torch.tensor(1 / one.ways, dtype=torch.float64)
        scores = {}
        for rule, parts in found.items():
            each = torch.cat(parts)
            mean, half = each.mean(), z * each.std() / one.number**0.5
            scores[rule] = {"value": mean, "low": mean - half, "high": mean + half, "chance": chance}
        counts = {"value": torch.tensor(len(enough)), "left_out": torch.tensor(len(members) - len(enough))}
        return {**scores, "classes": counts}


def episode_accuracy(
    support: Tensor, queries: Tensor, manifold: Manifold, rule: str = "nearest", distance: CodeDistance | None = None
) -> Tensor:
    """Return the share of queries whose class is found, float64 (E,).

    Args:
        support: known codes (E, N, k, d) of N classes, float64.
        queries: codes (E, N, q, d) of the same classes in the same order.
        manifold: where codes lie.
        rule: "nearest" or "prototype".
        distance: what is near; that of the manifold unless given.

    Raises:
        ValueError: there is no such rule.

    """
    if rule not in ("nearest", "prototype"):
        raise ValueError(f'expected rule "nearest" or "prototype", got {rule!r}')
    distance = distance_on(manifold) if distance is None else distance
    e, n, k, d = support.shape
    a, b = distance.features(queries.reshape(-1, d)), distance.features(support.reshape(-1, d))
    a, b = a.reshape(e, n, -1, a.shape[-1]), b.reshape(e, n, k, b.shape[-1])
    if rule == "prototype":
        b = _prototypes(support, b, manifold, distance)
    pairs = torch.broadcast_tensors(a[:, :, :, None, None], b[:, None, None])
    apart = distance.between(*(part.contiguous() for part in pairs)).amin(-1)
    ahead = apart == apart.amin(-1, keepdim=True)
    own = ahead.diagonal(dim1=1, dim2=3).transpose(1, 2)
    return (own / ahead.sum(-1)).double().mean((1, 2))


def _prototypes(support: Tensor, features: Tensor, manifold: Manifold, distance: CodeDistance) -> Tensor:
    """Return the features (E, N, 1, p) of the prototypes of classes."""
    if isinstance(distance, ChordDistance) and not isinstance(distance, HyperbolicDistance):
        mean = features.mean(2, keepdim=True)
        if isinstance(distance, EuclideanDistance):
            return mean
        length = torch.linalg.vector_norm(mean, dim=-1, keepdim=True)
        return torch.where(length > 0, mean / length.clamp(min=torch.finfo(mean.dtype).tiny), features[:, :, :1])
    manifold.check_continuous()
    z = support[:, :, :1]
    for _ in range(STEPS):
        z = manifold.exp(z, manifold.log(z.expand_as(support), support).mean(2, keepdim=True))
    flat = distance.features(z.reshape(-1, z.shape[-1]))
    return flat.reshape(*z.shape[:3], -1)


def _drawn(members: list[Tensor], one: Episodes) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield positions of known codes (E, N, k) and of queries (E, N, q), for some episodes at a time."""
    generator = torch.Generator().manual_seed(one.seed)
    table = torch.nn.utils.rnn.pad_sequence([rows.cpu() for rows in members], batch_first=True, padding_value=-1)
    per = max(1, ENTRIES // (one.ways * table.shape[1]))
    for part in torch.arange(one.number).split(per):
        chosen = torch.rand(len(part), len(members), generator=generator).argsort(1)[:, : one.ways]
        rows = table[chosen]
        order = torch.rand(rows.shape, generator=generator).masked_fill_(rows < 0, 2.0)
        taken = rows.gather(2, order.topk(one.shots + one.queries, dim=2, largest=False, sorted=True).indices)
        taken = taken.to(members[0].device)
        yield taken[..., : one.shots], taken[..., one.shots :]
