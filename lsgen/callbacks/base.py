"""Base classes of callbacks that examine a model at regular intervals and leave its training as it was.

A turn is due at every multiple of `every_n_steps` generator steps, or after every `every_n_epochs` epochs, and
once more at the end of training; it depends on the step alone, so a resumed run fires at the same steps as an
uninterrupted one, and no turn is ever skipped. During a turn the model is in eval mode, without gradients, and
random numbers start from a fixed seed; afterwards the mode of every module and the states of all random number
generators are what they were.

A space of items or of features without what a callback examines, such as a decoder, is left out with one line when the
callback is set up; it takes no turn then.

The keys that a callback logs begin with its family, such as `geometry`; those of the W or W+ of a style-based generator
with FAMILY/w or FAMILY/w_plus. FAMILY/share_of_training is the share of the time since this fit began that all turns so
far have taken.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor, nn

from lsgen.callbacks.engine.clock import generator_steps
from lsgen.callbacks.engine.observer import Observer
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe, fixed_probe, observations_of
from lsgen.data import DataModule, Split
from lsgen.latent import EncodableLatentSpace, EncodableSpace, ItemSpace, LatentSpace, Space
from lsgen.models.contract import as_numbers, expected_observations
from lsgen.models.gan.styles import style_space
from lsgen.models.loaders import require_validation_batches

__all__ = ["LatentCallback", "PeriodicCallback", "Turns", "Which", "retrieves", "undisturbed"]

Which = Literal["z", "w", "w+"]


@dataclass(frozen=True)
class Turns:
    """Options that hold for every turn of a callback.

    Attributes:
        at_end: whether there is one more at the end of training.
        seed: seed of the random numbers within a turn.
        probes: observations (N, *shape) to look at; if None, fixed ones from the validation data, else from the
            training data: the beginning of the data set, or of a stream its first batch.

    """

    at_end: bool = True
    seed: int = 0
    probes: Tensor | None = None


class PeriodicCallback(Observer, ABC):
    """Abstract callback that examines `pl_module.latent_space` at regular intervals while it trains.

    Args:
        every_n_steps: generator steps between turns; `default_steps` where neither cadence is given.
        every_n_epochs: epochs between turns, instead of steps.
        turns: what its turns have in common.
        space: "z", the model's own latent space, or "w" or "w+" of a style-based generator.

    Attributes:
        takes: the least that the space must be; what takes another than `LatentSpace` renders any of that kind.
        pictures: whether it shows what codes are decoded to, which tells nothing of the codes of items.
        default_steps: generator steps between turns unless a cadence is given; None for a turn at the end only.
        data_module: the data that observations come from, where there is one; what can be heard is written as sound.

    Raises:
        ValueError: both cadences are given, one is not positive, or it would never fire; there is no such space.

    """

    family: ClassVar[str]
    needs_encoder: bool = False
    pictures: ClassVar[bool] = False
    takes: ClassVar[type] = LatentSpace
    default_steps: ClassVar[int | None] = 5000
    data_module: Any = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        turns: Turns = Turns(),
        space: Which = "z",
    ) -> None:
        if every_n_steps is not None and every_n_epochs is not None:
            raise ValueError("expected every_n_steps or every_n_epochs, got both")
        for name, value in (("every_n_steps", every_n_steps), ("every_n_epochs", every_n_epochs)):
            if value is not None and value < 1:
                raise ValueError(f"expected {name} of at least 1, got {value}")
        self.every_n_steps = self.default_steps if every_n_steps is None and every_n_epochs is None else every_n_steps
        self.every_n_epochs = every_n_epochs
        if self.every_n_steps is None and every_n_epochs is None and not turns.at_end:
            name = type(self).__name__
            raise ValueError(f"{name} expected a cadence or turns.at_end=True, got neither: it would never fire")
        if space not in get_args(Which):
            raise ValueError(f"{type(self).__name__} expected space to be z, w or w+, got {space!r}")
        self.at_end, self.seed = turns.at_end, turns.seed
        self._space, self._part = space, {"z": "", "w": "w", "w+": "w_plus"}[space]
        self._probe = None if turns.probes is None else Probe(turns.probes)
        self._began = self._spent = 0.0
        self._before = self._last = 0

    @property
    def wanted(self) -> int:
        """The number of fixed observations that a turn needs; 0 unless a subclass overrides it."""
        return 0

    @property
    def gallery(self) -> int:
        """The number of training observations among which neighbours are sought in a space that has no decoder."""
        return 0

    def left_out(self, space: Any) -> str | None:
        """Return why a space has nothing for this callback, in words; None where it has.

        Latent spaces that are not those of items have: what one lacks, and what is no space, is refused by `check`.
        """
        if not isinstance(space, Space):
            return None
        name = type(space).__name__
        if not isinstance(space, self.takes):
            return f"{name} has no decoder" if self.takes is LatentSpace else f"{name} is no {self.takes.__name__}"
        if isinstance(space, ItemSpace) and not isinstance(space, EncodableSpace):
            if self.needs_encoder:
                return f"{name} has the codes of its items and no encoder"
            if self.pictures:
                return f"{name} has the codes of its items, and decodes to no observation of its own"
        return None

    @abstractmethod
    def render(self, space: Any, probe: Probe | None, sink: Sink) -> None:
        """Compute and log; called in eval mode, without gradients, with seeded random numbers.

        Args:
            space: what to look at, of the kind that it `takes`.
            probe: fixed observations on the device of the space; None where none are wanted and, for a space
                without encoder, where there are no data.
            sink: where the results go.

        """

    def run(self, space: Space, probe: Probe | None, sink: Sink) -> None:
        """Take one turn, within training or without any; the sink is left open.

        Args:
            space: the model's latent space; its modes and all random number generators are restored. There is a line
                and nothing else where it is left out.
            probe: fixed observations on any device; a space without encoder can do without.
            sink: where the results go.

        """
        if self._tells(space):
            return
        with undisturbed(space, self.seed), torch.no_grad():
            space.eval()
            inner = sink.within(self._part) if self._part else sink
            self.render(self.view(space), None if probe is None else _on(space, probe), inner)

    def _tells(self, space: Any) -> bool:
        """Return whether a space is left out, with a line that says why."""
        if (reason := self.left_out(space)) is not None:
            rank_zero_info(f"{type(self).__name__} is left out: {reason}.")
        return reason is not None

    def view(self, space: Any) -> Any:
        """Return the part of a model's latent space that is examined.

        Raises:
            TypeError: it is a space of styles, and the generator is not style-based.

        """
        return style_space(space, plus=self._space == "w+") if self._part else space

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without the latent space that is needed, before any work starts; prepare unless left out."""
        self.data_module = getattr(trainer, "datamodule", None)
        if not self._tells(getattr(pl_module, "latent_space", None)):
            self.check(pl_module)
            self.prepare(trainer, pl_module)

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take from data and model what turns need, or refuse them; called when a latent space has been checked."""

    def check(self, pl_module: LightningModule) -> Any:
        """Return the latent space of a module, within training or without any.

        Raises:
            TypeError: it has none, or not the kind that is needed.

        """
        needed = EncodableLatentSpace if self.needs_encoder else self.takes
        space = getattr(pl_module, "latent_space", None)
        if (reason := self.left_out(space)) is not None:
            raise TypeError(f"{type(self).__name__} expected another latent space: {reason}")
        if not isinstance(space, needed):
            raise TypeError(
                f"{type(self).__name__} expected {type(pl_module).__name__}.latent_space to be a "
                f"lsgen.latent.{needed.__name__}, got {type(space).__name__}"
            )
        return self.view(space)

    def data_of(self, trainer: Trainer) -> DataModule:
        """Return the data that a trainer trains on.

        Raises:
            TypeError: they are no `lsgen.data.DataModule`.

        """
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, DataModule):
            raise TypeError(f"{type(self).__name__} expected a lsgen.data.DataModule, got {type(data).__name__}")
        return data

    def data_with(self, trainer: Trainer, split: Split, least: int | None = None) -> DataModule:
        """Return the data that a trainer trains on, after a check that a split has `least` observations (one if None).

        Raises:
            TypeError: they are no `lsgen.data.DataModule`.
            ValueError: the split has fewer.

        """
        data, needed = self.data_of(trainer), max(1, least or 1)
        if (found := len(data.dataset(split))) < needed:
            raise ValueError(
                f"{type(self).__name__} expected at least {needed} observations in the {split} split, got {found}"
            )
        return data

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start measuring the cost, and fetch the fixed observations before training does any work."""
        self._began, self._spent = perf_counter(), 0.0
        self._last = -1
        space = getattr(pl_module, "latent_space", None)
        if self.wanted and trainer.is_global_zero and not self.left_out(space):
            require_validation_batches(trainer)
            self._find_probe(trainer, self.check(pl_module))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the step before this batch, and take its first observations where there are no others to look at."""
        self._before = generator_steps(trainer, pl_module)
        encodes = isinstance(getattr(pl_module, "latent_space", None), EncodableSpace)
        if self.wanted and self._probe is None and trainer.is_global_zero and encodes:
            found = observations_of(batch).first(self.wanted)
            self._probe = Probe(found.x.detach().clone(), None if found.label is None else found.label.clone())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a turn if this batch reached or passed a multiple of `every_n_steps`."""
        every, step = self.every_n_steps, generator_steps(trainer, pl_module)
        if every is not None and step // every > self._before // every:
            self._fire(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take a turn after every `every_n_epochs` epochs."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._fire(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take a turn at the end of training, unless the last step had one already."""
        if self.at_end and generator_steps(trainer, pl_module) > self._last:
            self._fire(trainer, pl_module)

    def _fire(self, trainer: Trainer, pl_module: LightningModule) -> None:
        start = perf_counter()
        self._last = step = generator_steps(trainer, pl_module)
        space: Any = pl_module.latent_space
        if not trainer.is_global_zero or self.left_out(space):
            return
        self._find_probe(trainer, space)
        sink = Sink(trainer.default_root_dir, step, trainer.loggers)
        self.run(space, self._probe, sink)
        seconds = perf_counter() - start
        share = (self._spent + seconds) / (perf_counter() - self._began)
        cost = {f"{self.family}/seconds": seconds, f"{self.family}/share_of_training": share}
        (sink.within(self._part) if self._part else sink).scalars(cost)
        sink.close()
        self._spent += perf_counter() - start

    def _find_probe(self, trainer: Trainer, space: Space) -> None:
        """Take fixed observations from what is there; of a stream for training alone, from its first batch."""
        if self.wanted and self._probe is None:
            with undisturbed(space, self.seed):
                self._probe = fixed_probe(trainer, self.wanted, self.gallery if retrieves(space) else 0)


class LatentCallback(PeriodicCallback):
    """Abstract callback that also examines a latent space without a trainer, as `lsgen traverse` does.

    All that a turn looks at is the space and fixed observations. One that needs more of the data, such as what judges
    samples by them, is a `PeriodicCallback`.
    """

    @property
    @abstractmethod
    def wanted(self) -> int:
        """The number of fixed observations that a turn needs."""


@contextmanager
def undisturbed(module: nn.Module, seed: int) -> Iterator[None]:
    """Restore the mode of every submodule and every random number generator on leaving; seed them on entering."""
    modes = [(part, part.training) for part in module.modules()]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        if devices:
            torch.cuda.set_rng_state_all(devices)


def retrieves(space: Space) -> bool:
    """Return whether codes of a space are shown by observations near them, as it has an encoder and no decoder."""
    return isinstance(space, EncodableSpace) and not isinstance(space, LatentSpace | ItemSpace)


def _on(space: Space, probe: Probe) -> Probe:
    """Return the probe on the device, and in the floating-point type, of the space."""
    like = next(space.parameters(), None)
    if like is None:
        return probe
    x = as_numbers(probe.x, expected_observations(space, "the probe"), like.dtype).to(like.device, like.dtype)
    return replace(probe, x=x, gallery=None if probe.gallery is None else _on(space, probe.gallery))
