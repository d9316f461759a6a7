"""The analysis of a model's codes while it trains, or of a trained one: statistics with intervals, figures, a table.

| part        | what it logs                                                                                        |
|-------------|-----------------------------------------------------------------------------------------------------|
| neighbours  | how unevenly codes are neighbours of others                                                         |
| dimension   | how many dimensions codes fill                                                                      |
| clusters    | clusters, their stability, their agreement with classes, and what is frequent in each               |
| projections | projections of the codes, how faithful each is, and how well those of other seeds agree with it     |
| directions  | reliability, permutation p and cross-validated AUC of the direction of every class and factor, what |
|             | moving along it changes of the others, and the score of Latent Space Cartography                    |
| analogies   | how many are answered by named items, or by the averages of groups, with inputs left out and not    |
| probes      | label and factors from few labels: codes, raw data, components, an untrained network                |
| anomalies   | false alarms of conformal p-values, and how well scores tell a class that they were not fitted to   |
| paths       | where paths between codes leave the codes, and how the decoder moves along them                     |
| comparison  | how alike codes are to those of the last turn, or of another run, and which observations have moved |
| imputation  | how often 90 % intervals of imputations hold values that were hidden at random                      |

The codes, with p-values as columns, are written as a table, `lsgen.latent.Codes`; all statistics are a table of the
logger, with their intervals, what they would be by chance, the number of codes and the seed. A part that does not apply
to a model or its data is left out, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info, rank_zero_warn
from torch import nn

from lsgen.callbacks.analysis.collection import collect_codes, decoded_codes
from lsgen.callbacks.analysis.options import AnalysisDetail
from lsgen.callbacks.analysis.parts.analogy_questions import analogies
from lsgen.callbacks.analysis.parts.attributes import directions
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.journeys import paths
from lsgen.callbacks.analysis.parts.mapping import projections
from lsgen.callbacks.analysis.parts.other_spaces import check_observations, comparison
from lsgen.callbacks.analysis.parts.predictions import imputation, probes
from lsgen.callbacks.analysis.parts.strangeness import anomalies
from lsgen.callbacks.analysis.parts.structure import clusters, dimension, neighbours
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Part, Subject
from lsgen.callbacks.base import PeriodicCallback, Turns, undisturbed
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import Split
from lsgen.latent import Codes, EncodableSpace, Space

__all__ = ["PARTS", "LatentAnalysis"]

PARTS: Mapping[str, Part] = {
    "neighbours": neighbours,
    "dimension": dimension,
    "clusters": clusters,
    "projections": projections,
    "directions": directions,
    "analogies": analogies,
    "probes": probes,
    "anomalies": anomalies,
    "paths": paths,
    "comparison": comparison,
    "imputation": imputation,
}


class LatentAnalysis(PeriodicCallback):
    """Analyses the codes of held-out observations, of a closed set of items, or of draws from a prior.

    It takes any space: of one without decoder, such as of word vectors or of features, what needs one is left out.

    Where no code is finite, as of a model that has diverged, there is a warning and no analysis.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        what: which parts, in the order of the list above.
        n: number of codes; all of what there is where it is None.
        splits: where observations come from.
        detail: how codes are analysed; as `AnalysisDetail` has it unless given.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range, or there is no such part.
        TypeError: when training starts, there is no latent space, or no data for its encoder.

    """

    family: ClassVar[str] = "analysis"
    takes: ClassVar[type] = Space
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        what: Sequence[str] = tuple(PARTS),
        n: int | None = 2000,
        splits: Sequence[Split] = ("val", "test"),
        detail: AnalysisDetail | None = None,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n)
        if not what or not set(what) <= set(PARTS):
            raise ValueError(f"LatentAnalysis expected parts out of {', '.join(PARTS)}, got {list(what)}")
        self.what = tuple(name for name in PARTS if name in what)
        self.n, self.splits, self.detail = n, tuple(splits), detail or AnalysisDetail()
        self._module: nn.Module | None = None
        self._data: Any = None
        self._others: Mapping[str, Codes] = {}

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the model and its data."""
        data = getattr(trainer, "datamodule", None)
        if data is None and isinstance(self.check(pl_module), EncodableSpace):
            raise TypeError("LatentAnalysis expected a data module, whose observations are encoded, got none")
        self._module, self._data = pl_module, data

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of both, and of the codes of the last turn."""
        self._module, self._data, self._others = None, None, {}

    def analyse(self, module: nn.Module, data: Any, sink: Sink, others: Mapping[str, Codes] | None = None) -> Findings:
        """Analyse the codes of a model without training it; modes and random numbers are left as they were.

        Args:
            module: a model with a `latent_space`.
            data: a data module or batches of observations; None for a model without encoder.
            sink: where numbers and figures go; it is left open.
            others: other codes of the same observations by name, such as of another run, for the comparison.

        Raises:
            TypeError: there is no latent space, or no data for its encoder.
            ValueError: no code is finite and on the manifold, there is no such column, or the others are codes of
                other observations.

        """
        space = module if isinstance(module, Space) else getattr(module, "latent_space", None)
        if not isinstance(space, Space):
            raise TypeError(f"expected a model with a latent space, got {type(module).__name__}")
        collected = collect_codes(module, data, self.n, self.seed, self.splits)
        with undisturbed(space, self.seed), torch.no_grad():
            space.eval()
            return self._checked(Subject(module, space, collected, self.detail, self.seed, others or {}), sink)

    def analyse_codes(self, codes: Codes, sink: Sink, others: Mapping[str, Codes] | None = None) -> Findings:
        """Analyse codes of any source without a model; what needs one, or what was encoded, is left out.

        Args:
            codes: the table.
            sink: where numbers and figures go; it is left open.
            others: see `analyse`.

        Raises:
            ValueError: there is no such column, or the others are codes of other observations.

        """
        subject = Subject(None, None, decoded_codes(None, codes), self.detail, self.seed, others or {})
        return self._checked(subject, sink)

    def _checked(self, subject: Subject, sink: Sink) -> Findings:
        for name, other in subject.others.items():
            check_observations(subject.codes, other, name)
        return self._found(subject.check(), sink)

    def render(self, space: Space, probe: Probe | None, sink: Sink) -> None:
        """Collect the codes, take all parts, and log; where no code is finite, there is a warning and nothing else."""
        assert self._module is not None
        try:
            collected = collect_codes(self._module, self._data, self.n, self.seed, self.splits)
        except ValueError as error:
            rank_zero_warn(f"LatentAnalysis analysed nothing: {error}")
            return
        self._found(Subject(self._module, space, collected, self.detail, self.seed, self._others), sink)
        self._others = {"last_turn": collected.codes}

    def _found(self, subject: Subject, sink: Sink) -> Findings:
        """Take all parts and log."""
        found = Findings(sink)
        found.numbers({"analysis/codes": len(subject.codes), "analysis/codes_left_out": subject.collected.left_out})
        for name in self.what:
            try:
                PARTS[name](subject, found)
            except (LeftOutError, ImportError, ValueError) as error:
                found.left_out[name] = str(error)
        for name, reason in found.left_out.items():
            rank_zero_info(f"LatentAnalysis left out {name}: {reason}")
        found.table("analysis/statistics")
        sink.codes("analysis/codes", subject.codes.with_columns(found.columns))
        return found
