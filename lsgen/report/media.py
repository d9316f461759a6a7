"""Pictures and sounds as data URIs within a size budget: of pictures the latest of each key always."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from urllib.parse import quote

from PIL import Image

from lsgen.report.run_contents import Medium

__all__ = ["BUDGET", "choose", "image_uri", "size", "sound_sources", "thumbnail", "uri"]

BUDGET = 5_500_000
_HEARD = 4_000_000  # bytes of all sounds within a page
_HISTORY = 10


def choose(media: Mapping[str, Sequence[Medium]], budget: int = BUDGET) -> dict[str, list[Medium]]:
    """Return the pictures to show by key, in the order of their steps.

    The latest of every key is always among them. Stills get a history of up to ten steps, evenly spread, all keys
    one step each in turn for as long as all that is chosen stays within the budget; animations get none.

    Args:
        media: pictures by key, in the order of their steps.
        budget: bytes of all files together; in the page they take a third more.

    """
    chosen = {key: [pictures[-1]] for key, pictures in media.items() if pictures}
    spent = sum(picture.path.stat().st_size for (picture,) in chosen.values())
    waiting = {key: _spread(media[key]) for key, (latest,) in chosen.items() if latest.path.suffix == ".png"}
    for turn in range(_HISTORY):
        for key, pictures in waiting.items():
            size = pictures[turn].path.stat().st_size if turn < len(pictures) else 0
            if size and spent + size <= budget:
                chosen[key].append(pictures[turn])
                spent += size
    return {key: sorted(pictures, key=lambda picture: picture.step) for key, pictures in chosen.items()}


def _spread(pictures: Sequence[Medium]) -> list[Medium]:
    """Return an even choice of all pictures but the last, the first one first, then those that halve the gaps."""
    earlier = list(pictures[:-1])
    count = min(len(earlier), _HISTORY - 1)
    if not count:
        return []
    even = [earlier[round(i * (len(earlier) - 1) / max(count - 1, 1))] for i in range(count)]
    return sorted(even, key=lambda picture: _binary_rank(even.index(picture), count))


def _binary_rank(index: int, count: int) -> int:
    """Return a rank in which 0 comes first, then the middle, then the quarters."""
    bits = max(count - 1, 1).bit_length()
    return int(format(index, f"0{bits}b")[::-1], 2)


def size(picture: Medium) -> tuple[int, int]:
    """Return width and height in pixels."""
    with Image.open(picture.path) as image:
        return image.size


def uri(picture: Medium) -> str:
    """Return a picture as a data URI."""
    return image_uri(picture.path.read_bytes(), picture.path.suffix.removeprefix("."))


def image_uri(content: bytes, kind: str) -> str:
    """Return the content of an image file as a data URI."""
    return f"data:image/{kind};base64,{b64encode(content).decode('ascii')}"


def sound_sources(sounds: Mapping[str, Medium], budget: int = _HEARD) -> dict[str, str]:
    """Return where a page in the run directory finds each sound: in itself, the smallest first, or beside it.

    Args:
        sounds: the sounds by key.
        budget: bytes of all files that are within the page; there they take a third more.

    """
    sources, spent = {}, 0
    for key, sound in sorted(sounds.items(), key=lambda one: one[1].path.stat().st_size):
        spent += sound.path.stat().st_size
        encoded = (
            f"data:audio/wav;base64,{b64encode(sound.path.read_bytes()).decode('ascii')}" if spent <= budget else ""
        )
        sources[key] = encoded or quote(f"figures/{key}/{sound.path.name}")
    return sources


def thumbnail(picture: Medium, side: int) -> bytes:
    """Return a still of a picture as JPEG, at most `side` pixels wide and high; of an animation the first."""
    with Image.open(picture.path) as image:
        still = image.convert("RGB")
    still.thumbnail((side, side))
    out = BytesIO()
    still.save(out, "JPEG", quality=82)
    return out.getvalue()
