r"""The space of an encoder with views: each modality has an encoder of its own into one unit sphere.

    u_i = f_i(x_i) / |f_i(x_i)|,    z = sum_i u_i / |sum_i u_i|

u_i is the code of view i of an observation, and z, the mean direction of its views, that of the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.latent.manifolds.manifold import Sphere
from lsgen.latent.space import FeatureSpace
from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["ViewSpace"]


class ViewSpace(FeatureSpace):
    """A space of unit codes with an encoder for each of several views of an observation.

    Args:
        encoders: by the name of the view, observations (N, *shape) of it -> raw outputs (N, d).
        packing: names, shapes and places of the views in an observation (D,), of the same names.
        dim: the dimension d.

    Attributes:
        packing: where the views lie in an observation.

    Raises:
        ValueError: there are fewer than two views, the packing has others, or an encoder has another dimension.

    """

    def __init__(self, encoders: Mapping[str, nn.Module], packing: Packing, dim: int) -> None:
        if len(packing) < 2 or set(encoders) != set(packing.names):
            raise ValueError(
                f"expected encoders of two views or more, those of the data, {', '.join(packing.names)}, got "
                f"{', '.join(encoders) or 'none'}"
            )
        manifold = Sphere()
        views = {name: FeatureSpace(encoders[name], dim, manifold, packing.shapes[name]) for name in packing.names}
        super().__init__(_Together(views, packing), dim, manifold, (packing.dimensions,))
        self.packing = packing
        self._vocabularies: dict[str, Vocabulary] = {}

    @property
    def views(self) -> Mapping[str, FeatureSpace]:
        """The space of each view, by name."""
        assert isinstance(self.encoder, _Together)
        return {name: view for name, view in self.encoder.views.items() if isinstance(view, FeatureSpace)}

    @property
    def vocabularies(self) -> Mapping[str, Vocabulary]:
        """The words of the views that are sentences, by name; none before `name_words`."""
        return dict(self._vocabularies)

    def codes(self, x: Tensor) -> dict[str, Tensor]:
        """Return the unit codes (N, d) of the views of observations (N, D), by name."""
        parts = self.packing.unpack(x)
        return {name: view.encode(parts[name]).mean for name, view in self.views.items()}

    def encode_texts(self, texts: Sequence[str], view: str | None = None) -> Tensor:
        """Return the unit codes (N, d) of sentences.

        Args:
            texts: N sentences of words of the vocabulary.
            view: the view they are of; can be left out where one view alone is of sentences.

        Raises:
            ValueError: there is no sentence, no such view, or one that is not of sentences; see `Vocabulary.encode`.

        """
        known = list(self._vocabularies)
        if isinstance(texts, str) or not texts:
            raise ValueError(f"expected a list of at least one sentence, got {texts!r}")
        name = known[0] if view is None and len(known) == 1 else view
        if name not in self._vocabularies:
            got = "none" if name is None else repr(name)
            raise ValueError(f"expected a view of sentences out of {', '.join(known) or 'none at all'}, got {got}")
        rows = self._vocabularies[name].encode(texts, self.packing.shapes[name][0])
        like = next(self.parameters())
        codes: Tensor = self.views[name].encode(rows.to(like.device, like.dtype)).mean
        return codes

    def name_words(self, vocabularies: Mapping[str, Vocabulary]) -> None:
        """Say of which words views are sentences; they are kept with the weights.

        Args:
            vocabularies: by the name of the view.

        Raises:
            ValueError: there is no such view, or it was named with other words before.

        """
        for name, vocabulary in vocabularies.items():
            shape = self.packing.shapes[self.packing.names[self.packing.place(name)]]
            if len(shape) != 1:
                raise ValueError(f"expected a view of sentences (L,), got {name!r} of {shape}")
            before = self._vocabularies.get(name, vocabulary)
            if before.words != vocabulary.words:
                raise ValueError(
                    f"expected the vocabulary of {name!r} that the model has learned, of {before.size} words, got "
                    f"another, of {vocabulary.size}"
                )
        self._vocabularies.update(vocabularies)

    def get_extra_state(self) -> dict[str, dict[str, Any]]:
        """Return the vocabularies, to be saved with the weights."""
        return {name: asdict(vocabulary) for name, vocabulary in self._vocabularies.items()}

    def set_extra_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take over saved vocabularies.

        Raises:
            ValueError: see `name_words`.

        """
        self.name_words({name: Vocabulary(**saved) for name, saved in state.items()})


class _Together(nn.Module):
    """Observations (N, D) -> the sum (N, d) of the unit codes of their views."""

    def __init__(self, views: Mapping[str, FeatureSpace], packing: Packing) -> None:
        super().__init__()
        self.views, self.packing = nn.ModuleDict(views), packing

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        parts = self.packing.unpack(x)
        views = {name: view for name, view in self.views.items() if isinstance(view, FeatureSpace)}
        return torch.stack([view.encode(parts[name]).mean for name, view in views.items()]).sum(0)
