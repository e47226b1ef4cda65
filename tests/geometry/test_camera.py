"""Cameras: rotations, projection and screen coordinates, against transcriptions that share nothing with `common.geometry.camera`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.geometry.camera import (
    Camera,
    camera_to_world,
    image_coordinates,
    normalize_screen_coordinates,
    project_to_2d,
    quaternion_to_matrix,
    world_to_camera,
)
from common.geometry.h36m_cameras import CALIBRATED_SUBJECTS, h36m_cameras

PUBLISHED = [pytest.param(s, c, id=f"{s}-{c.name}") for s in CALIBRATED_SUBJECTS for c in h36m_cameras(s)]

finite = st.floats(-5, 5, allow_nan=False)
quaternions = st.tuples(finite, finite, finite, finite).filter(lambda q: sum(v * v for v in q) > 1e-3)


@given(quaternions)
def test_quaternion_gives_a_rotation(quaternion):
    matrix = quaternion_to_matrix(np.array(quaternion))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-12)


@given(quaternions)
def test_quaternion_agrees_with_scipy(quaternion):
    w, x, y, z = quaternion
    expected = Rotation.from_quat([x, y, z, w]).as_matrix()
    np.testing.assert_allclose(quaternion_to_matrix(np.array(quaternion)), expected, atol=1e-12)


def test_quaternions_in_a_batch():
    batch = np.random.default_rng(0).normal(size=(2, 5, 4))
    matrices = quaternion_to_matrix(batch)
    assert matrices.shape == (2, 5, 3, 3)
    np.testing.assert_allclose(matrices[1, 3], quaternion_to_matrix(batch[1, 3]))


def test_world_to_camera_by_hand():
    # A camera at (1, 2, 3) that looks along the world's +x, image right = -y, image down = -z.
    axes = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # columns: the camera's x, y, z axes in the world
    x, y, z, w = Rotation.from_matrix(axes).as_quat()
    camera = Camera("c", (100, 100), (1, 1), (0, 0), orientation=(w, x, y, z), translation=(1, 2, 3))
    ahead, left, above = np.array([5.0, 2, 3]), np.array([1.0, 4, 3]), np.array([1.0, 2, 6])
    np.testing.assert_allclose(world_to_camera(ahead, camera), [0, 0, 4], atol=1e-12)
    np.testing.assert_allclose(world_to_camera(left, camera), [-2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(world_to_camera(above, camera), [0, -3, 0], atol=1e-12)


@pytest.mark.parametrize(("subject", "camera"), PUBLISHED)
def test_world_camera_round_trip(subject, camera):
    points = np.random.default_rng(1).normal(size=(7, 16, 3))
    there = world_to_camera(points, camera)
    assert np.abs(there - points).max() > 1
    np.testing.assert_allclose(camera_to_world(there, camera), points, atol=1e-12)
    # A rigid movement keeps distances.
    np.testing.assert_allclose(
        np.linalg.norm(there[:, 0] - there[:, 5], axis=-1), np.linalg.norm(points[:, 0] - points[:, 5], axis=-1), atol=1e-12
    )


@pytest.mark.parametrize(("subject", "camera"), PUBLISHED)
def test_optical_axis_meets_the_centre(subject, camera):
    for depth in (0.5, 5.0):
        np.testing.assert_allclose(project_to_2d(np.array([0.0, 0.0, depth]), camera), camera.center, atol=1e-9)


def _project_scalar(point, camera):
    """Brown-Conrady as the field's Human3.6M files were made (VideoPose3D), one number at a time."""
    x, y = point[0] / point[2], point[1] / point[2]
    k1, k2, k3 = camera.radial_distortion
    p1, p2 = camera.tangential_distortion
    r = math.hypot(x, y)
    radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
    dx = x * radial + p1 * x**2 + p2 * x * y + p1 * r**2
    dy = y * radial + p1 * x * y + p2 * y**2 + p2 * r**2
    return camera.focal_length[0] * dx + camera.center[0], camera.focal_length[1] * dy + camera.center[1]


@pytest.mark.parametrize(("subject", "camera"), PUBLISHED[:4])
def test_projection_agrees_with_a_scalar_transcription(subject, camera):
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.uniform(-2, 2, (50, 2)), rng.uniform(3, 8, (50, 1))], axis=1)  # within the bound of 1
    expected = [_project_scalar(point, camera) for point in points]
    np.testing.assert_allclose(project_to_2d(points, camera), expected, atol=1e-9)


def test_projection_without_distortion_is_a_pinhole():
    camera = Camera("c", (320, 240), (600, 500), (160, 120))
    np.testing.assert_allclose(project_to_2d(np.array([[0.5, -0.2, 2.0]]), camera), [[310.0, 70.0]])


def test_projection_bounds_points_far_beside_the_camera():
    camera = h36m_cameras("S1")[0]
    edge, beyond = project_to_2d(np.array([[4.0, 0, 4], [400.0, 0, 4]]), camera)
    np.testing.assert_allclose(edge, beyond)


def test_projection_leaves_its_input_alone():
    points = np.array([[400.0, 1, 4]])
    kept = points.copy()
    project_to_2d(points, h36m_cameras("S1")[0])
    np.testing.assert_array_equal(points, kept)


def test_screen_coordinates_of_the_corners():
    corners = np.array([[0, 0], [1000, 0], [500, 501], [1000, 1002]])
    expected = [[-1, -1.002], [1, -1.002], [0, 0], [1, 1.002]]
    np.testing.assert_allclose(normalize_screen_coordinates(corners, 1000, 1002), expected, atol=1e-12)


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.lists(st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)), min_size=1, max_size=5),
)
def test_screen_coordinates_round_trip(width, height, pixels):
    pixels = np.array(pixels)
    screen = normalize_screen_coordinates(pixels, width, height)
    np.testing.assert_allclose(image_coordinates(screen, width, height), pixels, atol=1e-8)
    # x and y are scaled alike: a circle stays a circle
    np.testing.assert_allclose(screen - screen[0], (pixels - pixels[0]) * 2 / width, atol=1e-8)


@pytest.mark.parametrize(("subject", "camera"), PUBLISHED)
def test_published_quaternion_is_unit(subject, camera):
    assert math.fsum(v * v for v in camera.orientation) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("subject", "camera"), PUBLISHED)
def test_published_camera_looks_at_the_capture_centre(subject, camera):
    centre = world_to_camera(np.array([0.0, 0.0, 1.0]), camera)
    assert 3 < centre[2] < 7  # metres in front of it: millimetres or an inverse rotation would show
    (x, y), (width, height) = project_to_2d(centre, camera), camera.resolution
    assert 0 < x < width
    assert 0 < y < height
    # The head is above the feet in the image.
    assert project_to_2d(world_to_camera(np.array([0.0, 0.0, 1.7]), camera), camera)[1] < y


@pytest.mark.parametrize("subject", CALIBRATED_SUBJECTS)
def test_published_cameras_stand_around_the_capture_space(subject):
    cameras = h36m_cameras(subject)
    assert [camera.name for camera in cameras] == ["54138969", "55011271", "58860488", "60457274"]
    quadrants = {(camera.translation[0] > 0, camera.translation[1] > 0) for camera in cameras}
    assert len(quadrants) == 4
    assert all(1.4 < camera.translation[2] < 1.7 for camera in cameras)


@pytest.mark.parametrize("subject", ["S2", "S3", "S4", "S10", "s1", ""])
def test_no_calibration_is_a_key_error(subject):
    with pytest.raises(KeyError):
        h36m_cameras(subject)
