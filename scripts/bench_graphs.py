"""Random walks on networks: steps per second, and DeepWalk beside gensim's Word2Vec (extra `words`) on the same walks.

Walks go by two threads on a network of 100,000 nodes and a million links, for parameters at which proposals are often
rejected as well; the bound is a million steps per second. DeepWalk trains vectors of 64 numbers on the walks of a
smaller network of known communities, lsgen through its trainer by one thread, which draws the walks as it goes, and
gensim by one worker on the same walks, drawn before. A row has the ratio of the nodes trained per second, and beside it
the AUC of links that were held out, by cosines.
"""

from __future__ import annotations

import logging
import os
import resource
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gensim.models import Word2Vec as Gensim
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from sklearn.metrics import roc_auc_score

from lsgen.callbacks import Seeding
from lsgen.data import StochasticBlocks, Walks
from lsgen.data.graphs.walk_kernel import links_of, walk
from lsgen.latent.graphs import Graph
from lsgen.models.embedding import ContextWindows, NegativeSampling, Word2Vec
from lsgen.models.schedules import Linear

NODES, LINKS, WALKS, LENGTH, THREADS, BOUND = 100_000, 1_000_000, 20_000, 80, 2, 1e6
PARAMETERS = ((1.0, 1.0), (0.25, 4.0), (4.0, 0.25))
DIM, WINDOW, PER_NODE, BATCH, RATES = 64, 5, 5, 64, (0.025, 1e-4)


def rows() -> list[dict[str, Any]]:
    """Walk, then train in turn."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    ends = rng.integers(NODES, size=(LINKS, 2))
    plain = Graph.of(ends, NODES, duplicates="first", loops="drop")
    weighted = Graph.of(plain.edges, NODES, weights=rng.exponential(size=len(plain)) + 0.1)
    found = [_walked(graph, p, q) for graph in (plain, weighted) for p, q in PARAMETERS]
    return [*found, _trained()]


def _walked(graph: Graph, p: float, q: float) -> dict[str, Any]:
    """Return how many steps two threads make per second."""
    links, parts = links_of(graph), np.array_split(np.arange(WALKS), THREADS)
    go = partial(walk, links, key=1, biases=(1 / p, 1 / q), length=LENGTH)
    go(parts[0][:2], parts[0][:2])  # compiled once
    begin = perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        walks = list(pool.map(go, parts, parts))
    speed = sum(int((part >= 0).sum()) for part in walks) / (perf_counter() - begin)
    return {
        "work": f"walks on {graph}, p = {p:g}, q = {q:g}",
        "bound_or_peer": "10^6 steps/s on 2 cores",
        "ratio": speed / BOUND,
        "target": ">= 1",
        "met": speed >= BOUND,
        "note": f"{speed / 1e6:.2f} M steps/s by {THREADS} threads, {os.cpu_count()} cores",
    }


def _trained() -> dict[str, Any]:
    """Compare DeepWalk by lsgen and by gensim."""
    options = {"length": LENGTH // 2, "per_node": PER_NODE}
    data = Walks(graph=StochasticBlocks((200,) * 20, 0.06, 5e-4), walk=options, batch_size=BATCH)
    data.setup("fit")
    _by_lsgen(data, 4)
    ours, theirs = _by_lsgen(data), _by_gensim(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "work": f"DeepWalk of {data.graph}, {PER_NODE} walks of {LENGTH // 2} from each, d = {DIM}",
        "bound_or_peer": "gensim, 1 worker",
        "ratio": ours[0] / theirs[0],
        "target": ">= 0.7, as good",
        "met": ours[0] >= 0.7 * theirs[0] and ours[1] >= theirs[1] - 0.01,
        "note": f"{ours[0] / 1e3:.0f} and {theirs[0] / 1e3:.0f} k nodes/s, AUC {ours[1]:.3f} and {theirs[1]:.3f}; "
        f"peak {peak:.1f} GiB",
    }


def _by_lsgen(data: Walks, most: int | None = None) -> tuple[float, float]:
    """Return nodes per second, and the AUC of links that were held out."""
    steps = len(data.train_dataloader()) if most is None else most
    torch.manual_seed(0)
    decoder, windows = NegativeSampling(data.nodes, DIM), ContextWindows(WINDOW, subsample=None)
    model = Word2Vec(decoder, windows, rate=Linear(*RATES, steps), max_steps=steps)
    trainer = Trainer(max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False, limit_val_batches=0,
                      enable_progress_bar=False, enable_model_summary=False, callbacks=[Seeding(0)])  # fmt: skip
    begin = perf_counter()
    trainer.fit(model, data)
    speed = int(data.counts.sum()) / (perf_counter() - begin)
    return speed, _auc(data, np.asarray(model.latent_space.items().z))


def _by_gensim(data: Walks) -> tuple[float, float]:
    """Return the same of gensim, on the walks of the first epoch."""
    split = data.dataset("train")
    walks = [[str(node) for node in row if node >= 0] for row in split[torch.arange(len(split))]["x"].tolist()]
    model = Gensim(vector_size=DIM, window=WINDOW, negative=5, sg=1, hs=0, sample=0, min_count=1, workers=1,
                   alpha=RATES[0], min_alpha=RATES[1], epochs=1, seed=0)  # fmt: skip
    model.build_vocab(walks)
    begin = perf_counter()
    model.train(walks, total_examples=len(walks), epochs=1)
    speed = sum(map(len, walks)) / (perf_counter() - begin)
    vectors = np.zeros((data.nodes, DIM))
    for node in range(data.nodes):
        if str(node) in model.wv:
            vectors[node] = model.wv[str(node)]
    return speed, _auc(data, vectors)


def _auc(data: Walks, z: NDArray[Any]) -> float:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True).clip(min=1e-12)
    held = data.held_out("test")
    scores = [(unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(1) for pairs in (held.positive, held.negative)]
    return float(roc_auc_score(np.repeat([1, 0], [len(part) for part in scores]), np.concatenate(scores)))
