"""Entries of the registry for the coherence of generated modalities, and for their pictures."""

from __future__ import annotations

from collections.abc import Iterator

from lsgen.runs.keys.entry import Entry, ends, figure

__all__ = ["MODALITIES"]

_SECTION = "modalities"


def _share(pattern: str, name: str, meaning: str, chance: bool = False, summary: bool = False) -> Iterator[Entry]:
    """Yield the entries of a share, of its 95 % interval and, where there is one, of the level of chance."""
    yield from ends(pattern, name, "", _SECTION)
    if chance:
        meant = "if the class of what is generated did not depend on anything"
        yield Entry(f"{pattern}_chance", f"{name} by chance", "", _SECTION, meaning=meant)
    yield Entry(pattern, name, "", _SECTION, meaning=meaning, better="higher", summary=summary)


# fmt: off
MODALITIES: tuple[Entry, ...] = (
    *_share("coherence/joint", "joint coherence", "share of draws from the prior whose modalities all show one class",
        chance=True, summary=True),
    *_share("coherence/from/{inputs}/to/{name}", "coherence {inputs} -> {name}",
        "share of generated modalities that show the class of their inputs"),
    *_share("coherence/reconstructed/{name}", "coherence of {name}, reconstructed",
        "share of reconstructions from all modalities that show their class"),
    *_share("coherence/class/{label}", "conditional coherence of class {label}",
        "share of generated modalities that show the class, over all numbers of inputs"),
    *_share("coherence/conditional_{inputs}", "conditional coherence, {inputs} given",
        "share of generated modalities that show the class of so many inputs, over all subsets", chance=True,
        summary=True),
    Entry("coherence/classifier/{name}", "classifier of {name}", "", _SECTION,
        meaning="accuracy on held-out data of the classifier that judges what is generated", better="higher"),
    Entry("coherence/linear_{inputs}", "linear classifier of codes, {inputs} given", "", _SECTION,
        meaning="accuracy of logistic regression of draws of the posterior of so many inputs", better="higher"),
    Entry("coherence/log_likelihood/{name}", "log-likelihood of {name}", "nats", _SECTION,
        meaning="per observation, given a draw from the posterior of all modalities", better="higher"),
    figure("cross_generation/completions", "Missing modalities, generated from others", _SECTION,
        "rows: what is given; the modalities of an observation stand side by side"),
)
# fmt: on
