"""Focal lengths and fields of view that a user gives."""

import math

import numpy as np
import pytest

from common.errors import DuaError
from common.prediction.lens import ASSUMED_FOV, focal_length_of, given_lens


def test_the_field_of_view_is_along_the_longer_side():
    for size in ((1920, 1080), (1080, 1920)):
        assert focal_length_of(90, size) == pytest.approx(960)
        seen = 2 * np.degrees(np.arctan(960 / focal_length_of(ASSUMED_FOV, size)))
        assert seen == pytest.approx(55)


def test_what_is_given_is_checked():
    size = (1280, 720)
    assert given_lens(None, None, size) is None
    assert given_lens(1000, None, size) == 1000
    assert given_lens(None, 60, size) == pytest.approx(640 * math.sqrt(3))
    assert given_lens(None, 5, size) == pytest.approx(640 / math.tan(math.radians(2.5)))
    for fov in (4.9, 150.1, 0, -60, math.nan, math.inf):
        with pytest.raises(DuaError, match=r"5 to 150 degrees.*\(fov, --fov\)"):
            given_lens(None, fov, size)
    for focal_length in (0, -5, math.nan, math.inf):
        with pytest.raises(DuaError, match="a positive number of pixels"):
            given_lens(focal_length, None, size)
    with pytest.raises(DuaError, match="give one of them"):
        given_lens(1000, 60, size)
