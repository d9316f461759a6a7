"""Traversals, geometry and a report of any latent space, without a run: what `lsgen.inspect` gives, also in notebooks.

The verbs `traverse` and `geometry` look in the same way at the models of runs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import UsageError
from lsgen.cli.flags import device_of
from lsgen.cli.named_objects import named_object, named_observations
from lsgen.runs import grouped, in_reading_order, now, write_json

if TYPE_CHECKING:
    from PIL.Image import Image

    from lsgen.callbacks.base import LatentCallback
    from lsgen.callbacks.probes import Probe
    from lsgen.latent import Space

__all__ = [
    "GEOMETRY",
    "InspectedPictures",
    "Inspection",
    "Measurement",
    "Page",
    "collector",
    "geometry_looks",
    "inspect",
    "named_inspection",
]

GEOMETRY: Mapping[str, Any] = {
    "kind": "fisher", "pairs": 4, "points": 17, "starts": 2, "observations": 8, "plane_points": 32,
}  # fmt: skip


class InspectedPictures(Mapping[str, "Image"]):
    """Pictures by log key, such as "traversal/axes"; a notebook shows them.

    Args:
        files: key -> the file of the picture, PNG or GIF.
        temporary: the directory that they lie in, which is removed with the last object that holds it.

    """

    def __init__(self, files: Mapping[str, Path], temporary: TemporaryDirectory[str] | None = None) -> None:
        self.files, self._temporary = dict(files), temporary

    def __getitem__(self, key: str) -> Image:
        from PIL import Image

        return Image.open(self.files[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def _repr_html_(self) -> str:
        return "".join(
            f'<figure><img style="max-width: 100%" src="{_uri(file)}"><figcaption>{escape(key)}</figcaption></figure>'
            for key, file in self.files.items()
        )


class Measurement(Mapping[str, float]):
    """Numbers by log key, with the pictures that belong to them; a notebook shows a table and the pictures.

    Args:
        metrics: the numbers.
        pictures: of the same looks.

    """

    def __init__(self, metrics: Mapping[str, float], pictures: InspectedPictures) -> None:
        self.metrics, self.pictures = {key: metrics[key] for key in in_reading_order(metrics)}, pictures

    def __getitem__(self, key: str) -> float:
        return self.metrics[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def _repr_html_(self) -> str:
        rows = [(row.name, row.levels.get("q50", row.values[0] if len(row.values) == 1 else None), row.unit)
                for row in grouped(self.metrics)]  # fmt: skip
        cells = "".join(
            f"<tr><td>{escape(name)}</td><td>{value:.4g}</td><td>{escape(unit or '')}</td></tr>"
            for name, value, unit in rows
            if value is not None
        )
        head = "<tr><th>quantity</th><th>median or value</th><th></th></tr>"
        return f"<table>{head}{cells}</table>{self.pictures._repr_html_()}"


class Page:
    """A report, one HTML file that needs no network; a notebook shows it within the cell.

    Args:
        path: the file.
        temporary: the directory that it lies in, which is removed with the last object that holds it.

    """

    def __init__(self, path: Path, temporary: TemporaryDirectory[str] | None = None) -> None:
        self.path, self._temporary = path, temporary

    def __repr__(self) -> str:
        return f"Page({str(self.path)!r})"

    def _repr_html_(self) -> str:
        page = escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe style="width: 100%; height: 800px; border: 0" srcdoc="{page}"></iframe>'


class Inspection:
    """Looks at a latent space and keeps what it finds in a directory; `lsgen.inspect` makes it.

    Args:
        space: the latent space, in eval mode.
        probe: observations to encode; None for a space without encoder, or without data.
        directory: where pictures, numbers and the report go.

    """

    def __init__(self, space: Space, probe: Probe | None, directory: Path) -> None:
        self.space, self.probe, self.directory = space, probe, directory
        self._temporary: TemporaryDirectory[str] | None = None

    def traversal(self, **options: Any) -> InspectedPictures:
        """Return traversals of every axis, samples, and reconstructions where there are observations.

        Args:
            options: of `lsgen.callbacks.LatentTraversal`, such as anchors, points and sigmas.

        """
        from lsgen.callbacks import LatentTraversal, Reconstructions, Samples

        looks: dict[str, LatentCallback] = {"traversals": LatentTraversal(**options), "samples": Samples()}
        if self.probe is not None:
            looks["reconstructions"] = Reconstructions()
        self.look(looks)
        return self.pictures("traversal", "interpolation", "sample", "reconstruction")

    def geometry(self, **settings: Any) -> Measurement:
        """Return spectrum, volume, curvature, geodesics and distances.

        Args:
            settings: kind ("fisher", "euclidean" or "expected"), pairs, points, starts, observations and plane_points
                where they differ from those of `lsgen geometry`.

        Raises:
            UsageError: there is no such setting, or derivatives of the decoder do not reach its codes.

        """
        from lsgen.latent import LatentSpace
        from lsgen.latent.wrapping import has_derivatives

        for name in settings:
            if name not in GEOMETRY:
                raise UsageError(f"expected settings among {', '.join(GEOMETRY)}, got {name!r}")
        chosen = {**GEOMETRY, **settings}
        looks = geometry_looks(chosen)
        if not isinstance(self.space, LatentSpace):
            raise UsageError(f"geometry needs a decoder, which {type(self.space).__name__} has not")
        if not has_derivatives(self.space):
            raise UsageError(
                "geometry needs derivatives of the decoder with respect to codes, and none reach them: expected "
                "operations of PyTorch throughout, without no_grad, detach or NumPy"
            )
        metrics = self.look(looks)
        (self.directory / "geometry").mkdir(exist_ok=True)
        record = {"checkpoint": "", "step": 0, "time": now(), "settings": chosen, "metrics": metrics, "distances": None}
        write_json(self.directory / "geometry" / "last.json", record)
        return Measurement(metrics, self.pictures("geometry", "curvature", "geodesic"))

    def report(self) -> Page:
        """Return the page of all that was looked at; of traversals if nothing was."""
        from lsgen.report import write_report

        if not self.pictures():
            self.traversal()
        return Page(write_report(self.directory), self._temporary)

    def look(self, looks: Mapping[str, LatentCallback]) -> dict[str, float]:
        """Take a turn of each callback, and return the numbers that they log, by key.

        Raises:
            UsageError: a callback cannot work on this space.

        """
        from lsgen.callbacks.engine.notebook import notebook_bar
        from lsgen.callbacks.logging.sink import Sink

        collected, bar = collector(), notebook_bar(len(looks))
        for place, (name, look) in enumerate(looks.items()):
            if bar is not None:
                bar.update(place, name)
            sink = Sink(self.directory, 0, [collected])
            try:
                look.run(self.space, self.probe, sink)
            except TypeError as error:
                raise UsageError(f"{name}: {error}") from error
            sink.close()
        if bar is not None:
            bar.update(len(looks), "done")
        scalars: dict[str, float] = collected.scalars
        return scalars

    def pictures(self, *families: str) -> InspectedPictures:
        """Return the pictures there are, of some families of keys or of all."""
        found = {}
        root = self.directory / "figures"
        for file in sorted(root.rglob("*")):
            key = file.parent.relative_to(root).as_posix() if file.suffix in (".png", ".gif") else ""
            if key and (not families or key.split("/")[0] in families):
                found[key if file.suffix == ".png" else f"{key} (moving)"] = file
        return InspectedPictures(found, self._temporary)


def inspect(space: Any, x: Any = None, directory: str | Path | None = None) -> Inspection:
    """Return what looks at a latent space: its `traversal()`, `geometry()` and `report()`.

    Args:
        space: a latent space, such as `lsgen.wrap` gives, an `ItemTable` of imported vectors or another space, or a
            model of any library that has a `latent_space`.
        x: observations (N, *shape) for a space that encodes, as a tensor or a batch (x,), (x, label), {"x": x}; axes
            are then ordered by what they carry, and anchors are encodings.
        directory: where pictures, numbers and the report go; a temporary one, removed with the object and
            all that it returned, unless given.

    Raises:
        UsageError: there is no latent space, or observations cannot be encoded.

    Example:
        >>> view = lsgen.inspect(lsgen.wrap(decoder, dim=2, likelihood=Bernoulli((1, 28, 28))))  # doctest: +SKIP
        >>> view.traversal(), view.geometry(), view.report()  # doctest: +SKIP

    """
    from lsgen.callbacks.base import retrieves
    from lsgen.callbacks.probes import observations_of
    from lsgen.latent import EncodableLatentSpace, EncodableSpace, LatentSpace, Space
    from lsgen.models.contract import expected_observations

    found = space if isinstance(space, Space) else getattr(space, "latent_space", None)
    if not isinstance(found, Space):
        raise UsageError(f"expected a latent space or a model with a latent_space, got {type(space).__name__}")
    if x is not None and not isinstance(found, EncodableSpace):
        raise UsageError("expected no observations for a space without an encoder: wrap(..., encoder=...) has one")
    if x is None and retrieves(found):
        raise UsageError(f"expected observations x for {type(found).__name__}, which has an encoder alone, got none")
    probe = None if x is None else observations_of(x)
    shape = expected_observations(found, "inspect").shape
    if probe is not None and shape is not None and tuple(probe.x.shape[1:]) != shape:
        raise UsageError(f"expected observations (N, {', '.join(map(str, shape))}), got {tuple(probe.x.shape)}")
    if probe is not None and not (len(probe.x) and bool(probe.x.isfinite().all())):
        got = "NaN or infinity" if len(probe.x) else "none"
        raise UsageError(f"expected observations of finite numbers, got {got} among {tuple(probe.x.shape)}")
    if directory is not None and Path(directory).exists() and not Path(directory).is_dir():
        raise UsageError(f"expected a directory for what is found, got the file {directory}")
    if probe is None and isinstance(found, EncodableLatentSpace):
        found = LatentSpace(found.decoder, found.likelihood, found.prior)
    temporary = None if directory is not None else TemporaryDirectory(prefix="lsgen-")
    place = Path(directory) if directory is not None else Path(temporary.name if temporary else ".")
    place.mkdir(parents=True, exist_ok=True)
    inspection = Inspection(found.eval(), probe, place)
    inspection._temporary = temporary
    return inspection


def named_inspection(name: str, flags: Mapping[str, str]) -> Inspection:
    """Return what looks at a latent space of the user's own file.

    Args:
        name: FILE.py:NAME.
        flags: x, device and run_dir, of those given.

    Raises:
        UsageError: there is no such space, or no such observations.

    """
    device = device_of(flags)
    space = named_object(name)
    found = getattr(space, "latent_space", space)
    x = named_observations(flags["x"]) if "x" in flags else None
    file, _, what = name.rpartition(":")
    place = flags.get("run_dir", f"runs/{Path(file).stem}_{what}")
    return inspect(found.to(device) if hasattr(found, "to") else found, x, place)


def geometry_looks(settings: Mapping[str, Any]) -> dict[str, LatentCallback]:
    """Return the callbacks that measure geometry, by a name for the user.

    Raises:
        UsageError: a setting is out of its range.

    """
    from lsgen.callbacks import GeodesicSearch, LatentDistances, LatentGeodesics, LatentGeometry, PlaneGrid

    kind, points, starts, grid = (settings[name] for name in ("kind", "points", "starts", "plane_points"))
    finely = GeodesicSearch(max_axes=None, tol=1e-3, max_iterations=100)
    among = replace(finely, starts=starts, neighbours=10)
    pairs, observations = settings["pairs"], settings["observations"]
    try:
        return {
            "spectrum, volume, curvature": LatentGeometry(kind=kind, plane_points=grid),
            "geodesics": LatentGeodesics(kind=kind, pairs=pairs, points=points, plane=PlaneGrid(grid), search=among),
            "distances, Fréchet means": LatentDistances(
                kind=kind, observations=observations, points=points, search=finely
            ),
        }
    except ValueError as error:
        raise UsageError(str(error)) from error


def collector() -> Any:
    """Return a logger that keeps scalars in `scalars`."""
    from pytorch_lightning.loggers.logger import DummyLogger

    class Collector(DummyLogger):
        log_all = True

        def __init__(self) -> None:
            super().__init__()
            self.scalars: dict[str, float] = {}

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            """Keep the numbers."""
            self.scalars |= {key: float(value) for key, value in metrics.items()}

    return Collector()


def _uri(file: Path) -> str:
    return f"data:image/{file.suffix[1:]};base64,{base64.b64encode(file.read_bytes()).decode()}"
