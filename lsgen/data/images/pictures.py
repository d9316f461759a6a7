"""Pictures of any kind that Pillow reads, turned into bytes of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lsgen.data.encodings import Encoding, image_encoding
from lsgen.data.loading import chosen_options
from lsgen.data.mapped import Shape

__all__ = ["BrokenPicture", "Fit", "Pictures", "picture_suffixes", "pixels_of", "read_picture", "shape_of"]

Fit = Literal["crop", "pad", "stretch"]

_ORIENTATION = 0x0112  # the tag of EXIF
_GREY = ("1", "L", "LA", "La", "I")
_TRANSPARENT = ("RGBA", "RGBa", "LA", "La", "PA")


class BrokenPicture(ValueError):
    """A file that should be a picture, and that Pillow cannot read."""


@dataclass(frozen=True)
class Pictures:
    """How pictures become observations.

    A picture is turned upright as its EXIF data say, put on the background where it is transparent, brought to 8 bits
    (v / 257 of 16), made grey or coloured, and resized with an antialiased bilinear filter. Of several frames the
    first is taken. Pillow itself keeps the upper 8 bits of colours of 16 bits.

    Attributes:
        size: height and width in pixels, or one number for both; None leaves pictures as they are, which must have one
            size then.
        channels: 1 for grey (luma of ITU-R 601), 3 for colour; None takes those of the first picture.
        fit: how another ratio of the sides is dealt with: "crop" cuts the middle out, "pad" adds margins of the
            background, "stretch" changes the ratio.
        background: level between 0, black, and 255, white.
        binarise: "none", "threshold", "static" or "dynamic".
        dequantise: whether uniform noise makes the levels continuous.
        flip: whether training pictures are mirrored left to right at random.

    Raises:
        ValueError: an option is out of its range.

    """

    size: int | Sequence[int] | None = None
    channels: int | None = None
    fit: Fit = "crop"
    background: int = 255
    binarise: str = "none"
    dequantise: bool = False
    flip: bool = False

    def __post_init__(self) -> None:
        for name in ("flip", "dequantise"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"expected pictures.{name} to be true or false, got {getattr(self, name)!r}")
        whole = [self.background]
        if self.size is not None:
            whole += [*self.size] if isinstance(self.size, Sequence) else [self.size]
        if not all(isinstance(number, int) and not isinstance(number, bool) for number in whole):
            raise ValueError(
                f"expected whole numbers as size and background of pictures, got {self.size!r} and {self.background!r}"
            )
        if self.sides is not None and (len(self.sides) != 2 or min(self.sides) < 1):
            raise ValueError(f"expected size as (height, width) or one number of pixels, got {self.size}")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"expected channels 1 or 3, or null for those of the first picture, got {self.channels}")
        if self.fit not in get_args(Fit):
            raise ValueError(f'expected fit "crop", "pad" or "stretch", got {self.fit!r}')
        if not 0 <= self.background <= 255:
            raise ValueError(f"expected a background between 0 and 255, got {self.background}")
        self.encoding()

    @classmethod
    def of(cls, options: Pictures | Mapping[str, Any]) -> Pictures:
        """Return what a data set's option `pictures` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "pictures")

    @property
    def sides(self) -> tuple[int, ...] | None:
        """Height and width, if they are stated."""
        if self.size is None:
            return None
        return (self.size, self.size) if isinstance(self.size, int) else tuple(int(side) for side in self.size)

    def encoding(self) -> Encoding:
        """Return the map from bytes to observations."""
        return image_encoding(256, self.dequantise, self.binarise)

    def shape(self, first: Shape) -> Shape:
        """Return the shape (C, H, W) of observations, for that of the first picture."""
        height, width = first[1:] if self.sides is None else self.sides
        return self.channels or first[0], height, width


def picture_suffixes() -> frozenset[str]:
    """Return the endings of file names that Pillow reads, such as ".png"."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def shape_of(image: Image.Image) -> Shape:
    """Return channels (1 or 3), height and width of an upright picture, without decoding it."""
    grey = image.mode in _GREY or image.mode.startswith("I;16")
    width, height = image.size
    if image.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
    return 1 if grey else 3, height, width


def pixels_of(image: Image.Image, shape: Shape, pictures: Pictures) -> NDArray[np.uint8]:
    """Return a picture as bytes of a shape (C, H, W).

    Raises:
        ValueError: it has another size and none is stated, is coloured where the first one was grey, or has values of
            more than 16 bits.

    """
    channels, height, width = shape
    own = shape_of(image)
    if pictures.sides is None and own[1:] != (height, width):
        raise ValueError(
            f"expected {width} x {height} pixels as in the first picture, got {own[2]} x {own[1]}: "
            "state a size for all by pictures.size"
        )
    if pictures.channels is None and own[0] > channels:
        raise ValueError("expected grey values as in the first picture, got colours: set pictures.channels to 1 or 3")
    image = _eight_bits(ImageOps.exif_transpose(image))
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA")
        beneath = Image.new("RGBA", image.size, (*[pictures.background] * 3, 255))
        image = Image.alpha_composite(beneath, image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = _resized(image, (width, height), pictures)
    values = np.asarray(image, dtype=np.uint8)
    return values[None] if channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1))


def read_picture(file: Path, shape: Shape, pictures: Pictures) -> NDArray[np.uint8]:
    """Return the picture in a file as bytes of a shape (C, H, W).

    Raises:
        BrokenPicture: Pillow cannot read it.
        ValueError: see `pixels_of`.
        OSError: the file is missing or must not be read.

    """
    image = open_picture(file)
    with image:
        try:
            image.load()
        except Exception as error:  # a decoder that meets damaged data raises nearly anything
            raise _broken(file, error) from error
        try:
            return pixels_of(image, shape, pictures)
        except ValueError as error:
            raise ValueError(f"{error} (in {file})") from error


def open_picture(file: Path) -> Image.Image:
    """Return the picture in a file.

    Raises:
        BrokenPicture: Pillow cannot read it.
        OSError: the file is missing or must not be read.

    """
    try:
        image = Image.open(file)
        try:
            image.getexif()  # which may be broken by itself, and of a .png needs the whole file
        except BaseException:
            image.close()
            raise
        return image
    except OSError as error:
        if error.errno is not None:  # the disk or the permissions are at fault, not what is in the file
            raise
        raise _broken(file, error) from error
    except Exception as error:
        raise _broken(file, error) from error


def _broken(file: Path, error: Exception) -> BrokenPicture:
    said = " ".join(str(error).split()) or type(error).__name__
    return BrokenPicture(
        f"expected a picture in {file}, got what is cut short, damaged or something else ({said}): mend or remove it, "
        "or leave such files out by broken=skip"
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture of 8 bits a channel."""
    if image.mode == "F":
        raise ValueError("expected whole numbers of 8 or 16 bits, got floating-point numbers")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    if "transparency" in image.info:
        raise ValueError("expected grey values of 16 bits without a transparent one, got one")
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"expected values of 16 bits, got values from {values.min()} to {values.max()}")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _resized(image: Image.Image, size: tuple[int, int], pictures: Pictures) -> Image.Image:
    filtered = Image.Resampling.BILINEAR
    if pictures.fit == "crop":
        return ImageOps.fit(image, size, filtered)
    if pictures.fit == "pad":
        colour = pictures.background if image.mode == "L" else (pictures.background,) * 3
        return ImageOps.pad(image, size, filtered, colour)
    return image.resize(size, filtered)
