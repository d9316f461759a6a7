"""The words of text: from the data to the likelihoods of a model, which keep them with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsgen.likelihoods.base import Likelihood
from lsgen.likelihoods.products import ProductLikelihood
from lsgen.likelihoods.text.base import TextLikelihood

__all__ = ["name_words"]


def name_words(likelihood: Likelihood, data: Any) -> None:
    """Tell a likelihood of text, or those among its parts, which words the data have.

    Args:
        likelihood: any likelihood; one without text is left as it is.
        data: a data module, whose `vocabularies` are by the name of the part; one of a single kind of text has one.

    Raises:
        ValueError: the words are not those that the likelihood has, or not as many.

    """
    known = getattr(data, "vocabularies", None)
    if not isinstance(known, Mapping):
        return
    if isinstance(likelihood, TextLikelihood) and len(known) == 1:
        likelihood.name(next(iter(known.values())).words)
    elif isinstance(likelihood, ProductLikelihood):
        for name, part in likelihood.parts.items():
            if isinstance(part, TextLikelihood) and name in known:
                part.name(known[name].words)
