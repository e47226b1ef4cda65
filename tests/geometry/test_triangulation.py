"""Triangulation, on cameras whose points are known exactly, and against a transcription that takes one point at a time."""

import numpy as np
import pytest

from common.geometry.camera import Camera, project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.triangulation import projection_matrix, triangulate

CAMERAS = [
    Camera(c.name, c.resolution, c.focal_length, c.center, orientation=c.orientation, translation=c.translation)
    for c in h36m_cameras("S1")
]
PROJECTIONS = np.stack([projection_matrix(camera) for camera in CAMERAS])


@pytest.fixture
def points():
    return np.random.default_rng(4).uniform((-1, -1, 0), (1, 1, 1.8), (50, 3))


@pytest.fixture
def seen(points):
    """(4, 50, 2) pixels."""
    return np.stack([project_to_2d(world_to_camera(points, camera), camera) for camera in CAMERAS])


def weights_of(seen):
    return np.ones(seen.shape[:2])


def test_a_projection_matrix_does_what_the_camera_does(points, seen):
    for projection, pixels in zip(PROJECTIONS, seen, strict=True):
        u, v, depth = projection @ np.column_stack([points, np.ones(len(points))]).T
        np.testing.assert_allclose(np.column_stack([u / depth, v / depth]), pixels, atol=1e-9)


def test_exact_points_come_back(points, seen):
    places, errors = triangulate(seen, weights_of(seen), PROJECTIONS)
    np.testing.assert_allclose(places, points, atol=1e-9)
    assert errors.shape == (4, 50)
    assert errors.max() < 1e-6


@pytest.mark.parametrize("wrong", range(4))
def test_a_camera_that_errs_is_left_out_where_it_does(points, seen, wrong):
    seen[wrong, 10:20] += (90, -60)
    places, errors = triangulate(seen, weights_of(seen), PROJECTIONS)
    np.testing.assert_allclose(places, points, atol=1e-9)
    assert np.isnan(errors[wrong, 10:20]).all()
    errors[wrong, 10:20] = 0
    assert errors.max() < 1e-6


def test_two_cameras_are_not_enough_unless_that_is_said(points, seen):
    weights = weights_of(seen)
    weights[:2, 7] = 0  # not seen
    seen[1:3, 8] = np.nan
    seen[0, 9] += 200  # of three that see it, one errs
    weights[3, 9] = 0
    places, errors = triangulate(seen, weights, PROJECTIONS)
    assert np.flatnonzero(np.isnan(places).any(axis=1)).tolist() == [7, 8, 9]
    assert np.isnan(errors[:, 7:10]).all()
    np.testing.assert_allclose(np.delete(places, [7, 8, 9], axis=0), np.delete(points, [7, 8, 9], axis=0), atol=1e-9)
    places, _ = triangulate(seen, weights, PROJECTIONS, fewest=2)
    np.testing.assert_allclose(places[7:9], points[7:9], atol=1e-9)


def test_cameras_that_all_say_something_else_find_nothing(points, seen):
    seen += np.random.default_rng(1).normal(0, 300, seen.shape)
    assert np.isnan(triangulate(seen, weights_of(seen), PROJECTIONS)[0]).all()


def test_weights_and_errors_are_as_defined(points, seen):
    """One point at a time: w (u p_3 - p_1) X = 0 and w (v p_3 - p_2) X = 0 in least squares with |X| = 1."""
    generator = np.random.default_rng(2)
    seen += generator.normal(0, 3, seen.shape)
    weights = generator.uniform(0.5, 1, seen.shape[:2])
    places, errors = triangulate(seen, weights, PROJECTIONS)
    for n in range(len(points)):
        rows = []
        for projection, (u, v), weight in zip(PROJECTIONS, seen[:, n], weights[:, n], strict=True):
            rows += [weight * (u * projection[2] - projection[0]), weight * (v * projection[2] - projection[1])]
        eigenvalues, vectors = np.linalg.eigh(np.array(rows).T @ np.array(rows))
        expected = vectors[:3, 0] / vectors[3, 0]
        assert eigenvalues[0] < eigenvalues[1]
        np.testing.assert_allclose(places[n], expected, atol=1e-6)
        u, v, depth = PROJECTIONS[0] @ np.append(expected, 1)
        assert errors[0, n] == pytest.approx(np.hypot(u / depth - seen[0, n, 0], v / depth - seen[0, n, 1]), abs=1e-3)
    uniform, _ = triangulate(seen, weights_of(seen), PROJECTIONS)
    assert np.abs(uniform - places).max() > 1e-4
