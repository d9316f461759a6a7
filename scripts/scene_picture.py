"""Draw scenes of sprites with captions, questions and opinions into docs/pages/assets/scenes.png.

python scripts/scene_picture.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from lsgen.data import CaptionedSprites, MultimodalData, SpriteQuestions, SpriteSentiment
from lsgen.viz.image_grid import TextLine, captioned
from lsgen.viz.style import MUTED

FILE = Path(__file__).resolve().parents[1] / "docs" / "pages" / "assets" / "scenes.png"


def main() -> None:
    """Draw what the test splits begin with."""
    images, lines = [], []
    sets: list[tuple[MultimodalData, int, tuple[str, ...]]] = [
        (CaptionedSprites(), 2, ()),
        (CaptionedSprites(scenes={"sprites": 2}), 2, ()),
        (SpriteQuestions(scenes={"sprites": 3}), 4, SpriteQuestions.answers),
        (SpriteSentiment(), 4, SpriteSentiment.answers),
    ]
    for data, n, answers in sets:
        batch = data.probe(n, "test")
        parts = data.packing.unpack(batch["x"])
        name = data.packing.names[1]
        images.append((parts["image"].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8))
        for i, text in enumerate(data.vocabularies[name].decode(parts[name])):
            lines.append([TextLine(text), *([TextLine(answers[batch["label"][i]], MUTED)] if answers else [])])
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    Image.fromarray(captioned(np.concatenate(images), lines, columns=4, width=160)).save(file)


if __name__ == "__main__":
    main()
