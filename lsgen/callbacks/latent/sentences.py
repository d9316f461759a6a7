"""What a model of sentences writes, and how well it tells held-out ones, beside counts and a decoder without codes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import EncodableLatentSpace
from lsgen.likelihoods.text.autoregressive_tokens import AutoregressiveTokens, WrittenSentences
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.metrics import log_evidence
from lsgen.metrics.words.codeless_decoder import without_codes
from lsgen.metrics.words.ngrams import bigram_log_probs, bits_per_token, perplexity, unigram_log_probs
from lsgen.models.divergence import kl_terms

__all__ = ["WritingTests"]

_MOST = 20_000  # training sentences that are counted
_BATCH = 64


class WritingTests(PeriodicCallback):
    """Interpolated sentences, samples, and bits a token and perplexity on held-out sentences.

    Beside the model, with its ELBO and an importance-sampled bound, are told held-out sentences by the frequencies of
    words and of pairs of words, and by the same decoder without a latent code: a copy of it that goes on learning, from
    the weights that it has, with one constant condition in place of codes. Interpolations join the codes of held-out
    sentences in pairs along geodesics of the manifold of codes; each code is written by the most probable word at each
    place, and by a beam where words depend on one another. A model whose likelihood is none of sentences is left out.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: held-out sentences that are told.
        samples: codes for every sentence in importance sampling.
        pairs: interpolations.
        points: codes of an interpolation.
        beam: beginnings of sentences that are kept.
        baseline_steps: steps of Adam in batches of 64 of the decoder without a code; None leaves it out.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of range.
        TypeError: the latent space has no encoder; when training starts, the data are no `DataModule`.

    """

    family: ClassVar[str] = "sentences"
    judges: ClassVar[bool] = True
    needs_encoder = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 500,
        samples: int = 100,
        pairs: int = 4,
        points: int = 7,
        beam: int = 8,
        baseline_steps: int | None = 300,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, samples=samples, pairs=pairs, beam=beam, baseline_steps=baseline_steps)
        self.at_least(2, points=points)
        self.n, self.samples, self.pairs, self.points = n, samples, pairs, points
        self.beam, self.baseline_steps = beam, baseline_steps

    def left_out(self, space: Any) -> str | None:
        """Return why a space has no sentences; None where it has."""
        reason = super().left_out(space)
        likelihood = getattr(space, "likelihood", None)
        if reason is None and not isinstance(likelihood, TextLikelihood):
            return f"its likelihood is {type(likelihood).__name__}, none of sentences"
        return reason

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the data, or refuse them."""
        self._data = self.data_with(trainer, "val", 2)

    def render(self, space: EncodableLatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure, write and log."""
        device = next(space.parameters()).device
        held_out = _some(self._data, "val", max(self.n, 2 * self.pairs)).to(device)
        x = held_out[: self.n]
        found = self._told(space, x)
        for name, log_p in found.items():
            sink.scalars(
                {
                    f"sentences/{name}/bits_per_token": bits_per_token(log_p, x),
                    f"sentences/{name}/perplexity": perplexity(log_p, x),
                }
            )
        rows = [[name, bits_per_token(log_p, x), perplexity(log_p, x)] for name, log_p in found.items()]
        sink.rows("sentences/scores", ["model", "bits a token", "perplexity"], rows)
        self._write(space, held_out, sink)

    def _told(self, space: EncodableLatentSpace, x: Tensor) -> dict[str, Tensor]:
        """Return log-probabilities (N,), or bounds of them, by name."""
        elbo, evidence = [], []
        for part in x.split(_BATCH):
            q = space.encode(part)
            z, decoded = space.draw(q)
            elbo.append(decoded.log_prob(part) - kl_terms(q, space.prior(), z).sum(-1))
            evidence.append(log_evidence(space, part, self.samples, max(1, self.samples // 10)).log_evidence)
        found = {"model": torch.cat(evidence), "elbo": torch.cat(elbo)}
        training, size = _some(self._data, "train", _MOST), _likelihood(space).size
        on_host = x.cpu()
        found["unigram"] = unigram_log_probs(training, on_host, size)
        found["bigram"] = bigram_log_probs(training, on_host, size)
        if self.baseline_steps is not None and isinstance(space.likelihood, AutoregressiveTokens):
            found["no_code"] = without_codes(space.likelihood, training.to(x), x, self.baseline_steps)
        return found

    def _write(self, space: EncodableLatentSpace, x: Tensor, sink: Sink) -> None:
        likelihood, pairs = _likelihood(space), min(self.pairs, len(x) // 2)
        ends = x[: 2 * pairs].unflatten(0, (pairs, 2))
        z = space.encode(x[: 2 * pairs]).mean.unflatten(0, (pairs, 2))
        path = space.manifold.geodesic(z[:, 0], z[:, 1], self.points)
        written = space.decode(path)
        columns = [likelihood.texts(written.mean.flatten(0, 1))]
        if isinstance(written, WrittenSentences):
            columns.append(likelihood.texts(written.beam(self.beam).flatten(0, 1)))
        texts = [likelihood.texts(ends[:, side]) for side in (0, 1)]
        rows = []
        for number, told in enumerate(zip(*columns, strict=True)):
            pair, place = divmod(number, self.points)
            rows.append([pair, place / (self.points - 1), *told, *([""] * (2 - len(told)))])
        sink.rows("sentences/interpolations", ["path", "place", "greedy", "beam"], rows)
        joined = [[number, *both] for number, both in enumerate(zip(*texts, strict=True))]
        sink.rows("sentences/ends", ["path", "from", "to"], joined)
        drawn = space.decode(space.prior().sample((4 * self.pairs,)))
        both = zip(likelihood.texts(drawn.mean), likelihood.texts(drawn.sample()), strict=True)
        samples = [[number, *texts] for number, texts in enumerate(both)]
        sink.rows("sentences/samples", ["code", "most probable", "drawn"], samples)


def _likelihood(space: EncodableLatentSpace) -> TextLikelihood:
    assert isinstance(space.likelihood, TextLikelihood)
    return space.likelihood


def _some(data: DataModule, split: Any, most: int) -> Tensor:
    """Return the first sentences of a split, (N, L)."""
    dataset = data.dataset(split)
    return dataset[torch.arange(min(most, len(dataset)))]["x"]
