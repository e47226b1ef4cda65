"""Human3.6M as the field keeps it: `data_3d_h36m.npz` and `data_2d_h36m_*.npz`, turned into tensors.

The files are those of VideoPose3D, SemGCN and 3d-pose-baseline users, unchanged:

- `positions_3d`: {subject: {action: (T, 32, 3)}} metres in the world;
- `positions_2d`: {subject: {action: [one (T, J, 2) array of pixels per camera]}}, J = 16, 17 or 32, with or without
  VideoPose3D's `metadata` entry, which says where joints stand in COCO's order or stacked hourglass's. Joints that a detector did
  not find are filled in time (`common.datasets.gaps`).
"""

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.datasets.anomalies import check_bodies, check_pixels, check_views
from common.datasets.gaps import Gaps
from common.datasets.poses import Poses, Sequence, UnlabelledPoses, check_finite, check_metres, choose_actions, read_splits
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.geometry.camera import Camera, normalize_screen_coordinates, world_to_camera
from common.geometry.h36m_cameras import CALIBRATED_SUBJECTS, h36m_cameras
from common.geometry.h36m_world import check_world
from common.geometry.joint_orders import ORDERS, JointOrder, order_of_metadata, places_read
from common.geometry.skeleton import H36M_32_TO_16, ROOT

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
CORRUPT_CLIPS = {("S11", "Directions")}
"""Its recording is broken; every benchmark of the field leaves it out."""

_OF_COUNT = {16: "h36m", 17: "h36m17", 32: "h36m32"}
"""Orders of files that say nothing of theirs."""

_FOCAL = 2.29  # of Human3.6M's cameras in screen units: 1145 to 1150 pixels of 1000
_ANEW = "get or make the files anew (data/README.md)"
_WITHOUT_METADATA = (
    f"{_ANEW}; it has no 'metadata', so its joints are read in Human3.6M's order: if they are in COCO's, it must say so"
)
MAKE_3D = "python data/prepare_data_h36m.py (data/README.md); for the demo: python data/prepare_data_demo.py --out data/demo"


def path_3d(data_dir: str | Path) -> Path:
    return Path(data_dir) / "data_3d_h36m.npz"


def path_smpl(data_dir: str | Path) -> Path:
    return Path(data_dir) / "data_3d_h36m_smpl.npz"


def path_2d(data_dir: str | Path, keypoints: str) -> Path:
    return Path(data_dir) / f"data_2d_h36m_{keypoints}.npz"


def load_h36m(
    data_dir: str | Path,
    keypoints: str = "gt",
    subjects: SequenceOf[str] = TRAIN_SUBJECTS,
    actions: str = "*",
    downsample: int = 1,
) -> Poses:
    """2D joints and camera-space 3D of `subjects`, every camera a sequence of its own.

    Args:
        data_dir: folder with `data_3d_h36m.npz` and `data_2d_h36m_{keypoints}.npz`.
        keypoints: where the 2D comes from: 'gt', 'cpn_ft_h36m_dbb', 'sh_ft_h36m', ...
        actions: '*' or a comma list.
        downsample: keep every n-th frame.

    Raises:
        DuaError: a file is missing or damaged, a subject, action or camera is not in it, the 2D is shorter than the
            3D, joints are NaN, bodies are mirrored, or 2D is no view of 3D (`common.datasets.anomalies`).
    """
    (poses,) = load_h36m_parts(data_dir, keypoints, (subjects,), actions, downsample)
    return poses


def load_h36m_parts(
    data_dir: str | Path, keypoints: str, parts: Iterable[SequenceOf[str]], actions: str = "*", downsample: int = 1
) -> list[Poses]:
    """`load_h36m` of each of several groups of subjects, in their order, from files that are read once."""
    positions_2d, metadata, file_2d = _load_2d(data_dir, keypoints)
    positions_3d = subjects_of(load_arrays(path_3d(data_dir), MAKE_3D), "positions_3d", path_3d(data_dir))
    return [
        _poses_of(subjects, positions_2d, metadata, file_2d, positions_3d, data_dir, actions, downsample) for subjects in parts
    ]


