"""The hypernyms of nouns in WordNet: which kind of thing everything is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsgen.data.files import reading, require
from lsgen.latent.graphs import Graph

__all__ = ["WordNetHypernyms"]

_FOLDER = "/usr/share/wordnet"  # where Debian puts it
_ABOVE = ("@", "@i")  # hypernym, and hypernym of an instance


@dataclass(frozen=True)
class WordNetHypernyms:
    """Nouns of WordNet with links to what they are a kind of, to all of that, or to the next only.

    Nodes are synsets, called by their first word and its sense such as "dog.n.01": of WordNet 3.0 82,115 nouns
    with 743,241 links, and 1,182 mammals with 6,542, all of them directed; the column "level" has the least number of
    steps to a synset without a hypernym, or to the root.

    Attributes:
        root: the synset whose hyponyms are taken, and itself, such as "mammal.n.01"; None for all nouns.
        closure: whether links lead to all hypernyms, near and far, else to the next.
        path: directory with `data.noun` and `index.noun` of WordNet 3; Debian's package wordnet-base has them in
            /usr/share/wordnet.

    Raises:
        ValueError: there is no such synset; a file is damaged.
        FileNotFoundError: a file is missing.

    Reference: Miller, "WordNet: a lexical database for English" (1995); Nickel & Kiela, "Poincare embeddings for
    learning hierarchical representations" (2017), section 4.1, for the closure.
    """

    root: str | None = None
    closure: bool = True
    path: str = _FOLDER

    def graph(self) -> Graph:
        """Return the network.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: there is no such synset, or a file is damaged.

        """
        files = [Path(self.path) / name for name in ("data.noun", "index.noun")]
        require("WordNet", files, "install Debian's wordnet-base, or say where they are by data.graph.path")
        with reading("WordNet", files[0]):
            parents = dict(_synsets(files[0]))
        with reading("WordNet", files[1]):
            names = _names(files[1], {offset: word for offset, (word, _) in parents.items()})
        above = {names[offset]: [names[one] for one in over] for offset, (_, over) in parents.items()}
        if self.root is not None and self.root not in above:
            raise ValueError(f"expected data.graph.root to be a noun such as 'mammal.n.01', got {self.root!r}")
        return _network(above, self.root, self.closure)


def _synsets(file: Path) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield the offset of each synset with its first word and the offsets of its next hypernyms."""
    with file.open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            first = 4 + 2 * int(fields[3], 16)
            pointers = fields[first + 1 : first + 1 + 4 * int(fields[first])]
            over = [offset for kind, offset in zip(pointers[::4], pointers[1::4], strict=True) if kind in _ABOVE]
            yield fields[0], (fields[4].lower(), over)


def _names(file: Path, words: dict[str, str]) -> dict[str, str]:
    """Return the name of each offset: its first word, with the number of the sense that it has among those of it."""
    senses = {}
    with file.open(encoding="ascii") as lines:
        for line in lines:
            if not line.startswith("  "):
                word, _, count, *_ = fields = line.split()
                senses[word] = fields[-int(count) :]
    return {offset: f"{word}.n.{senses[word].index(offset) + 1:02d}" for offset, word in words.items()}


def _network(above: dict[str, list[str]], root: str | None, closure: bool) -> Graph:
    """Return the network of the synsets below a root, or of all of them."""
    chosen = list(above) if root is None else _below(root, above)
    number = {name: i for i, name in enumerate(chosen)}
    over: dict[str, dict[str, int]] = {}

    def hypernyms(name: str) -> dict[str, int]:
        """Return all hypernyms among the chosen ones, each with the least number of steps to it."""
        if name not in over:
            found: dict[str, int] = {}
            for parent in above[name]:
                if parent in number:
                    for far, steps in {parent: 0, **hypernyms(parent)}.items():
                        found[far] = min(steps + 1, found.get(far, steps + 1))
            over[name] = found
        return over[name]

    links = [(number[name], number[far]) for name in chosen for far in (hypernyms(name) if closure else above[name])
             if far in number]  # fmt: skip
    level = [min((steps for far, steps in hypernyms(name).items() if not over[far]), default=0) for name in chosen]
    edges = np.array(links, dtype=np.int64).reshape(-1, 2)
    return Graph.of(edges, len(chosen), directed=True, names=chosen, columns={"level": np.array(level)})


def _below(root: str, above: dict[str, list[str]]) -> list[str]:
    """Return a synset and all that are a kind of it, in the order of the file."""
    below: dict[str, list[str]] = {}
    for name, parents in above.items():
        for parent in parents:
            below.setdefault(parent, []).append(name)
    seen, ahead = {root}, [root]
    while ahead:
        new = [name for name in below.get(ahead.pop(), []) if name not in seen]
        seen.update(new)
        ahead += new
    return [name for name in above if name in seen]
