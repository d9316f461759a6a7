"""Draw the figures of the page on phase transitions: curves of theory beside what exact denoisers give.

    python scripts/phase_figures.py [FOLDER]

writes speciation.png, collapse.png, potential.png and clones.png into FOLDER, docs/pages/assets/phases unless given.
The first three are what the reproductions of the papers draw, with fewer clones and observations; the last is what
`PhaseTransitions` draws of the exact denoiser of two classes of points in the plane.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lsgen import viz
from lsgen.callbacks import Cloning, PhaseTransitions
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import Deterministic, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.samplers import Heun
from lsgen.models.diffusion.space import NoiseDecoder, NoiseEncoder, NoiseSpace
from lsgen.reproduction.comparisons.class_clones import ClassClones
from lsgen.reproduction.comparisons.collapse_times import CollapseTimes
from lsgen.reproduction.comparisons.symmetry_breaking import SymmetryBreaking
from lsgen.reproduction.drawing import Results
from lsgen.reproduction.figures.curves import Curves

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pages" / "assets" / "phases"
DIMS = (64, 256)


def drawn(name: str, calculation: Any, panels: dict[str, dict[str, str]], folder: Path) -> None:
    """Write the figure of a calculation, whose arrays panels name."""
    torch.manual_seed(0)
    arrays = {(None, None, f"{name}/{key}"): array for key, array in calculation({}).arrays.items()}
    attempt: Any = None
    figure = Curves(panels, 2)(Results(attempt, lambda arm: [], arrays))
    (folder / f"{name}.png").write_bytes(viz.pdf_and_png(figure, 160)["png"])


def clones(folder: Path) -> None:
    """Write what the callback draws of the exact denoiser of two classes of points."""
    torch.manual_seed(0)
    side = torch.tensor([1.5, 0.0])
    x = torch.cat([side + 0.3 * torch.randn(100, 2), -side + 0.3 * torch.randn(100, 2)])
    decoder = NoiseDecoder(MixtureDenoiser(LinearLogSNR(), torch.stack([side, -side]), 0.3), Heun(2), Guidance())
    space = NoiseSpace(NoiseEncoder(decoder), decoder, FixedGaussian((2,)), StandardNormal(2), Deterministic())
    with TemporaryDirectory(dir=folder) as place:  # of the same file system
        sink = Sink(Path(place), 0, [])
        PhaseTransitions(cloning=Cloning(1000, 60, 19)).run(space, Probe(x), sink)
        sink.close()
        (made,) = Path(place).rglob("agreement/*.png")
        made.replace(folder / "clones.png")


def main(arguments: list[str]) -> int:
    """Write all figures; return the exit code."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    speciation = {
        "Two classes in 256 dimensions": {
            "x": "speciation/times",
            "points": "speciation/clones_curve",
            "lines": "speciation/theory_curve",
            "xlabel": "t / t_S",
            "ylabel": "pairs of equal class",
        }
    }
    collapse = {
        f"{dim} dimensions": {
            "x": f"collapse/times_{dim}",
            "points": f"collapse/measured_{dim}",
            "lines": f"collapse/formula_{dim}",
            "xlabel": "t - t_C",
            "ylabel": "excess entropy",
        }
        for dim in DIMS
    }
    potential = {
        "Potential of the reverse drift, by θ": {
            "x": "potential/x",
            "lines": "potential/potential",
            "names": "potential/scales",
            "xlabel": "x",
            "ylabel": "u",
        }
    }
    drawn("speciation", ClassClones(clones=500, repeats=3, steps=100), speciation, folder)
    offsets = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4, 0.6, 0.9)
    drawn("collapse", CollapseTimes(DIMS, 2000, 500, 2, offsets), collapse, folder)
    drawn("potential", SymmetryBreaking(), potential, folder)
    clones(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