def _poses_of(
    subjects: SequenceOf[str],
    positions_2d: dict,
    metadata: Any,
    file_2d: Path,
    positions_3d: dict,
    data_dir: str | Path,
    actions: str,
    downsample: int,
) -> Poses:
    file_3d = path_3d(data_dir)
    check_subjects(subjects, positions_3d, file_3d)
    check_subjects(subjects, positions_2d, file_2d)
    chosen = choose_actions((a for takes in positions_3d.values() for a in takes), actions, str(file_3d))
    splits = read_splits(data_dir, "h36m")

    gaps = Gaps()
    inputs, targets, roots, sequences, start = [], [], [], [], 0
    for subject in subjects:
        for action, world in positions_3d[subject].items():
            if action not in chosen or (subject, action) in CORRUPT_CLIPS:
                continue
            where = f"{file_3d}: {subject} {action}"
            world = check_h36m(world, where)
            check_world(world, subject, where, _ANEW, signs_needed=3)  # open motion climbs and does cartwheels
            joints = world[::downsample, list(H36M_32_TO_16)].astype(np.float64)
            for camera, pixels in _views(positions_2d[subject], metadata, subject, action, file_2d, gaps, len(world)):
                # The field's rule (VideoPose3D): videos run on after the motion capture has stopped.
                if len(pixels) < len(world):
                    raise DuaError(
                        f"{file_2d}: {subject} {action} camera {camera.name} has {len(pixels)} frames, {file_3d.name} has {len(world)}; "
                        "the two files do not belong together, get or make both anew"
                    )
                in_camera = world_to_camera(joints, camera)
                targets.append((in_camera - in_camera[:, ROOT : ROOT + 1]).astype(np.float32))
                roots.append(in_camera[:, ROOT].astype(np.float32))
                inputs.append(_screen(pixels[::downsample], camera))
                sequences.append(sequence_of(subject, action, camera, start, len(inputs[-1]), splits))
                start += len(inputs[-1])
    gaps.report(file_2d)
    check_any(inputs, subjects, actions, file_3d)
    inputs_2d, targets_3d, roots_3d = (torch.from_numpy(np.concatenate(parts)) for parts in (inputs, targets, roots))
    poses = Poses("h36m", inputs_2d, targets_3d, tuple(sequences), roots_3d)
    check_bodies(targets_3d.numpy(), file_3d, _ANEW)
    check_pixels(poses, file_2d, _ANEW)
    check_views(poses, _FOCAL, file_2d, file_3d.name, _ANEW if metadata is not None else _WITHOUT_METADATA)
    return poses


def load_h36m_2d(
    data_dir: str | Path,
    keypoints: str = "gt",
    subjects: SequenceOf[str] = TRAIN_SUBJECTS,
    actions: str = "*",
    downsample: int = 1,
) -> UnlabelledPoses:
    """The 2D joints alone, for a target domain: the 3D file is not opened. Arguments and errors as `load_h36m`."""
    positions_2d, metadata, file_2d = _load_2d(data_dir, keypoints)
    check_subjects(subjects, positions_2d, file_2d)
    chosen = choose_actions((a for takes in positions_2d.values() for a in takes), actions, str(file_2d))
    splits = read_splits(data_dir, "h36m")
    gaps = Gaps()
    inputs, sequences, start = [], [], 0
    for subject in subjects:
        for action in positions_2d[subject]:
            if action not in chosen or (subject, action) in CORRUPT_CLIPS:
                continue
            for camera, pixels in _views(positions_2d[subject], metadata, subject, action, file_2d, gaps):
                inputs.append(_screen(pixels[::downsample], camera))
                sequences.append(sequence_of(subject, action, camera, start, len(inputs[-1]), splits))
                start += len(inputs[-1])
    gaps.report(file_2d)
    check_any(inputs, subjects, actions, file_2d)
    poses = UnlabelledPoses("h36m", torch.from_numpy(np.concatenate(inputs)), tuple(sequences))
    check_pixels(poses, file_2d, _ANEW)
    return poses


def _load_2d(data_dir: str | Path, keypoints: str) -> tuple[dict, Any, Path]:
    """{subject: ...} of a 2D file, what it says of the order of its joints, and its path."""
    file = path_2d(data_dir, keypoints)
    if Path(data_dir).is_dir() and not file.exists():
        found = sorted(p.name[len("data_2d_h36m_") : -len(".npz")] for p in Path(data_dir).glob("data_2d_h36m_*.npz"))
        if found:
            raise DuaError(
                f"{file} does not exist; --keypoints can be: {', '.join(found)} (data/README.md says where to get others)"
            )
    arrays = load_arrays(file, MAKE_3D)
    return subjects_of(arrays, "positions_2d", file), arrays.get("metadata"), file


def _order_of(metadata: Any, joints: int, file: Path) -> JointOrder:
    """How a file orders so many joints.

    Without `metadata` they are Human3.6M's. Sixteen joints that have it can stand in our order (SemGCN, 3d-pose-baseline) or in
    that of stacked hourglass detections (VideoPose3D), seventeen in Human3.6M's or in COCO's; it tells them apart by left ones.
    """
    name = order_of_metadata(metadata, joints)
    if name is not None:
        return ORDERS[name]
    if isinstance(metadata, dict) and metadata.get("num_joints") == joints:
        symmetry = metadata.get("keypoints_symmetry")
        if symmetry is None and joints == 16:
            raise DuaError(
                f"{file}: its metadata has no keypoints_symmetry, so the order of its 16 joints is unknown; get it anew"
            )
        if symmetry is not None:
            raise DuaError(
                f"{file}: its metadata says that joints {ascii(symmetry)[:80]} are left and right ones, an order of {joints} joints "
                "that is not known here; known are Human3.6M's, COCO's 17 and stacked hourglass's 16"
            )
    return ORDERS[_OF_COUNT[joints]]


