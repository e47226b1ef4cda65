"""The hip's place is the one from which the pose is seen where its joints are."""

import numpy as np
import pytest

from common.errors import DuaError
from common.prediction.trajectory import along_and_across, roots_in_camera

SIZE, FOCAL = (1920, 1080), 1500.0


@pytest.fixture
def clip():
    """(T, 16, 3) poses, (T, 3) roots of somebody who walks about, (T, 16, 2) pixels."""
    rng = np.random.default_rng(2)
    poses = rng.normal(0, 0.4, (40, 16, 3))
    poses[:, 0] = 0
    roots = np.cumsum(rng.normal(0, 0.1, (40, 3)), axis=0) + np.array([0.5, -0.3, 5.0])
    points = poses + roots[:, None]
    return poses, roots, points[..., :2] / points[..., 2:] * FOCAL + np.array(SIZE) / 2


def nothing_missing(poses):
    return np.zeros(poses.shape[:2], dtype=bool)


def test_exact_projections_give_the_place_back(clip):
    poses, roots, pixels = clip
    found = roots_in_camera(poses, pixels, SIZE, FOCAL, nothing_missing(poses))
    assert found.shape == (40, 3)
    assert np.abs(found - roots).max() < 1e-6


def test_joints_that_were_not_seen_do_not_count(clip):
    poses, roots, pixels = clip
    missing = nothing_missing(poses)
    missing[:, 3] = missing[10:20, 5:12] = True
    wrong = np.where(missing[..., None], pixels + 400, pixels)
    assert np.abs(roots_in_camera(poses, wrong, SIZE, FOCAL, missing) - roots).max() < 1e-6
    assert np.abs(roots_in_camera(poses, wrong, SIZE, FOCAL, nothing_missing(poses)) - roots).max() > 0.1


def test_it_is_the_least_squares_solution(clip):
    """Of (X + t) x d = 0, three rows a joint, by numpy's own solver; poses and pixels do not fit each other."""
    poses, _, pixels = clip
    rng = np.random.default_rng(0)
    noisy, poses = pixels + rng.normal(0, 8, pixels.shape), poses * 0.9 + rng.normal(0, 0.05, poses.shape)
    missing = rng.uniform(size=poses.shape[:2]) < 0.2
    found = roots_in_camera(poses, noisy, SIZE, FOCAL, missing)
    for t in range(len(poses)):
        rows, right = [], []
        for joint in np.flatnonzero(~missing[t]):
            x, y = (noisy[t, joint] - (960, 540)) / FOCAL
            cross = np.array([[0, 1, -y], [-1, 0, x], [y, -x, 0]])  # p -> p x (x, y, 1)
            rows.append(cross)
            right.append(-cross @ poses[t, joint])
        expected = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
        np.testing.assert_allclose(found[t], expected, atol=1e-6)


def test_frames_that_say_nothing_are_between_those_that_do(clip):
    poses, _, pixels = clip
    poses, pixels = np.repeat(poses[:1], 7, axis=0), np.repeat(pixels[:1], 7, axis=0)
    poses = poses * np.linspace(1, 1.6, 7)[:, None, None]  # as large in the picture: six tenths farther away in the end
    missing = nothing_missing(poses)
    missing[2, 3:] = True  # three joints
    missing[4, 4:] = True  # four
    pixels[5] = SIZE  # all in one pixel
    found = roots_in_camera(poses, pixels, SIZE, FOCAL, missing)
    depth = found[:, 2]
    assert depth[2] == pytest.approx((depth[1] + depth[3]) / 2)
    assert depth[5] == pytest.approx((depth[4] + depth[6]) / 2)
    np.testing.assert_allclose(depth[[0, 1, 3, 4, 6]] / depth[0], [1, 1.1, 1.3, 1.4, 1.6], atol=1e-9)


def test_somebody_behind_the_camera_or_never_seen_is_refused(clip):
    poses, _, pixels = clip
    with pytest.raises(DuaError, match="in none of 40 frames"):
        roots_in_camera(poses, pixels, SIZE, FOCAL, ~nothing_missing(poses))
    with pytest.raises(DuaError, match="before the camera"):
        roots_in_camera(-poses, pixels, SIZE, FOCAL, nothing_missing(poses))


def test_errors_along_the_ray_and_across_it():
    roots = np.array([[3.0, 0, 4], [0, 0, 2]])
    along, across = along_and_across(np.array([[0.6, 0.2, 0.8], [0.3, 0.4, -1]]), roots)
    np.testing.assert_allclose(along, [1, 1])
    np.testing.assert_allclose(across, [0.2, 0.5])
