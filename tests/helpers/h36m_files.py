"""Small Human3.6M files for the tests: few frames, every subject, plausible bodies near the origin of the world.

Written with numpy alone, so that the loader is tested against the field's layout and not against our own writer.
"""

from pathlib import Path
from typing import Any

import numpy as np

from common.geometry.camera import project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
ACTIONS = ("Directions", "Walking", "Walking 1", "WalkingDog")

# A body that crouches and looks along +y; x to its right, z up; metres, hip at the origin. Keys: Human3.6M's 32 joints.
_RIGHT_LEG = {1: (0.13, 0, -0.02), 2: (0.15, 0.36, -0.20), 3: (0.14, 0.03, -0.52), 4: (0.14, 0.2, -0.55), 5: (0.14, 0.25, -0.55)}
_RIGHT_ARM = {25: (0.17, 0.08, 0.44), 26: (0.22, 0.14, 0.18), 27: (0.18, 0.36, 0.14), 28: (0.18, 0.36, 0.14),
              29: (0.17, 0.4, 0.15), 30: (0.18, 0.42, 0.14), 31: (0.18, 0.42, 0.14)}  # fmt: skip
_MIDDLE = {0: (0, 0, 0), 11: (0, 0, 0), 12: (0, 0.02, 0.23), 13: (0, 0.07, 0.47), 14: (0, 0.14, 0.53), 15: (0, 0.12, 0.66),
           16: (0, 0.07, 0.47), 24: (0, 0.07, 0.47)}  # fmt: skip


def crouching_body() -> np.ndarray:
    """(32, 3): one body, hip at the origin."""
    body = np.zeros((32, 3))
    for joint, place in {**_MIDDLE, **_RIGHT_LEG, **_RIGHT_ARM}.items():
        body[joint] = place
    for joint, (x, y, z) in _RIGHT_LEG.items():
        body[joint + 5] = (-x, y, z)
    for joint, (x, y, z) in _RIGHT_ARM.items():
        body[joint - 8] = (-x, y, z)
    return body


def moving_body(frames: int, seed: int) -> np.ndarray:
    """(frames, 32, 3) float32, metres in the world (z up): the body turns, wanders within half a metre and trembles."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, 1, frames)
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros(frames), np.ones(frames)
    turn = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(frames, 3, 3)
    place = np.array([*rng.uniform(-0.5, 0.5, 2), 0.58]) + np.linspace(0, 0.1, frames)[:, None] * [1, 1, 0]
    tremble = rng.normal(0, 0.01, (frames, 32, 3))
    return (crouching_body() @ turn.transpose(0, 2, 1) + place[:, None] + tremble).astype(np.float32)


def make_3d(subjects: tuple[str, ...] = SUBJECTS, actions: tuple[str, ...] = ACTIONS, frames: int = 6) -> dict[str, Any]:
    """{subject: {action: (T, 32, 3)}}; clips differ in length, so that rows mixed up between clips are noticed."""
    return {
        subject: {action: moving_body(frames + i, seed=100 * s + i) for i, action in enumerate(actions)}
        for s, subject in enumerate(subjects)
    }


def make_2d(positions_3d: dict[str, Any], joints: int = 17, extra_frames: int = 0) -> dict[str, Any]:
    """{subject: {action: [four (T + extra_frames, joints, 2) pixels]}}: the projections of `positions_3d`."""
    kept = {
        32: list(range(32)),
        17: [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27],
        16: [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27],
    }[joints]
    positions_2d: dict[str, Any] = {}
    for subject, actions in positions_3d.items():
        positions_2d[subject] = {}
        for action, world in actions.items():
            longer = np.concatenate([world, np.repeat(world[-1:], extra_frames, axis=0) + 0.3])[:, kept]
            positions_2d[subject][action] = [
                project_to_2d(world_to_camera(longer, camera), camera).astype(np.float32) for camera in h36m_cameras(subject)
            ]
    return positions_2d


def write_3d(folder: Path, positions_3d: Any) -> Path:
    """`data_3d_h36m.npz` as VideoPose3D's script writes it."""
    path = folder / "data_3d_h36m.npz"
    np.savez_compressed(path, positions_3d=_as_object(positions_3d))
    return path


METADATA = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
"""VideoPose3D's description of its seventeen joints."""


def write_2d(folder: Path, positions_2d: Any, keypoints: str = "gt", metadata: Any = METADATA) -> Path:
    """`data_2d_h36m_{keypoints}.npz`, with a description of the joints or, if it is None, without."""
    path = folder / f"data_2d_h36m_{keypoints}.npz"
    entries = {"positions_2d": _as_object(positions_2d)}
    if metadata is not None:
        entries["metadata"] = _as_object(metadata)
    np.savez_compressed(path, **entries)
    return path


def write_both(folder: Path, joints: int = 17, extra_frames: int = 0, metadata: Any = METADATA, **make: Any) -> dict[str, Any]:
    """Both files in `folder`; returns the 3D positions that they show."""
    positions_3d = make_3d(**make)
    write_3d(folder, positions_3d)
    write_2d(folder, make_2d(positions_3d, joints, extra_frames), metadata=metadata)
    return positions_3d


def _as_object(value: Any) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    return array