def subjects_of(arrays: dict[str, Any], key: str, file: Path) -> dict:
    positions = arrays.get(key)
    if not isinstance(positions, dict) or not all(isinstance(actions, dict) for actions in positions.values()):
        raise DuaError(
            f"{file} has no '{key}' of the form {{subject: {{action: ...}}}}; it holds: {', '.join(arrays) or 'nothing'}"
        )
    return positions


def check_h36m(values: Any, where: str) -> np.ndarray:
    """(T, 32, 3) world metres of Human3.6M, once they are known to be that. Raises a `DuaError` otherwise."""
    world = number_array(values, where)
    if world.ndim != 3 or world.shape[1:] != (32, 3) or not len(world):
        raise DuaError(f"{where} has shape {world.shape}, (T, 32, 3) was expected: 32 joints as Human3.6M records them")
    check_finite(world, where)
    check_metres(world[:, 0], world[:, 15], where, "the field's files are in metres, not millimetres; make the file anew")
    return world


def check_any(inputs: list, subjects: SequenceOf[str], actions: str, file: Path) -> None:
    if not inputs:
        raise DuaError(f"{file} holds no usable sequence of {', '.join(subjects)} with actions '{actions}'; choose others")


def check_subjects(subjects: SequenceOf[str], positions: dict, file: Path) -> None:
    for subject in subjects:
        if subject not in positions:
            raise DuaError(f"no subject '{subject}' in {file}; it has: {', '.join(sorted(map(str, positions)))}")
        if subject not in CALIBRATED_SUBJECTS:
            raise DuaError(
                f"subject '{subject}' has no published camera calibration; choose from {', '.join(CALIBRATED_SUBJECTS)}"
            )


def _views(
    actions: dict, metadata: Any, subject: str, action: str, file: Path, gaps: Gaps, frames: int | None = None
) -> list[tuple[Camera, np.ndarray]]:
    """(camera, (T, 16, 2) pixels) of each of the four cameras; of more than `frames` frames, the first.

    What was not found is filled, and noted in `gaps`; a camera in which a joint is never found is left out.
    """
    if action not in actions:
        raise DuaError(f"{file} has no 2D of {subject} {action}, which the 3D file has; get or make both anew")
    cameras = h36m_cameras(subject)
    views = actions[action]
    if isinstance(views, np.ndarray) and views.ndim:
        views = list(views)
    if not isinstance(views, list | tuple) or len(views) != len(cameras):
        count = len(views) if isinstance(views, list | tuple) else "no list of"
        raise DuaError(f"{file}: {subject} {action} has {count} cameras, the {len(cameras)} of Human3.6M were expected")
    found: dict[int, list[tuple[Camera, np.ndarray]]] = {}  # by their count of joints, which is nearly always the same
    for camera, pixels in zip(cameras, views, strict=True):
        where = f"{file}: {subject} {action} camera {camera.name}"
        pixels = number_array(pixels, where)
        if pixels.ndim != 3 or pixels.shape[2] < 2 or pixels.shape[1] not in _OF_COUNT or not len(pixels):
            raise DuaError(f"{where} has shape {pixels.shape}, (T, J, 2) with J = 16, 17 or 32 was expected")
        values, read = pixels[:frames, :, :3], places_read(_order_of(metadata, pixels.shape[1], file))
        check_finite(values[:, read, :2], where, read)
        found.setdefault(pixels.shape[1], []).append((camera, values))
    filled: dict[str, np.ndarray | None] = {}
    for joints, group in found.items():
        names = [f"{subject} {action} {camera.name}" for camera, _ in group]
        order = _order_of(metadata, joints, file)
        made = gaps.fill_views([values for _, values in group], order, names)
        filled |= {camera.name: pixels for (camera, _), pixels in zip(group, made, strict=True)}
    return [(camera, pixels) for camera in cameras if (pixels := filled[camera.name]) is not None]


def number_array(values: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of unequal lengths
        raise DuaError(f"{where} is no array ({error}); get or make the file anew") from error
    if array.dtype.kind not in "fiu":
        raise DuaError(f"{where} holds no numbers (dtype {array.dtype}); get or make the file anew")
    return array


def _screen(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    return normalize_screen_coordinates(pixels.astype(np.float64, copy=False), *camera.resolution).astype(np.float32)


def sequence_of(subject: str, action: str, camera: Camera, start: int, length: int, splits: dict) -> Sequence:
    split = splits.get((subject, action), "")
    return Sequence(subject, action, camera.name, start, start + length, camera.resolution, split)
