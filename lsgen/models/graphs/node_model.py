"""Models of the nodes of a network, which comes from the data and stays with the model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent.columns import packed, unpacked
from lsgen.latent.graphs import Graph
from lsgen.models.base import LatentModel
from lsgen.models.contract import Contract, PlainNumbers
from lsgen.models.graphs.space import LinkSpace

__all__ = ["NodeModel"]


class NodeModel(LatentModel):
    """Abstract model with a `LinkSpace`.

    The network, what its nodes are called and what is known of them are taken from `graph` of the data module, that of
    the links of training, and are in the checkpoint; without one there are no links, and nodes are numbers.

    Raises:
        ValueError: when training starts, the network has other nodes, or is of a kind that the model cannot learn; a
            checkpoint has another number of nodes.

    """

    precisions: ClassVar[tuple[str, ...]] = ("32-true", "64-true")
    bounds_evidence: ClassVar[bool] = False
    row: int = 2  # numbers of nodes in an observation: 2 of links, 1 of nodes
    latent_space: LinkSpace
    _known = False

    def contract(self) -> Contract:
        """Return the requirements on a batch: numbers of nodes."""
        name, nodes = type(self).__name__, self.latent_space.decoder.nodes
        return Contract(name, PlainNumbers(name, (self.row,), high=nodes - 1))

    def setup(self, stage: str) -> None:
        """Take the network of training from the data module.

        Raises:
            ValueError: it has other nodes than the model was trained with, or is none that it can learn.

        """
        graph = getattr(getattr(self.trainer, "datamodule", None), "graph", None)
        if not isinstance(graph, Graph):
            return
        if self._known and graph.names != self.latent_space.names:
            raise ValueError(
                f"expected the network that the model was trained with, of {len(self.latent_space.names)} nodes, got "
                "one of other nodes"
            )
        self.learn(graph)

    def learn(self, graph: Graph) -> None:
        """Store the network and what follows from it; subclasses add what they need, on the device of the model.

        Raises:
            ValueError: it has another number of nodes, or is none that the model can learn.

        """
        self.latent_space.take(graph)
        self._known = True

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (..., d) of nodes, whole numbers (...)."""
        return self.latent_space.table()[x]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks and the network."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["graph"] = _packed(self.latent_space.graph) if self._known else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks and the network.

        Raises:
            ValueError: the checkpoint is that of another model, or of another number of nodes.

        """
        super().on_load_checkpoint(checkpoint)
        if "graph" not in checkpoint:
            raise ValueError(f"{type(self).__name__} expected a checkpoint of a network, got one without 'graph'")
        if checkpoint["graph"] is not None:
            self.learn(_unpacked(checkpoint["graph"]))


def _packed(graph: Graph) -> dict[str, Any]:
    """Return a network as tensors, numbers and text."""
    parts = {name: getattr(graph, name) for name in ("edges", "nodes", "directed", "weights", "times", "signed")}
    columns = {name: _plain(values) for name, values in graph.columns.items()}
    return {**parts, "names": list(graph.names), "columns": columns}


def _unpacked(parts: dict[str, Any]) -> Graph:
    columns = {
        name: unpacked({key: np.frombuffer(data.numpy().tobytes(), kind) for key, (kind, data) in arrays.items()})
        for name, arrays in parts["columns"].items()
    }
    return Graph.of(**{**parts, "columns": columns})


def _plain(values: NDArray[Any]) -> dict[str, tuple[str, Tensor]]:
    """Return the types of the arrays that a column is kept by, and their bytes."""
    return {
        key: (array.dtype.str, torch.tensor(np.frombuffer(array.tobytes(), np.uint8)))
        for key, array in packed(values).items()
    }
