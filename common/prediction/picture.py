"""Is a clip filmed as a network can take it: sizes and lenses that no camera has, and views that are unlike those it was trained on."""

import numpy as np
from torch import Tensor

from common.datasets.anomalies import warn
from common.errors import DuaError
from common.prediction.lifter import Lifter

_LONGEST = 10.0
"""Sides of a picture to each other: panoramas are 4 to 1."""
_SMALLEST = 0.005
"""Of the picture's longer side: people as long as that are five pixels of a thousand."""
_FITS, _LIES_OUT, _REFUSED = 0.01, 0.05, 0.25
"""Shares of joints outside of the picture: with its sides exchanged at most, as given at least, and from which on it is an error."""


def check_sides(seen: np.ndarray, width: int, height: int) -> None:
    """Raise a `DuaError` for a picture that is a strip, or in which joints (N, 2) lie only if its sides are exchanged; ask where
    they nearly do."""
    if max(width, height) > _LONGEST * min(width, height):
        raise DuaError(f"image_size {width} x {height} is a strip that no camera films; give WIDTH and HEIGHT of the frames")
    if not len(seen):
        return
    as_given, exchanged = (_outside(seen, *size) for size in ((width, height), (height, width)))
    if as_given > _LIES_OUT and exchanged < _FITS:
        said = (
            f"{as_given:.0%} of the joints lie outside a picture of {width} x {height} pixels, and only {exchanged:.0%} outside one of "
            f"{height} x {width}: width and height are exchanged (image_size, --image_size WIDTH HEIGHT)"
        )
        if as_given > _REFUSED:
            raise DuaError(said)
        warn(f"{said}?")


def check_length(pixels: np.ndarray, width: int, height: int) -> None:
    """Raise a `DuaError` if the person of (T, 16, 2) pixels is a dot in a picture of that size."""
    length = float(np.median(np.ptp(pixels, axis=1).max(axis=1)))
    if length < _SMALLEST * max(width, height):
        raise DuaError(
            f"people are {length:.0f} pixels long in a picture of {width} x {height}, which no detector sees: give the size of the "
            "frames that the joints were found in (image_size, --image_size WIDTH HEIGHT)"
        )


def _outside(seen: np.ndarray, width: int, height: int) -> float:
    return float(((seen < 0) | (seen > (width, height))).any(axis=1).mean())


def warn_if_outside(lifter: Lifter, inputs_2d: Tensor, focal_length: float | None, clip: str) -> None:
    """A line on stderr if most frames of a clip are unlike what the network was trained on; nothing where that is not known.

    Args:
        inputs_2d: (T, 16, 2) as the network gets them.
        focal_length: of the camera, in screen coordinates, if it is known.
        clip: its name.
    """
    trained = lifter.trained_range
    found = trained.outside(inputs_2d.cpu().numpy(), focal_length) if trained else []
    if found:
        warn(
            f"{clip} is unlike what {lifter.file} was trained on, so errors are larger: {'; '.join(found)}. A network trained with "
            "--augment has seen more sizes and places"
        )
