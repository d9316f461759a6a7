"""How often a model of classes names the wrong one, beside classifiers that learn from its known labels alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.latent import ClassCodes, StackedCodes
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Classification"]


@dataclass(frozen=True)
class Classification:
    """Measures errors of classification of test observations, in percent.

    Its keys are `error`, of the most probable class of q(y|x), and of scikit-learn's classifiers that have seen the
    training observations of known label alone: `neural_network`, a perceptron with one hidden layer, and
    `nearest_neighbour`.

    Attributes:
        n: test observations, drawn at random.
        hidden: width of the layer.

    Raises:
        ValueError: n or hidden is not positive, or there are fewer test observations.
        TypeError: the posterior of the model has no classes.

    """

    n: int = 10_000
    hidden: int = 500

    def __post_init__(self) -> None:
        if min(self.n, self.hidden) < 1:
            raise ValueError(f"expected n and hidden of at least 1, got {self.n} and {self.hidden}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.neural_network import MLPClassifier

        train = run.data.dataset("train")
        batch, test = train[torch.arange(len(train))], run.data.probe(self.n, "test")
        known = batch["label"] >= 0
        x, y, truth = batch["x"][known].flatten(1), batch["label"][known], test["label"]
        values = {"error": _error(_guess(run, test["x"]), truth)}
        network = MLPClassifier((self.hidden,), max_iter=500, random_state=0)
        for name, one in (("neural_network", network), ("nearest_neighbour", KNeighborsClassifier(1))):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*optimization hasn't converged yet.*")
                one.fit(x.numpy(), y.numpy())
            values[name] = _error(torch.from_numpy(one.predict(test["x"].flatten(1).numpy())), truth)
        return Measured(values)


def _guess(run: TrainedRun, x: Tensor) -> Tensor:
    q = run.encodable_space.encode(x.to(run.model.device))
    if isinstance(q, StackedCodes):
        q = q.posterior.upper(q.lower.loc)
    if not isinstance(q, ClassCodes):
        raise TypeError(f"Classification expected a posterior with classes, got {type(q).__name__}")
    return q.log_classes.argmax(-1).cpu()


def _error(guess: Tensor, truth: Tensor) -> float:
    return 100 * float((guess != truth).double().mean())
