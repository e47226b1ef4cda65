"""The lens of a camera: its focal length, as it is given, from its field of view, or assumed.

Cameras are pinholes with square pixels and the principal point in the middle of the picture.
"""

import math

from common.datasets.anomalies import warn
from common.datasets.views import FIELD
from common.errors import DuaError

ASSUMED_FOV = FIELD
"""Degrees along the picture's longer side: between a phone's main camera (60 to 80) and a laboratory's (45)."""
_LEAST_FOV, _MOST_FOV = 5.0, 150.0

_WIDEST, _LENGTHIEST = 0.1, 100.0
"""Focal lengths in widths of the picture: a field of view of 157 degrees, and of half a degree."""
_WIDE, _LONG = 0.3, 10.0
"""Beyond these (118 degrees, 6 degrees) it is asked whether it is meant."""


def focal_length_of(fov_degrees: float, image_size: tuple[int, int]) -> float:
    """Pixels of focal length, of a field of view along the longer side of a picture of (width, height) pixels."""
    return max(image_size) / 2 / math.tan(math.radians(fov_degrees) / 2)


def given_lens(focal_length: float | None, fov: float | None, image_size: tuple[int, int]) -> float | None:
    """The focal length in pixels that a user has given, in one way or the other, checked; None if in neither.

    Raises:
        DuaError: both are given, or no camera has such a lens. Of a focal length that few have it is asked whether it is meant.
    """
    if focal_length is not None and fov is not None:
        raise DuaError("focal_length and fov say the same: give one of them (--focal_length PIXELS or --fov DEGREES)")
    if fov is not None:
        if not _LEAST_FOV <= fov <= _MOST_FOV:
            raise DuaError(
                f"fov {fov:g}: {_LEAST_FOV:g} to {_MOST_FOV:g} degrees along the picture's longer side are possible (fov, --fov)"
            )
        return focal_length_of(fov, image_size)
    if focal_length is not None:
        if not 0 < focal_length < math.inf:
            raise DuaError(f"focal_length {focal_length:g}: a positive number of pixels is needed (focal_length, --focal_length)")
        _check_focal_length(focal_length, image_size[0])
    return focal_length


def warn_of_assumed_lens(what: str) -> None:
    """A line on stderr that says why a lens matters and which one was taken.

    Args:
        what: wants it.
    """
    warn(
        f"{what}: {ASSUMED_FOV:g} degrees along the picture's longer side are assumed; --fov DEGREES or --focal_length PIXELS "
        "(fov, focal_length) of the camera give better places"
    )


def _check_focal_length(focal_length: float, width: int) -> None:
    share = focal_length / width
    if _WIDE <= share <= _LONG:
        return
    field = 2 * math.degrees(math.atan(0.5 / share))
    said = (
        f"a focal length of {focal_length:g} pixels sees {field:.3g} degrees of a picture {width} pixels wide; in pixels it is "
        "millimetres * width of the picture / width of the sensor (36 mm of full frame; phones give the equivalent of that)"
    )
    if not _WIDEST <= share <= _LENGTHIEST:
        raise DuaError(f"{said} (focal_length, --focal_length)")
    warn(said)
