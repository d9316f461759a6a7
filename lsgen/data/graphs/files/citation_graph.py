"""Cora and Citeseer: papers, the citations between them, and which words each has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from lsgen.data.files import data_root, reading, require
from lsgen.latent.graphs import Graph

__all__ = ["CitationGraph"]

NAMES = ("cora", "citeseer")


@dataclass(frozen=True)
class CitationGraph:
    """A network of papers, undirected: Cora with 2,708 papers and 5,278 links, Citeseer with 3,327 and 4,552.

    Features say which of 1,433 or 3,703 words a paper has. The file is graphs/NAME.npz below the root, with edges
    (E, 2) and the features as sparse rows: indptr, indices, data and shape. It has no labels.

    Attributes:
        name: "cora" or "citeseer".
        root: directory of data sets; what LSGEN_DATA_DIR says, else "data", where it is None.

    Raises:
        ValueError: there is no such network.

    Reference: Sen et al., "Collective classification in network data" (2008); in the form of Kipf & Welling,
    "Variational graph auto-encoders" (2016), https://arxiv.org/abs/1611.07308.
    """

    name: str = "cora"
    root: str | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"expected data.graph.name to be {' or '.join(NAMES)}, got {self.name!r}")

    def graph(self) -> Graph:
        """Return the network.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is damaged.

        """
        file = self._file()
        with reading(self.name, file), np.load(file) as arrays:
            return Graph.of(arrays["edges"], int(arrays["shape"][0]))

    def features(self) -> Any:
        """Return the words of papers, a sparse array of scipy in rows (N, F), in single precision.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is damaged.

        """
        file = self._file()
        with reading(self.name, file), np.load(file) as arrays:
            parts = arrays["data"].astype(np.float32), arrays["indices"], arrays["indptr"]
            return csr_array(parts, shape=tuple(arrays["shape"].tolist()))

    def _file(self) -> Path:
        file = data_root(self.root) / "graphs" / f"{self.name}.npz"
        require(self.name, [file], "make it from the arrays of github.com/tkipf/gae, gae/data")
        return file
