r"""Base class of data sets whose observations have several modalities, packed into one vector, some of them missing.

Modality i is missing from a training observation with the probability p_i that is stated, independently of what it
shows. Which modalities S are missing has the distribution of the largest entropy with these shares that leaves at
least one,

    P(S) = prod_{i in S} o_i / (prod_j (1 + o_j) - prod_j o_j),    S not all of them,    P(i in S) = p_i ,

whose odds o_i are found by iterative proportional fitting. It exists if sum_i p_i < M - 1 for M modalities that can
all be missing; where some never are, the others are independent.

Reference: Deming & Stephan, "On a least squares adjustment of a sampled frequency table when the expected marginal
totals are known" (1940), for the fitting.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import groupby, product
from types import MappingProxyType

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Source
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.encodings import AsStored, Encoding, Values
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.transforms import BatchTransform
from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["MissingModalities", "MultimodalData", "PackedEncoding"]

_ROUNDS, _CLOSE = 10_000, 1e-12  # of the fitting of the odds


class MultimodalData(DataModule, ABC):
    """Abstract data set of observations (D,), every modality flattened, side by side in the order of their names.

    A source gives "x" packed as well, of the stored values. With `missing` training batches have "present", bool
    (B, M), and zeros in "x" for what is missing; which modalities an observation lacks depends on the seed of the
    splits alone. Validation and test observations are whole.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: shapes of the modalities that the configuration states; None for those of the data.
        provides: the shapes that the data have, by the name of the modality, in order.
        missing: share of the training observations that lack a modality, by its name; at least one modality stays.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.
        encodings: stored values -> x of modalities, by name; the others are as they are stored.

    Attributes:
        shapes: shapes of the modalities by name.
        packing: where they lie in x.
        vocabularies: the words of those that are sentences, by name.
        vocabulary_size: number of words of the sentences, the end included; only where a modality is sentences.

    Raises:
        ValueError: shape or shapes are not what the data have, a share is out of range or of no modality, or no
            modality would stay; batch_size or seed is out of range.

    """

    vocabularies: Mapping[str, Vocabulary] = MappingProxyType({})
    vocabulary_size: int

    def __init__(
        self,
        shape: Sequence[int] | None,
        shapes: Mapping[str, Sequence[int]] | None,
        provides: Mapping[str, Sequence[int]],
        missing: Mapping[str, float] | None,
        batch_size: int,
        seed: int,
        loading: Loading,
        encodings: Mapping[str, Encoding] | None = None,
    ) -> None:
        self.packing = Packing(provides)
        self.shapes: dict[str, tuple[int, ...]] = dict(self.packing.shapes)
        encoding = PackedEncoding(self.packing, encodings or {})
        super().__init__(shape, (self.packing.dimensions,), encoding, batch_size, seed, loading)
        stated = self.shapes if shapes is None else {name: tuple(map(int, own)) for name, own in shapes.items()}
        if list(stated.items()) != list(self.shapes.items()):
            raise ValueError(f"expected shapes {self.shapes}, which {self._name} provides, got {stated}")
        self.missing = {name: share for name, share in (missing or {}).items() if share}
        self._gaps = MissingModalities(self.packing, self.missing, self.split_seed) if self.missing else None
        if self._gaps is not None and loading.neighbours is not None:
            raise ValueError(
                "expected no data.loading.neighbours with data.missing, as neighbours are whole observations"
            )

    def take_words(self, name: str, vocabulary: Vocabulary, stated: int | None) -> None:
        """Take over the words of the only modality that is sentences.

        Args:
            name: of the modality.
            vocabulary: the words.
            stated: their number, as the configuration states it; None for as many as there are.

        Raises:
            ValueError: there are more or fewer words than are stated.

        """
        if stated not in (None, vocabulary.size):
            raise ValueError(f"expected vocabulary_size {vocabulary.size}, got {stated}")
        self.vocabularies, self.vocabulary_size = {name: vocabulary}, vocabulary.size

    def subset(
        self,
        source: Source,
        rows: Tensor,
        split: Split,
        flip: bool = False,
        part: int = 0,
        transforms: Sequence[BatchTransform] = (),
    ) -> BatchDataset:
        """Return some rows of a source as a split; those of training lack modalities if that is asked for."""
        lacking = () if self._gaps is None or split != "train" else (self._gaps,)
        return super().subset(source, rows, split, flip, part, (*transforms, *lacking))


class PackedEncoding(Encoding):
    """Encodings of modalities that lie side by side in one vector.

    Args:
        packing: where they lie.
        encodings: those of modalities by name; the others are continuous numbers, as they are. Neighbours that share
            one are encoded together, as rows of numbers.

    Raises:
        ValueError: there is no such modality.

    """

    def __init__(self, packing: Packing, encodings: Mapping[str, Encoding]) -> None:
        if unknown := [name for name in encodings if name not in packing.names]:
            raise ValueError(f"expected encodings of {', '.join(packing.names)}, got one of {unknown[0]!r}")
        self.packing = packing
        as_stored = AsStored(None)
        self.encodings = {name: encodings.get(name, as_stored) for name in packing.names}
        kinds = {encoding.values for encoding in self.encodings.values()}
        self.values = kinds.pop() if len(kinds) == 1 else Values(None)
        self.redrawn = any(encoding.redrawn for encoding in self.encodings.values())

    def __call__(self, stored: Tensor, uniform: Callable[[int], Tensor]) -> Tensor:
        """Return x (B, D) of stored values (B, D)."""
        drawn = cache(lambda: uniform(self.packing.dimensions))
        parts = []
        for encoding, group in groupby(self.packing.names, key=self.encodings.__getitem__):
            names = list(group)
            columns = slice(self.packing.slices[names[0]].start, self.packing.slices[names[-1]].stop)
            own = stored[:, columns].clone()
            shaped = own.unflatten(1, self.packing.shapes[names[0]]) if len(names) == 1 else own
            parts.append(encoding(shaped, partial(_columns, drawn, columns)).flatten(1))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


class MissingModalities:
    """Adds "present", boolean (B, M), and sets what is missing to 0 in "x".

    Args:
        packing: where the modalities lie.
        shares: share of the observations that lack a modality, in (0, 1), by its name.
        seed: seed of the draws.

    Raises:
        ValueError: a share is out of range or of no modality, or no modality would stay.

    """

    def __init__(self, packing: Packing, shares: Mapping[str, float], seed: int) -> None:
        for name, share in shares.items():
            if name not in packing.names:
                raise ValueError(f"expected data.missing of {', '.join(packing.names)}, got one of {name!r}")
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"expected a share of missing observations in [0, 1) for {name!r}, got {share!r}")
        self.seed = seed
        wanted = torch.tensor([float(shares.get(name, 0.0)) for name in packing.names], dtype=torch.float64)
        if len(shares) == len(packing.names) and wanted.sum() >= len(wanted) - 1 - 1e-6:
            raise ValueError(
                f"expected shares of missing modalities with a sum below {len(wanted) - 1}, so that one stays in every "
                f"observation, got {dict(shares)}"
            )
        patterns = torch.tensor(list(product((False, True), repeat=len(wanted)))[:-1])
        odds = _odds(wanted, patterns)
        self.missing = patterns  # (P, M), every set of missing modalities
        self.cumulative = torch.where(patterns, odds, 1.0).prod(1).cumsum(0)
        self.cumulative = (self.cumulative / self.cumulative[-1]).to(torch.float32)
        sizes = torch.tensor([columns.stop - columns.start for columns in packing.slices.values()])
        self.owner = torch.arange(len(wanted)).repeat_interleave(sizes)  # (D,), the modality of every number

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Return the mask and the observations."""
        draws = uniform(key(self.seed, Purpose.MISSING), rows, 1)[:, 0]
        present = ~self.missing[torch.searchsorted(self.cumulative, draws, right=True)]
        return {"x": batch["x"].where(present[:, self.owner], 0), "present": present}


def _columns(drawn: Callable[[], Tensor], columns: slice, size: int) -> Tensor:
    return drawn()[:, columns].clone()


def _odds(shares: Tensor, patterns: Tensor) -> Tensor:
    """Return the odds (M,) with which each modality is in a set of missing ones, float64."""
    odds = shares / (1 - shares)
    for _ in range(_ROUNDS):
        weights = torch.where(patterns, odds, 1.0).prod(1)
        found = (weights[:, None] * patterns).sum(0) / weights.sum()
        if (found - shares).abs().max() < _CLOSE:
            break
        odds = torch.where(shares > 0, odds * (shares * (1 - found)) / ((1 - shares) * found), 0.0)
    return odds
