"""Print the lower bounds of setup.cfg as constraints for pip: the oldest version of every requirement.

python scripts/oldest.py [EXTRA ...]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path


def lower_bounds(setup: ConfigParser, extras: Sequence[str]) -> Iterator[str]:
    """Yield `NAME==VERSION` for the requirements that have a lower bound, those of the package and of some extras."""
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    for requirement in filter(None, (line.strip() for text in texts for line in text.splitlines())):
        if (bound := re.fullmatch(r"([\w.-]+)(?:\[.*\])?(?:>=|==)([\w.]+)(?:,.*)?", requirement)) is not None:
            yield f"{bound[1]}=={bound[2]}"


def main(extras: Sequence[str]) -> None:
    """Print the constraints, one a line."""
    setup = ConfigParser()
    setup.read(Path(__file__).resolve().parent.parent / "setup.cfg")
    print("\n".join(lower_bounds(setup, extras)))


if __name__ == "__main__":
    main(sys.argv[1:])
