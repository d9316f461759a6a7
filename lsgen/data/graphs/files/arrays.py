"""Networks as arrays of numpy, .npz.

| array                        | shape  | what it holds                                            |
|------------------------------|--------|----------------------------------------------------------|
| edges                        | (E, 2) | numbers of the two ends of each link                     |
| weights, times               | (E,)   | of the links, as far as there are any                    |
| nodes, directed              | ()     | number of nodes; whether links have a direction          |
| names                        | (N,)   | what nodes are called                                    |
| indptr, indices, data, shape |        | features of nodes as the rows of a sparse matrix (N, F)  |
| any other                    | (N,)   | a column of metadata of nodes                            |

What `scipy.sparse.save_npz` writes is taken for the matrix of weights of links (N, N): with direction unless it is
symmetric, and without weights where all are 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lsgen.data.files import reading
from lsgen.data.graphs.files.found import ColumnChoice, FoundGraph, FoundNodes

__all__ = ["read_arrays"]

_ROWS = ("indptr", "indices", "data", "shape")


def read_arrays(path: Path, choice: ColumnChoice, directed: bool | None) -> FoundGraph:
    """Return the network of a file: see the module.

    Args:
        path: the file.
        choice: which arrays are the weights and times of links; "weights" and "times" by themselves.
        directed: whether the links of a matrix are to have a direction; None for what it says.

    Raises:
        ValueError: the file is damaged, there are no links, an array is none of those, or a matrix is to be symmetric
            and is not.

    """
    with reading("network", path), np.load(path) as arrays:
        matrix = sparse.load_npz(path) if "format" in arrays else None
        found = {} if matrix is not None else {name: arrays[name] for name in arrays.files}
    if matrix is None:
        return _of_arrays(found, choice, path)
    if choice.weight not in ("auto", None) or choice.time not in ("auto", None):
        raise ValueError(
            f"expected no data.graph.time, and data.graph.weight of auto or null, for the matrix of weights in {path}, "
            f"got {choice.time!r} and {choice.weight!r}"
        )
    return _of_matrix(sparse.csr_array(matrix), directed, choice.weight is not None, path)


def _of_matrix(matrix: Any, directed: bool | None, weighted: bool, path: Path) -> FoundGraph:
    rows, columns = matrix.shape
    if rows != columns:
        raise ValueError(f"expected a square matrix of links in {path}, got {matrix.shape}")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    differ = (matrix != matrix.T).nnz
    if directed is False and differ:
        raise ValueError(
            f"expected a symmetric matrix of links without direction in {path}, got {differ} entries apart"
        )
    found = matrix.tocoo()
    i, j, weights = found.row, found.col, found.data
    if not (directed or differ):
        i, j, weights = i[i <= j], j[i <= j], weights[i <= j]
    edges = np.stack([i, j], 1).astype(np.int64)
    return FoundGraph(
        edges,
        FoundNodes(_numbers(rows)),
        bool(directed or differ),
        weights if weighted and (weights != 1).any() else None,
    )


def _of_arrays(found: Mapping[str, NDArray[Any]], choice: ColumnChoice, path: Path) -> FoundGraph:
    rest = dict(found)
    edges = rest.pop("edges", None)
    if edges is None or edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        got = "none" if edges is None else f"{edges.dtype} {edges.shape}"
        raise ValueError(f"expected an array edges of whole numbers (E, 2) in {path}, got {got}")
    edges = edges.astype(np.int64)
    weights, times = (_given(rest, getattr(choice, one), one, path) for one in ("weight", "time"))
    features = _features(rest, path)
    names, directed = rest.pop("names", None), rest.pop("directed", None)
    said = [int(rest.pop("nodes"))] if "nodes" in rest else []
    said += [] if names is None else [len(names)]
    said += [] if features is None else [features.shape[0]]
    nodes = max([*said, int(edges.max(initial=-1)) + 1])
    if len(set(said)) > 1 or (said and nodes > said[0]):
        counts = f"{', '.join(map(str, said))} and ends up to {int(edges.max(initial=-1))}"
        raise ValueError(f"expected one number of nodes in {path}, above all ends of links, got {counts}")
    for name, values in {**rest, **({} if names is None else {"names": names})}.items():
        if values.shape != (nodes,):
            raise ValueError(
                f"expected a column of {nodes} nodes, ({nodes},), as {name!r} in {path}, got {values.shape}"
            )
    keys = _numbers(nodes) if names is None else names.astype(np.str_).tolist()
    return FoundGraph(
        edges,
        FoundNodes(keys, rest),
        None if directed is None else bool(directed),
        weights,
        times,
        features,
    )


def _given(arrays: dict[str, NDArray[Any]], chosen: str | int | None, option: str, path: Path) -> Any:
    """Take weights or times out of arrays."""
    if chosen is None or (chosen == "auto" and f"{option}s" not in arrays):
        arrays.pop(f"{option}s", None)
        return None
    name = f"{option}s" if chosen == "auto" else str(chosen)
    if name not in arrays:
        raise ValueError(f"expected data.graph.{option} to be an array of {path}, {', '.join(arrays)}, got {chosen!r}")
    return arrays.pop(name)


def _features(arrays: dict[str, NDArray[Any]], path: Path) -> Any:
    """Take the rows of features out of arrays."""
    if not any(name in arrays for name in _ROWS):
        return None
    if missing := [name for name in _ROWS if name not in arrays]:
        raise ValueError(f"expected features of nodes as {', '.join(_ROWS)} in {path}, got no {missing[0]}")
    indptr, indices, data, shape = (arrays.pop(name) for name in _ROWS)
    with reading("features", path):
        found = sparse.csr_array((data.astype(np.float32), indices, indptr), shape=tuple(shape.tolist()))
        found.check_format()
    return found


def _numbers(nodes: int) -> list[str]:
    return [str(node) for node in range(nodes)]
