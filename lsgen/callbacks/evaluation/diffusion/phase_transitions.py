r"""Phase transitions of a diffusion model while it learns, beside those of the exact denoiser of its training data.

Three times of the way back from noise, in the clock of Ornstein and Uhlenbeck t = (1/2) log(1 + e^-l), whatever path
the model has:

    speciation          clones that part at t end on the same side of the top principal axis of the data in 0.775 of
                        the pairs
    collapse            they end nearest to the same training observation in half of the pairs
    symmetry breaking   the centre of the data becomes an unstable point of the reverse drift

The clones are cleaned by the ancestral sampler of the model. Those of the exact denoiser need no cleaning: they are
draws from p(x_0 | x_t) over the training data. The first time is also predicted by the covariance of the data alone,
t_S = (1/2) log Lambda. The third comes from the covariance of clean observations given the centre, by the derivative of
the denoiser. A model that has not memorised its data collapses later on the way, or not at all.

References: Biroli et al. (2024), https://arxiv.org/abs/2402.18491; Raya & Ambrogioni (2023),
https://arxiv.org/abs/2305.19693. The papers have no time of symmetry breaking for data in general; that of the centre
of the data is the same for symmetric ones.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.options import Cloning
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.geometry.denoising import posterior_covariance, variance_preserving
from lsgen.latent import LatentSpace
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.phases.cloning import ancestral_step, clone_agreement, crossing
from lsgen.metrics.phases.speciation import data_agreement, ornstein_uhlenbeck_time, speciation_time
from lsgen.metrics.phases.symmetry_breaking import critical_log_snr
from lsgen.models.diffusion.denoising import Denoise, MixtureDenoiser
from lsgen.models.diffusion.paths import LinearLogSNR
from lsgen.models.diffusion.space import NoiseSpace

__all__ = ["PhaseTransitions"]

_SAME_SIDE, _SAME_POINT = 0.775, 0.5
_LEVEL = "log signal-to-noise ratio"


class PhaseTransitions(PeriodicCallback):
    """Measures when a diffusion model decides for a side of its data or one observation, and when its centre breaks.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: training observations; the time of collapse is left out where there are more.
        cloning: sizes of the cloning experiment.
        symmetry_dims: greatest dimension of data for which the centre is examined: it costs a derivative each.
        turns: see `PeriodicCallback`; its probes stand for all training observations where they are given.

    Raises:
        ValueError: a number is out of its range.
        TypeError: when training starts, the model is no diffusion model, or the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "phase"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        cloning: Cloning = Cloning(),
        symmetry_dims: int = 16,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(2, n=n, pairs=cloning.pairs, branches=cloning.branches)
        self.at_least(cloning.branches, steps=cloning.steps)
        self.n, self.cloning, self.symmetry_dims = n, cloning, symmetry_dims
        self._given = turns.probes is not None
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module, and say what is left out."""
        if not self._given:
            self._data = self.data_with(trainer, "train", 2)

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Refuse a model whose latent space is not the noise of a diffusion model."""
        space = super().check(pl_module)
        if not isinstance(space, NoiseSpace):
            raise TypeError(f"PhaseTransitions expected a diffusion model, got {type(pl_module).__name__}")
        if space.dim > self.symmetry_dims:
            rank_zero_info(
                f"PhaseTransitions leaves out symmetry breaking: data have {space.dim} dimensions, more than "
                f"symmetry_dims = {self.symmetry_dims}."
            )
        return space

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure, draw and log."""
        assert isinstance(space, NoiseSpace)
        x, complete = self._observations(space, probe)
        found = _Transitions(space, x, self.cloning)
        times = {"speciation_spectral": float(found.spectral)}
        agreement, exact = found.of_model(), found.of_data(complete)
        for i, (name, threshold) in enumerate((("speciation", _SAME_SIDE), ("collapse", _SAME_POINT))):
            for of, curves in (("", agreement), ("_exact", exact)):
                if i < curves.shape[1] and (i == 0 or complete):
                    times[name + of] = crossing(-found.times, curves[:, i], threshold) * -1
        arrays = {"times": found.times, "agreement": agreement, "agreement_exact": exact}
        sink.image("phase/agreement", _drawn(found.levels[found.branches], agreement, exact))
        if space.dim <= self.symmetry_dims:
            critical, variances = found.centre()
            times |= {"symmetry_breaking": critical[0], "symmetry_breaking_exact": critical[1]}
            arrays |= {"centre_times": ornstein_uhlenbeck_time(found.levels.double()), "centre_variances": variances}
            sink.image("phase/centre", _centre(found.levels, variances))
        sink.scalars({f"phase/{name}": value for name, value in times.items() if isfinite(value)})
        sink.arrays("phase/measurements", **{name: array.cpu().numpy() for name, array in arrays.items()})

    def _observations(self, space: NoiseSpace, probe: Probe | None) -> tuple[Tensor, bool]:
        """Return observations (N, *shape) in the units of the denoiser, and whether they are all."""
        if probe is not None:
            return space.decoder.clean(probe.x), True
        assert self._data is not None
        total = len(self._data.dataset("train"))
        x = self._data.probe(min(self.n, total), "train")["x"]
        like = next(space.parameters(), x)
        return space.decoder.clean(x.to(like.device, like.dtype)), total <= self.n


class _Transitions:
    """The transitions of one model in a moment of its training; observations are taken from their mean."""

    def __init__(self, space: NoiseSpace, x: Tensor, cloning: Cloning) -> None:
        path = space.decoder.denoiser.path
        mean = x.mean(0)
        self.shape, self.cloning = x.shape[1:], cloning
        self.points = (x - mean).flatten(1)
        ask = space.decoder.denoise()

        def denoise(state: Tensor, l: Tensor) -> Tensor:
            """Return D - mean at the state of a variance-preserving path of centred observations."""
            scale = (path.scales(l)[0] / variance_preserving(l)).reshape(-1, *[1] * len(self.shape))
            shift = path.scales(l)[0].reshape(-1, *[1] * len(self.shape)) * mean
            return ask(scale * state + shift, l) - mean

        self.denoise: Denoise = denoise
        self.exact = MixtureDenoiser(LinearLogSNR(), x - mean)
        self.levels = torch.linspace(
            path.log_snr_min, path.log_snr_max, cloning.steps + 1, dtype=x.dtype, device=x.device
        )
        places = torch.linspace(0, cloning.steps, cloning.branches + 2)[1:-1].round().long()
        self.branches = places.unique().tolist()
        self.times = ornstein_uhlenbeck_time(self.levels[self.branches].double())
        values, axes = torch.linalg.eigh(torch.cov(self.points.double().T).reshape(self.points.shape[1], -1))
        self.axis = axes[:, -1].to(x)
        self.spectral = speciation_time(values[-1])

    def side(self, flat: Tensor) -> Tensor:
        """Return the side of the top principal axis (N,) on which observations (N, D) lie."""
        return (flat @ self.axis > 0).long()

    def of_model(self) -> Tensor:
        """Return the shares of pairs of clones (times, 2) on the same side, and nearest to the same observation."""

        def classify(x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return torch.stack([self.side(flat), nearest_neighbours(flat, self.points).indices[:, 0]], 1)

        start = torch.randn(self.cloning.pairs, *self.shape, dtype=self.points.dtype, device=self.points.device)
        step = ancestral_step(self.denoise)
        return clone_agreement(step, classify, start, self.levels, self.branches).agreement

    def of_data(self, complete: bool) -> Tensor:
        """Return the same of the exact denoiser, (times, 2); (times, 1) where there are more observations."""
        kinds = [self.side(self.points), None] if complete else [self.side(self.points)]
        agree = lambda of, t: data_agreement(self.points, of, float(t), self.cloning.pairs)[0]
        return torch.stack([torch.stack([agree(of, t) for t in self.times]) for of in kinds], 1)

    def centre(self) -> tuple[list[float], Tensor]:
        """Return when the centre of model and exact denoiser breaks, and the largest variances there.

        Variances (3, levels) are those of p(x_0 | x_t) in model and exact denoiser, and the critical ones.
        """
        at = self.points.new_zeros(len(self.levels), *self.shape)
        critical = (0.5 + self.levels.exp()) / (self.levels.exp() * (1 + self.levels.exp()))
        times, rows = [], []
        for part in (self.denoise, self.exact):
            covariance = posterior_covariance(part, at, self.levels)[1]
            largest = torch.linalg.eigvalsh((covariance + covariance.mT) / 2)[:, -1]
            first = int((largest > critical).long().argmax())  # 0 if there is none
            low, high = float(self.levels[max(first - 1, 0)]), float(self.levels[max(first, 1)])
            level = critical_log_snr(part, at[:1], low, high, passes=1)[0]
            times.append(float(ornstein_uhlenbeck_time(level.double())) if first else float("nan"))
            rows.append(largest)
        return times, torch.stack([*rows, critical])


def _drawn(levels: Tensor, agreement: Tensor, exact: Tensor) -> viz.Pixels:
    names = ("same side of the data", "same training observation")
    both = {"model": agreement, "exact denoiser": exact}
    shown = {
        name: _cpu({of: (levels, curves[:, i]) for of, curves in both.items() if i < curves.shape[1]})
        for i, name in enumerate(names)
    }
    title = "Pairs of clones that agree, by the noise level at which they part"
    return viz.profiles(shown, title, _LEVEL, "share of pairs")


def _centre(levels: Tensor, variances: Tensor) -> viz.Pixels:
    seen = variances.clamp(max=1.5 * float(variances[:2].max()))
    names = ("model", "exact denoiser", "critical")
    panel = {"": _cpu({name: (levels, row) for name, row in zip(names, seen, strict=True)})}
    title = "Largest variance of clean observations, given the centre of the data"
    return viz.profiles(panel, title, _LEVEL, "variance", dashed=["critical"])


def _cpu(panel: dict[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    return {name: (x.cpu().numpy(), y.cpu().numpy()) for name, (x, y) in panel.items()}
