"""Run the experiments of the model gallery and put their pictures and numbers into its pages.

A page docs/pages/gallery/NAME.md names its experiment in an indented line `lsgen train experiment=NAME`; what stands
after its marker is written here, the rest by hand:

    <!-- measured: FIGURE; KEY, KEY, ... -->

FIGURE is a log key of an image, such as traversal/axes, and each KEY a column of metrics.csv; the bound, its terms and
the active units on the test set are given in any case.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lsgen.runs import last_metrics

PAGES = Path(__file__).resolve().parent.parent / "docs" / "pages" / "gallery"
MARKER = re.compile(r"^<!-- measured: ([\w/]+);(.*)-->\n", re.MULTILINE)
COMMAND = re.compile(r"^    lsgen train experiment=(\w+)$", re.MULTILINE)
ALWAYS = {
    "test/elbo": "ELBO on the test set, nats",
    "test/reconstruction": "−log p(x\\|z) on the test set, nats",
    "test/kl": "KL on the test set, nats",
    "test/active_units": "active units",
}
LARGEST, WIDEST = 100_000, 800


def pages(names: list[str]) -> list[Path]:
    """Return the pages with a marker, or those named."""
    known = {path.stem: path for path in sorted(PAGES.glob("*.md")) if MARKER.search(path.read_text())}
    if unknown := set(names) - set(known):
        raise SystemExit(f"expected pages out of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    return [known[name] for name in names or known]


def train(experiment: str, run: Path) -> None:
    """Train an experiment into a run directory."""
    command = ["lsgen", "train", f"experiment={experiment}", f"run_dir={run}", "logger=csv", "report=false"]
    subprocess.run(command, check=True)


def picture(run: Path, key: str, target: Path) -> None:
    """Copy the last picture of a key, with as few colours and as small as 100 kB ask for."""
    files = sorted((run / "figures" / key).glob("*.png"))
    if not files:
        raise SystemExit(f"expected a picture {key} in {run}, found none")
    image = Image.open(files[-1]).convert("RGB")
    scale = min(1.0, WIDEST / image.width)
    while True:
        size = (round(image.width * scale), round(image.height * scale))
        image.resize(size, Image.Resampling.LANCZOS).quantize(32).save(target, optimize=True)
        if target.stat().st_size <= LARGEST:
            return
        scale *= 0.85


def table(run: Path, keys: list[str]) -> str:
    """Return the last values of the columns as a table."""
    values = last_metrics(run / "metrics.csv")
    rows = [(ALWAYS.get(key, f"`{key}`"), values[key]) for key in [*ALWAYS, *keys] if key in values]
    steps = int(values["step"])
    lines = [f"| {name} | {value:.4g} |" for name, value in rows if value == value]
    return "\n".join(["| measured | |", "|---|---|", f"| generator steps | {steps:,} |", *lines]) + "\n"


def write(page: Path, run: Path) -> None:
    """Renew what stands after the marker of a page."""
    text = page.read_text()
    found = MARKER.search(text)
    assert found is not None
    key, keys = found[1], [name.strip() for name in found[2].split(",") if name.strip()]
    (PAGES / "images").mkdir(exist_ok=True)
    picture(run, key, PAGES / "images" / f"{page.stem}.png")
    figure = f"![{key.replace('/', ', ')}](images/{page.stem}.png)"
    page.write_text(f"{text[: found.end()]}\n{figure}\n\n{table(run, keys)}")


def main() -> int:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="pages, by the name of the model; all by default")
    parser.add_argument("--runs", type=Path, help="directory of finished runs, by experiment, that are not run again")
    arguments = parser.parse_args()
    for page in pages(arguments.names):
        command = COMMAND.search(page.read_text())
        if command is None:
            raise SystemExit(f"expected a line `lsgen train experiment=NAME` in {page}, found none")
        done = arguments.runs / command[1] if arguments.runs else None
        if done is not None and (done / "metrics.csv").is_file():
            write(page, done)
            continue
        folder = Path(tempfile.mkdtemp())
        try:
            train(command[1], folder / "run")
            write(page, folder / "run")
        finally:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
