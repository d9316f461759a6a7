"""Paths between codes: where they leave the codes, and how the decoder moves along them."""

from __future__ import annotations

import numpy as np

from lsgen import viz
from lsgen.analysis.trajectories import JudgedPath, PathJudge, paths_between
from lsgen.analysis.trajectories.diagnostics import OFF_MANIFOLD
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject
from lsgen.latent import LatentSpace

__all__ = ["paths"]

AVERAGED = ("percentile", "prior_z", "variance", "cycle")
TITLES = {
    "percentile": "percentile of the distance to codes",
    "prior_z": "log-density of the prior, z-score",
    "speed": "speed of the decoder",
    "variance": "variance of the decoder",
    "cycle": "cycle error",
}


def paths(subject: Subject, found: Findings) -> None:
    """Log, by kind of path, the share of steps off the manifold and averages of the diagnostics over pairs of codes."""
    codes, detail = subject.codes, subject.detail
    if not isinstance(subject.space, LatentSpace):
        raise LeftOutError("there is no decoder")
    if len(codes) < detail.k + 3:
        raise LeftOutError(f"expected {detail.k + 3} codes or more, got {len(codes)}")
    if not codes.manifold.continuous:
        raise LeftOutError(f"codes of {codes.manifold} are isolated points")
    judge = PathJudge(subject.space, codes, detail.k, seed=subject.seed)
    order = np.random.default_rng(subject.seed).permutation(len(codes))
    pairs = order[: 2 * detail.pairs].reshape(-1, 2)
    names = codes.ids.tolist()
    joined = [paths_between(judge, names[a], names[b], detail.points) for a, b in pairs]
    for kind in dict.fromkeys(kind for one in joined for kind in one):
        _log(kind, [one[kind] for one in joined if kind in one], found)
    for i, ((a, b), one) in enumerate(zip(pairs, joined, strict=True)):
        found.sink.image(f"analysis/path/{i}", _drawn(one, f"From {names[a]} to {names[b]}"))


def _log(kind: str, judged: list[JudgedPath], found: Findings) -> None:
    key = f"analysis/path/{kind}"
    known = [path.diagnostics for path in judged]
    found.numbers({f"{key}/off_manifold": float(np.mean([one.off_manifold.mean() for one in known]))})
    found.numbers({f"{key}/length": float(np.mean([one.decoded_length for one in known]))})
    for name in AVERAGED:
        values = [one.profiles()[name] for one in known if name in one.profiles()]
        if values:
            found.numbers({f"{key}/{name}": float(np.mean(values))})


def _drawn(judged: dict[str, JudgedPath], title: str) -> viz.Pixels:
    profiles = {_name(path): path.diagnostics.profiles() for path in judged.values()}
    shown = dict.fromkeys(name for one in profiles.values() for name in one)
    panels = {TITLES[name]: {path: one[name] for path, one in profiles.items() if name in one} for name in shown}
    off = {_name(path): path.diagnostics.off_manifold for path in judged.values()}
    return viz.path_profiles(panels, title, off, {TITLES["percentile"]: OFF_MANIFOLD})


def _name(path: JudgedPath) -> str:
    return f"{path.kind}, {path.note}" if path.note else path.kind
