"""Points that several calibrated cameras see, in space: linear triangulation that leaves out cameras which do not agree."""

from itertools import combinations

import numpy as np

from common.geometry.camera import Camera


def projection_matrix(camera: Camera) -> np.ndarray:
    """(3, 4) from metres in the world to homogeneous pixels, of the camera without its lens's distortion."""
    (fx, fy), (cx, cy) = camera.focal_length, camera.center
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    to_camera = camera.rotation().T
    return intrinsics @ np.column_stack([to_camera, -to_camera @ np.asarray(camera.translation)])


def triangulate(
    points_2d: np.ndarray, weights: np.ndarray, projections: np.ndarray, fewest: int = 3, within: float = 20.0
) -> tuple[np.ndarray, np.ndarray]:
    """Places of points by the direct linear transform (Hartley and Zisserman, section 12.2), from the most cameras that agree on them.

    Of a point's cameras all are tried together, then all but one, and so on; of as many the set whose largest reprojection error is
    least. The sets are 2^C at most: it is for a handful of cameras.

    Args:
        points_2d: (C, N, 2) pixels, NaN where not seen.
        weights: (C, N) of a camera's two equations; not seen where 0.
        projections: (C, 3, 4), see `projection_matrix`.
        fewest: cameras that have to agree; points with fewer are NaN.
        within: pixels of reprojection error that still are agreement.

    Returns:
        (N, 3) metres, NaN where no place was found, and (C, N) pixels of reprojection error, NaN where the camera was not used.
    """
    seen = np.isfinite(points_2d).all(axis=-1) & (weights > 0)
    cameras, points = seen.shape
    places, errors = np.full((points, 3), np.nan), np.full((cameras, points), np.nan)
    for count in range(cameras, fewest - 1, -1):
        left = np.isnan(places[:, 0])
        worst = np.full(points, within)
        for chosen in map(list, combinations(range(cameras), count)):
            rows = np.flatnonzero(left & seen[chosen].all(axis=0))
            place = _linear(points_2d[chosen][:, rows], weights[chosen][:, rows], projections[chosen])
            error = np.linalg.norm(_project(place, projections[chosen]) - points_2d[chosen][:, rows], axis=-1)
            better = error.max(axis=0) < worst[rows]
            rows, error = rows[better], error[:, better]
            worst[rows], places[rows] = error.max(axis=0), place[better]
            errors[:, rows] = np.nan
            errors[np.ix_(chosen, rows)] = error
    return places, errors


def _linear(points_2d: np.ndarray, weights: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """(C, N, 2), (C, N), (C, 3, 4) -> (N, 3): the least singular vector of w (u p_3 - p_1), w (v p_3 - p_2)."""
    rows = points_2d[..., None] * projections[:, None, 2:] - projections[:, None, :2]  # (C, N, 2, 4)
    cameras, points = weights.shape
    rows = (weights[..., None, None] * rows).swapaxes(0, 1).reshape(points, 2 * cameras, 4)
    homogeneous = np.linalg.svd(rows, full_matrices=False)[2][:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):  # rays that are parallel meet nowhere: no error is within reach then
        return homogeneous[:, :3] / homogeneous[:, 3:]


def _project(places: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """(N, 3) in the world to (C, N, 2) pixels."""
    homogeneous = np.einsum("cij,nj->cni", projections, np.column_stack([places, np.ones(len(places))]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return homogeneous[..., :2] / homogeneous[..., 2:]
