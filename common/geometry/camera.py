"""Pinhole cameras with lens distortion, and the screen coordinates that the networks read. Pure geometry in numpy."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Camera:
    """One calibrated camera: lengths in metres, image quantities in pixels.

    `orientation` is the unit quaternion (w, x, y, z) that turns camera axes (x right, y down, z forward) into world
    axes; `translation` is the camera's place in the world. Distortion is k1 k2 k3 and p1 p2 of Human3.6M's calibration,
    used as `project_to_2d` says.
    """

    name: str
    resolution: tuple[int, int]
    focal_length: tuple[float, float]
    center: tuple[float, float]
    radial_distortion: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential_distortion: tuple[float, float] = (0.0, 0.0)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def rotation(self) -> np.ndarray:
        """Camera-to-world rotation matrix, (3, 3), read-only."""
        return _rotation(tuple(self.orientation))


@lru_cache(maxsize=64)  # a data set has a few cameras and asks for them thousands of times
def _rotation(orientation: tuple[float, float, float, float]) -> np.ndarray:
    matrix = quaternion_to_matrix(np.asarray(orientation))
    matrix.flags.writeable = False
    return matrix


def quaternion_to_matrix(quaternions: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions w x y z, normalised here, to (..., 3, 3) rotation matrices."""
    w, x, y, z = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 3) metres in the world to (..., 3) metres in the camera's frame: R^T (x - t)."""
    return (points - np.asarray(camera.translation)) @ camera.rotation()


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Inverse of `world_to_camera`: R x + t."""
    return points @ camera.rotation().T + np.asarray(camera.translation)


def project_to_2d(points: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 3) metres in camera space to (..., 2) pixels, lens distortion included.

    With v = (x, y) the normalised coordinates and r^2 = |v|^2, Human3.6M's calibration distorts to
    v (1 + k1 r^2 + k2 r^4 + k3 r^6 + p . v) + p r^2.
    """
    radial, tangential = np.asarray(camera.radial_distortion), np.asarray(camera.tangential_distortion)
    normalised = points[..., :2] / points[..., 2:]
    # Human3.6M's toolbox bounds the normalised coordinates, so that points beside the camera do not explode.
    normalised = np.clip(normalised, -1, 1)
    x, y = normalised[..., :1], normalised[..., 1:]  # sums over an axis of two are slow
    r2 = x * x + y * y
    scale = 1 + r2 * (radial[0] + r2 * (radial[1] + r2 * radial[2])) + (tangential[0] * x + tangential[1] * y)
    distorted = normalised * scale + tangential * r2
    return distorted * np.asarray(camera.focal_length) + np.asarray(camera.center)


def normalize_screen_coordinates(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(..., 2) pixels to screen coordinates: x spans [-1, 1] over the width, y keeps the aspect ratio (VideoPose3D)."""
    return pixels / width * 2 - np.array([1, height / width])


def image_coordinates(screen: np.ndarray, width: int, height: int) -> np.ndarray:
    """Inverse of `normalize_screen_coordinates`."""
    return (screen + np.array([1, height / width])) * width / 2
