"""What is written where no joint was found is told from places, and third columns from coordinates."""

import numpy as np
import pytest

from common.geometry.missing import confidences_of, interpolate_in_time, is_place


def test_only_exact_marks_are_no_places():
    points = [
        [0, 0],
        [-1, -1],
        [np.nan, 3],
        [np.inf, 3],
        [1e7, 3],
        [0, 1],
        [0.001, 0],
        [-1, 0],
        [-1, -0.999],
        [-0.0, -0.0],
        [5, 6],
    ]
    assert is_place(np.array(points)).tolist() == [False] * 5 + [True] * 4 + [False, True]
    assert is_place(np.zeros((2, 3, 2), dtype=int)).shape == (2, 3)


@pytest.mark.parametrize(
    ("scale", "last", "confidence"),
    [
        (500, [0, 0.4, 1.02], True),
        (500, [0, 1, 2], True),
        (500, [0.1, 3.5, 6], True),  # AlphaPose's
        (1, [0, 0.4, 1], True),  # shares of an image
        (1, [0, 1, 2], True),
        (500, [np.nan, 0.4, 1], True),
        (500, [-1, 0.4, 1], False),
        (500, [100, 200, 300], False),  # millimetres
        (1, [0.4, 1.1, 1.8], False),  # metres above the floor
        (1, [-0.3, 0.1, 0.2], False),
    ],
)
def test_a_third_column_is_a_confidence_or_a_coordinate(scale, last, confidence):
    points = np.column_stack([np.full((3, 2), 0.7) * scale, last])
    found = confidences_of(points)
    assert (found is not None) == confidence
    if confidence:
        np.testing.assert_array_equal(found, last)


def test_gaps_are_bridged_in_time():
    joints = np.arange(12.0).reshape(6, 1, 2) * [[[1, 10]]] + [[[100, 0]]]
    expected = joints.copy()
    measured = np.array([[False], [True], [False], [False], [True], [False]])
    expected[0], expected[5] = joints[1], joints[4]
    joints[~measured[:, 0]] = 0
    interpolate_in_time(joints, measured)
    np.testing.assert_allclose(joints, expected)
