"""Training skip-gram with negative sampling by lsgen and by gensim (extra `words`), in turn, within one process.

Both train vectors of 100 numbers with windows of 5, 5 negatives, the same subsampling and the same linear decay of the
rate on the same sentences of a known grammar, for as many passes: lsgen through its trainer, by one thread and by two,
gensim by two workers. A row has the ratio of the words trained per second, the best of the rounds of either, and beside
it the analogies that are solved and the rank correlation with the known similarities, whose spread over seeds is the
noise.
"""

from __future__ import annotations

import logging
import os
import statistics
import warnings
from collections.abc import Sequence
from functools import partial
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from gensim.models import Word2Vec as Gensim
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from scipy.stats import spearmanr

from lsgen.callbacks import Seeding
from lsgen.data import Corpus, Grammar
from lsgen.models.embedding import ContextWindows, NegativeSampling, Word2Vec
from lsgen.models.schedules import Linear

SENTENCES, DIM, PASSES, BATCH, ROUNDS, WORKERS = 40000, 100, 5, 32, 3, 2
THRESHOLD, RATES = 1e-3, (0.025, 1e-4)
PEER = f"gensim, {WORKERS} workers"


class Outcome(NamedTuple):
    """Words per second of wall time and of processor time, and what the vectors are good for."""

    speed: float
    per_cpu: float
    analogies: float
    similarity: float


def judged(words: Sequence[str], vectors: NDArray[Any], data: Corpus) -> tuple[float, float]:
    """Return the part of analogies solved by the cosine of b - a + c, inputs left out, and Spearman's correlation."""
    z = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {word: row for row, word in enumerate(words)}
    a, b, c, d = np.array([[place[word] for word in question[1:]] for question in data.questions]).T
    cosines = (z[b] - z[a] + z[c]) @ z.T
    for given in (a, b, c):
        cosines[np.arange(len(given)), given] = -np.inf
    found = [float(z[place[one]] @ z[place[other]]) for one, other, _ in data.similarities]
    known = [value for _, _, value in data.similarities]
    return float((cosines.argmax(1) == d).mean()), float(spearmanr(found, known)[0])


def by_lsgen(data: Corpus, seed: int, workers: int) -> Outcome:
    """Train with the trainer, seeded before every batch."""
    steps = PASSES * len(data.train_dataloader())
    torch.manual_seed(seed)
    decoder, windows = NegativeSampling(len(data.vocabulary), DIM), ContextWindows(subsample=THRESHOLD)
    model = Word2Vec(decoder, windows, rate=Linear(*RATES, steps), max_steps=steps, workers=workers)
    trainer = Trainer(max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False, limit_val_batches=0,
                      enable_progress_bar=False, enable_model_summary=False, callbacks=[Seeding(seed)])  # fmt: skip
    begin, cpu = perf_counter(), process_time()
    trainer.fit(model, data)
    wall, cpu = perf_counter() - begin, process_time() - cpu
    words = PASSES * int(data.counts.sum())
    return Outcome(words / wall, words / cpu, *judged(data.vocabulary, model.latent_space.items().z, data))


def by_gensim(data: Corpus, seed: int) -> Outcome:
    """Train with gensim's two workers, on the same sentences."""
    sentences = [[data.vocabulary[number] for number in document] for document in data.documents("train")]
    model = Gensim(vector_size=DIM, window=5, negative=5, sg=1, hs=0, sample=THRESHOLD, min_count=1, workers=WORKERS,
                   alpha=RATES[0], min_alpha=RATES[1], epochs=PASSES, seed=seed)  # fmt: skip
    model.build_vocab(sentences)
    begin, cpu = perf_counter(), process_time()
    model.train(sentences, total_examples=len(sentences), epochs=PASSES)
    wall, cpu = perf_counter() - begin, process_time() - cpu
    words = PASSES * int(data.counts.sum())
    vectors = np.stack([model.wv[word] for word in data.vocabulary])
    return Outcome(words / wall, words / cpu, *judged(data.vocabulary, vectors, data))


def rows() -> list[dict[str, Any]]:
    """Train in turn, and compare speed and quality."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    data = Corpus(example=Grammar(SENTENCES), batch_size=BATCH, val_size=0, test_size=0)
    by_lsgen(Corpus(example=Grammar(4000), batch_size=BATCH), 0, 1)  # compiled once
    kinds = {f"lsgen, {n} thread(s)": partial(by_lsgen, workers=n) for n in (1, WORKERS)} | {PEER: by_gensim}
    runs: dict[str, list[Outcome]] = {kind: [] for kind in kinds}
    for seed in range(ROUNDS):
        for kind, train in kinds.items():
            runs[kind].append(train(data, seed))
    return [_row(data, kind, runs[kind], runs[PEER]) for kind in kinds if kind != PEER]


def _row(data: Corpus, kind: str, ours: list[Outcome], theirs: list[Outcome]) -> dict[str, Any]:
    """Compare speed and quality."""
    speed = [max(run.speed for run in runs) for runs in (ours, theirs)]
    mean = {name: [statistics.fmean(getattr(run, name) for run in runs) for runs in (ours, theirs)]
            for name in ("per_cpu", "analogies", "similarity")}  # fmt: skip
    noise = {name: 2 * max(statistics.stdev(getattr(run, name) for run in runs) for runs in (ours, theirs))
             for name in ("analogies", "similarity")}  # fmt: skip
    as_good = all(mean[name][0] >= mean[name][1] - max(noise[name], 0.01) for name in noise)
    note = (
        f"{speed[0] / 1e3:.0f} and {speed[1] / 1e3:.0f} k words/s, {mean['per_cpu'][0] / 1e3:.0f} and "
        f"{mean['per_cpu'][1] / 1e3:.0f} k per second of processor; analogies {mean['analogies'][0]:.3f} and "
        f"{mean['analogies'][1]:.3f}, similarity {mean['similarity'][0]:.3f} and {mean['similarity'][1]:.3f} "
        f"+- {noise['similarity']:.3f}; {ROUNDS} rounds, {os.cpu_count()} cores"
    )
    return {
        "work": f"{kind}: skip-gram, {int(data.counts.sum())} words x {PASSES}, d = {DIM}",
        "bound_or_peer": PEER,
        "ratio": speed[0] / speed[1],
        "target": ">= 0.7, as good",
        "met": speed[0] >= 0.7 * speed[1] and as_good,
        "note": note,
    }
