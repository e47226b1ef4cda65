"""Where a person stands before the camera: the place at which predicted poses are seen where the 2D joints are.

Lifting networks predict poses from the hip; the hip's place follows by least squares (`common.geometry.placement`). How far away
somebody is found follows from how large the network makes them, so the scale of a path is the network's own.
"""

import numpy as np
import torch

from common.errors import DuaError
from common.geometry.missing import fill_in_time
from common.geometry.placement import root_equations

_FEWEST = 4
"""Joints that must be seen in a frame: two determine a place, and their errors it then follows."""
_FLATTEST = 1e-8
"""Smallest over largest eigenvalue of a frame's equations: joints that are all in one pixel (a person of a ten-thousandth of the
focal length) do not say how far away they are."""


def roots_in_camera(
    poses_3d: np.ndarray, keypoints_2d: np.ndarray, image_size: tuple[int, int], focal_length: float, missing: np.ndarray
) -> np.ndarray:
    """The hip's place in each frame, as least squares have it, not smoothed (`common.prediction.smoothing.smooth_roots`).

    Joints that were not seen do not count. Frames in which fewer than four were seen, or that no place before the camera fits, are
    interpolated in time.

    Args:
        poses_3d: (T, 16, 3) metres from the hip, camera axes (x right, y down, z forward).
        keypoints_2d: (T, 16, 2) pixels that they were lifted from.
        image_size: (width, height) in pixels; the principal point is in the middle.
        focal_length: in pixels.
        missing: (T, 16) True where a joint was not seen.

    Returns:
        (T, 3) metres from the camera, in its axes.

    Raises:
        DuaError: no frame says where the person is.
    """
    poses_3d, weights = poses_3d.astype(np.float64), (~missing).astype(np.float64)
    middle = np.array(image_size) / 2
    rays = (keypoints_2d.astype(np.float64) - middle) / focal_length
    left, right = (equations.numpy() for equations in root_equations(*map(torch.from_numpy, (poses_3d, rays, weights))))
    sizes = np.linalg.eigvalsh(left)  # of zeros, where nothing was seen
    known = (weights.sum(axis=1) >= _FEWEST) & (sizes[:, 0] > _FLATTEST * sizes[:, -1])
    roots = np.full((len(poses_3d), 3), np.nan)
    roots[known] = np.linalg.solve(left[known], right[known, :, None])[..., 0]
    known &= np.nan_to_num(roots[:, 2], nan=-1.0) > 0
    if not known.any():
        raise DuaError(
            f"in none of {len(roots)} frames do the pose and its 2D joints say where the person is (at least {_FEWEST} joints that "
            "are seen, before the camera); leave --trajectory out"
        )
    fill_in_time(roots, known)
    return roots


def along_and_across(errors: np.ndarray, roots_3d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) lengths of errors (T, 3) of places `roots_3d` (T, 3): along the ray from the camera, and across it."""
    rays = roots_3d / np.linalg.norm(roots_3d, axis=-1, keepdims=True)
    along = np.sum(errors * rays, axis=-1)
    return np.abs(along), np.linalg.norm(errors - along[:, None] * rays, axis=-1)
