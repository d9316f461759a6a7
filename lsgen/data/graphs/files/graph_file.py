"""Networks that are read from files."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from lsgen.data.files import reading
from lsgen.data.graphs.files.arrays import read_arrays
from lsgen.data.graphs.files.found import ColumnChoice, FoundGraph, unpacked
from lsgen.data.graphs.files.graph_ml import read_graph_ml
from lsgen.data.graphs.files.tables import read_link_table, read_node_table
from lsgen.latent.graphs import Duplicates, Graph, Loops

__all__ = ["GraphFile"]

TABLES, LISTS = (".csv", ".tsv"), (".txt", ".edges", ".edgelist")
SUFFIXES = (*TABLES, *LISTS, ".graphml", ".npz", ".zip")


@dataclass(frozen=True)
class GraphFile:
    """A network in a file, which its name tells the format of.

    - .csv, .tsv: a table of links, whose first line names its columns, among them source and target, and maybe weight
      and time; a table without names has numbers alone, or `source` and `target` are numbers of columns, from 1;
    - .txt, .edges, .edgelist: the two ends of a link in each line, parted by white space or commas; lines that begin
      with # or % and a space are comments;
    - .graphml: what it says of nodes are columns;
    - .npz: arrays of numpy, edges (E, 2) and more, see `lsgen.data.graphs.files.arrays`, or a sparse matrix of scipy;
    - .zip: an archive of netzschleuder, with edges.csv and nodes.csv.

    Text is in UTF-8 and may be packed, such as .csv.gz. Times are numbers, or dates such as 2008-05-01, in seconds.
    Nodes are numbered as they come, those of tables by value where all of their names are whole numbers.

    Attributes:
        path: the file.
        directed: whether links have a direction; None for what the file says, and for no where it says nothing.
        source: the column of the first ends, by name or number; "auto" for that called so.
        target: the column of the second ends, likewise.
        weight: the column of the weights; "auto" for that called so, where there is one; None for none.
        time: the column of the times, likewise.
        nodes_path: a table of all nodes, .csv, for a table of links: the first column has the names by which links call
            them, others are metadata; nodes are called by a column "name" or "label" that has another text for each.
        signed: whether weights may be negative.
        duplicates: what becomes of links that come again: "refuse", "first" for the first of them, or "add".
        loops: what becomes of links from a node to itself: "refuse" or "drop".

    Reference: Peixoto, "The Netzschleuder network catalogue and repository" (2020), https://networks.skewed.de.
    """

    path: str | Path
    directed: bool | None = None
    source: str | int = "auto"
    target: str | int = "auto"
    weight: str | int | None = "auto"
    time: str | int | None = "auto"
    nodes_path: str | Path | None = None
    signed: bool = False
    duplicates: Duplicates = "refuse"
    loops: Loops = "refuse"

    def graph(self) -> Graph:
        """Return the network.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged or of another kind, a column is missing, or what it says makes no network.

        """
        found = self._found()
        if not len(found.edges):
            raise ValueError(f"expected links in {self.path}, got none")
        if self.signed and found.weights is None:
            raise ValueError(f"expected weights of links in {self.path} for data.graph.signed=true, got none")
        names, columns = found.nodes.named()
        directed = bool(found.directed) if self.directed is None else self.directed
        if not directed and self.duplicates == "refuse":
            _refuse_opposites(found.edges, names, self.path)
        try:
            return Graph.of(
                found.edges,
                len(names),
                directed=directed,
                weights=found.weights,
                times=found.times,
                names=names,
                columns=columns,
                signed=self.signed,
                duplicates=self.duplicates,
                loops=self.loops,
            )
        except ValueError as error:
            raise ValueError(f"{error} (data.graph.path={self.path})") from error

    def features(self) -> Any:
        """Return the features of the nodes, a sparse array of scipy in rows (N, F); None where the file has none.

        Raises:
            FileNotFoundError, ValueError: as for the network.

        """
        return self._found().features if self._suffix() == ".npz" else None

    def _suffix(self) -> str:
        """Return how the name of the file ends, in small letters and without .gz."""
        whole = str(self.path).lower()
        name = whole.removesuffix(".gz")
        found = Path(name).suffix
        if found not in SUFFIXES or (name != whole and found in (".npz", ".zip")):
            known = ", ".join(SUFFIXES)
            raise ValueError(f"expected data.graph.path to end in {known}, or .gz behind text, got {str(self.path)!r}")
        return found

    def _found(self) -> FoundGraph:
        suffix, path = self._suffix(), _existing(str(self.path))
        choice = ColumnChoice(self.source, self.target, self.weight, self.time)
        if self.nodes_path is not None and suffix not in (*TABLES, *LISTS):
            raise ValueError(
                f"expected data.graph.nodes_path with a table of links alone, got "
                f"{str(self.nodes_path)!r} for {self.path}"
            )
        if suffix in (".graphml", ".npz") and not self.source == self.target == "auto":
            raise ValueError(
                f"expected data.graph.source and data.graph.target with a table of links alone, got {self.source!r} "
                f"and {self.target!r} for {self.path}"
            )
        if suffix == ".graphml":
            return read_graph_ml(path, choice)
        if suffix == ".npz":
            return read_arrays(path, choice, self.directed)
        links = partial(read_link_table, choice=choice, signed=self.signed)
        if suffix == ".zip":
            return _netzschleuder(path, links)
        nodes = None
        if self.nodes_path is not None:
            with _text(_existing(str(self.nodes_path))) as file:
                nodes = read_node_table(file, str(self.nodes_path))
        with _text(path) as file:
            return links(file, str(self.path), named=suffix in TABLES, nodes=nodes)


def _refuse_opposites(edges: NDArray[np.int64], names: Sequence[str], path: str | Path) -> None:
    """Refuse links without direction of which some come from either end and none comes twice from the same one."""
    codes = np.sort(edges, 1) @ [len(names), 1]
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    if len(first) == len(edges) or len(np.unique(edges @ [len(names), 1])) < len(edges):
        return
    pair = " and ".join(repr(names[node]) for node in edges[first[counts > 1][0]])
    raise ValueError(
        f"expected every link without direction once in {path}, got {len(edges) - len(first)} from either end, such as "
        f"that of {pair}: data.graph.directed=true tells them apart, data.graph.duplicates=first takes the first of "
        "them, add adds their weights"
    )


def _existing(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f"expected a network at {file}, found nothing"
            if not file.exists()
            else f"expected a file of a network, got the folder {file}"
        )
    return file


def _netzschleuder(path: Path, links: Any) -> FoundGraph:
    with reading("network", path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = {name.rpartition("/")[2]: name for name in archive.namelist()}
        if "edges.csv" not in members or "nodes.csv" not in members:
            raise ValueError(f"expected edges.csv and nodes.csv in {path}, got {', '.join(members) or 'nothing'}")
        with _text(path, archive.open(members["nodes.csv"])) as file:
            nodes = read_node_table(file, f"nodes.csv in {path}")
        with _text(path, archive.open(members["edges.csv"])) as file:
            found: FoundGraph = links(file, f"edges.csv in {path}", named=True, nodes=nodes)
            return found


@contextmanager
def _text(path: Path, content: Any = None) -> Iterator[TextIO]:
    """Give the text of a file, or of a member of an archive, and say in a sentence that it is none."""
    with content or unpacked(path) as raw:
        try:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise ValueError(f"expected text in UTF-8 in {path}, got another encoding") from error
        except (csv.Error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"expected the network in {path}, got what is cut short or damaged ({error})") from error
