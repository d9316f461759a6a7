"""How few latent dimensions the classes of a generator's data depend on each.

The classifier is trained on the labels of the data once for all runs with the same data.

Reference: see `lsgen.metrics.decoupling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lsgen.latent import LatentSpace
from lsgen.metrics.decoupling import class_sensitivities, sparsities
from lsgen.metrics.quality import DatasetClassifier
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["ClassDecoupling"]

_trained: list[tuple[Any, DatasetClassifier]] = []  # the last classifier, with what it was trained on


@dataclass(frozen=True)
class ClassDecoupling:
    """Measures the sparsity of the dependence of class probabilities on latent dimensions.

    Attributes:
        n: see `lsgen.metrics.decoupling.class_sensitivities`, as all but the next one.
        classifier_steps: training steps of the classifier.
        step: change of a coordinate.
        iterations: steps of the optimisation of weights.
        n_class: codes of a class.

    Keys are hoyer and gini, by intervention, hoyer_optimised and gini_optimised, of weights, and accuracy, of the
    classifier on the test split.
    """

    n: int = 256
    classifier_steps: int = 1000
    step: float = 1.0
    iterations: int = 100
    n_class: int = 32

    def __call__(self, run: TrainedRun) -> Measured:
        """Return the sparsities.

        Raises:
            ValueError: the data have no labels.
            TypeError: the model has no latent space, or one whose codes cannot move continuously.

        """
        space = run.model.latent_space
        if not isinstance(space, LatentSpace):
            raise TypeError(f"ClassDecoupling expected a model with a latent space, got {type(run.model).__name__}")
        classifier = self._classifier(run)
        with torch.random.fork_rng():
            torch.manual_seed(run.seed)
            found = class_sensitivities(
                space, classifier.probabilities, self.n, self.step, self.iterations, self.n_class
            )
        return Measured({"accuracy": classifier.accuracy(run.data), **sparsities(found)})

    def _classifier(self, run: TrainedRun) -> DatasetClassifier:
        """Return a classifier of the data of a run, trained anew only where the data or its steps have changed."""
        wanted = ({key: value for key, value in run.config["data"].items() if key != "seed"}, self.classifier_steps)
        if not _trained or _trained[0][0] != wanted:
            classifier = DatasetClassifier(run.data.shape, steps=self.classifier_steps)
            classifier.prepare(run.data)
            _trained[:] = [(wanted, classifier)]
        return _trained[0][1]
