"""Run the experiments of the model gallery and put their pictures and numbers into its pages.

A page docs/pages/gallery/NAME.md names its run in an indented line `lsgen train ...`; what stands after its marker is
written here, the rest by hand:

    <!-- measured: FIGURE; KEY, KEY, ... -->

FIGURE is a log key of an image, such as traversal/axes, and each KEY a column of metrics.csv; the bound, its terms and
the active units on the test set are given in any case. A model without a page is trained on the digits, and its
picture alone is kept.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lsgen.runs import last_metrics

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "docs"))
from hooks import FAMILIES, GALLERY, Page, pages

MARKER = re.compile(r"^<!-- measured: ([\w/]+);(.*)-->\n", re.MULTILINE)
COMMAND = re.compile(r"^    lsgen train (.+)$", re.MULTILINE)
ALWAYS = {
    "test/elbo": "ELBO on the test set, nats",
    "test/reconstruction": "−log p(x\\|z) on the test set, nats",
    "test/kl": "KL on the test set, nats",
    "test/active_units": "active units",
}
LARGEST, WIDEST = 100_000, 800


def chosen(names: list[str]) -> list[Page]:
    """Return the pages with a marker and those that are made, or those named."""
    known = {page.name: page for page in pages() if MARKER.search(page.text) or not _file(page).is_file()}
    if unknown := set(names) - set(known):
        raise SystemExit(f"expected pages out of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    return [known[name] for name in names or known]


def _file(page: Page) -> Path:
    return GALLERY / f"{page.name}.md"


def train(composed: list[str], run: Path) -> None:
    """Train into a run directory."""
    subprocess.run(["lsgen", "train", *composed, f"run_dir={run}", "logger=csv", "report=false"], check=True)


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


def write(page: Page, run: Path) -> None:
    """Renew what stands after the marker of a page, or the picture alone of a page that is made."""
    (GALLERY / "images").mkdir(exist_ok=True)
    image, found = GALLERY / "images" / f"{page.name}.png", MARKER.search(page.text)
    if found is None:
        picture(run, "sample/grid" if page.section in FAMILIES.values() else "traversal/axes", image)
        return
    key, keys = found[1], [name.strip() for name in found[2].split(",") if name.strip()]
    picture(run, key, image)
    figure = f"![{key.replace('/', ', ')}](images/{image.name})"
    _file(page).write_text(f"{page.text[: found.end()]}\n{figure}\n\n{table(run, keys)}")


def main() -> int:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="pages, by the name of the model; all by default")
    parser.add_argument("--runs", type=Path, help="directory of finished runs, by model, that are not run again")
    arguments = parser.parse_args()
    for page in chosen(arguments.names):
        command = COMMAND.search(page.text)
        if command is None:
            raise SystemExit(f"expected a line `lsgen train ...` in gallery/{page.name}.md, found none")
        done = arguments.runs / page.name if arguments.runs else None
        if done is not None and (done / "metrics.csv").is_file():
            write(page, done)
            continue
        with tempfile.TemporaryDirectory() as folder:
            train(command[1].split(), Path(folder) / "run")
            write(page, Path(folder) / "run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
