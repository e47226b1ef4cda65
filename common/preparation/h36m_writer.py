"""Human3.6M files as VideoPose3D writes them, for the scripts in `data/` that make them."""

from pathlib import Path
from typing import Any

import numpy as np

from common.datasets.h36m import path_2d, path_3d, path_smpl
from common.errors import DuaError
from common.files.writing import atomic_write
from common.geometry.camera import project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import H36M_32_TO_17

# VideoPose3D's description of its seventeen joints: (left, right) places that mirror each other.
_METADATA = {
    "layout_name": "h36m",
    "num_joints": 17,
    "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
}

Positions3D = dict[str, dict[str, np.ndarray]]
Positions2D = dict[str, dict[str, list[np.ndarray]]]


def write_positions_3d(data_dir: str | Path, positions_3d: Positions3D) -> Path:
    """Write `data_3d_h36m.npz`: {subject: {action: (T, 32, 3)}} metres in the world. Returns its path."""
    return _write_3d(path_3d(data_dir), positions_3d)


def _write_3d(path: Path, positions_3d: Positions3D) -> Path:
    arrays = {s: {a: np.asarray(p, dtype=np.float32) for a, p in actions.items()} for s, actions in positions_3d.items()}
    with atomic_write(path) as file:
        np.savez_compressed(file, positions_3d=np.array(arrays, dtype=object))
    return path


def write_smpl_3d(data_dir: str | Path, positions_3d: Positions3D) -> Path:
    """Write `data_3d_h36m_smpl.npz`: {subject: {action: (T, 24, 3)}}, SMPL's joints of the same frames; NaN for no fit."""
    return _write_3d(path_smpl(data_dir), positions_3d)


def write_positions_2d(data_dir: str | Path, keypoints: str, positions_2d: Positions2D, metadata: dict | None = None) -> Path:
    """Write `data_2d_h36m_{keypoints}.npz`: {subject: {action: [per camera (T, J, 2)]}} pixels. Returns its path."""
    path = path_2d(data_dir, keypoints)
    entries: dict[str, Any] = {"positions_2d": np.array(positions_2d, dtype=object)}
    if metadata is not None:
        entries["metadata"] = np.array(metadata, dtype=object)
    with atomic_write(path) as file:
        np.savez_compressed(file, **entries)
    return path


def write_ground_truth_2d(data_dir: str | Path, positions_3d: Positions3D) -> Path:
    """Project the recorded joints into the four cameras and write them as `data_2d_h36m_gt.npz` (17 joints).

    Raises:
        DuaError: joints lie behind a camera, so `positions_3d` are not in Human3.6M's world.
    """
    positions_2d: Positions2D = {}
    for subject, actions in positions_3d.items():
        positions_2d[subject] = {}
        for action, world in actions.items():
            joints = np.asarray(world, dtype=np.float64)[:, list(H36M_32_TO_17)]
            views = [(camera, world_to_camera(joints, camera)) for camera in h36m_cameras(subject)]
            behind = np.mean([np.mean(seen[..., 2] <= 0) for _, seen in views])
            if behind > 0.01:
                raise DuaError(
                    f"{subject} {action}: {behind:.0%} of the joints lie behind Human3.6M's cameras; world positions were expected "
                    "(D3_Positions, not D3_Positions_mono)"
                )
            positions_2d[subject][action] = [project_to_2d(seen, camera).astype(np.float32) for camera, seen in views]
    return write_positions_2d(data_dir, "gt", positions_2d, _METADATA)
