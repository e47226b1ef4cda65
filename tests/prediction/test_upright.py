"""Poses in camera axes are turned into a world in which up is up."""

import numpy as np
import pytest

from common.prediction.upright import camera_to_y_up


def test_the_world_is_upright():
    camera_up = np.array([0.0, -np.cos(0.3), -np.sin(0.3)])  # in the axes of a camera that looks down by 0.3
    np.testing.assert_allclose(camera_to_y_up(camera_up, np.degrees(0.3)), [0, 1, 0], atol=1e-12)
    # Somebody facing an upright camera: towards it is z, and to their left is x, as in the rest pose.
    np.testing.assert_allclose(camera_to_y_up(np.array([[0.0, 0, -1], [1, 0, 0]])), [[0, 0, 1], [1, 0, 0]], atol=1e-12)


def test_a_camera_that_is_rolled_sees_what_stands_upright_lean_the_other_way():
    leaning = np.array([-np.sin(0.2), -np.cos(0.2), 0.0])  # to the left in the picture: the camera is turned clockwise by 0.2
    np.testing.assert_allclose(camera_to_y_up(leaning, camera_roll=np.degrees(0.2)), [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(("pitch", "roll"), [(0.3, 0.2), (-0.4, 1.0)])
def test_roll_is_about_the_optical_axis_of_a_camera_that_looks_down(pitch, roll):
    """The camera is built in the world: level, then tilted down about its horizontal axis, then turned about where it looks."""
    right, forward = np.array([1.0, 0, 0]), np.array([0.0, -np.sin(pitch), -np.cos(pitch)])
    down = np.cross(forward, right)
    x = np.cos(roll) * right + np.sin(roll) * down
    y = np.cos(roll) * down - np.sin(roll) * right
    axes = camera_to_y_up(np.eye(3), np.degrees(pitch), np.degrees(roll))
    np.testing.assert_allclose(axes, [x, y, forward], atol=1e-12)
