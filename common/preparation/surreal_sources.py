"""SURREAL from what people have of it: Pose2Mesh's `.json`, or the published DUA `.npy`; its own tree is `surreal_tree`'s.

All readers give clips as `common.preparation.surreal_writer` takes them: camera space, metres, left on the body's left.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.datasets.poses import check_finite
from common.datasets.surreal_file import SURREAL_CAMERA
from common.errors import DuaError, short_reason
from common.files.arrays import load_npy, require_file
from common.geometry.skeleton import SMPL_24_TO_16, SMPL_JOINT_NAMES, SMPL_MIRROR, handedness

PIXELS_OFF = 1.0
"""How far a joint's projection may lie from its published 2D place; SURREAL rounds those to whole pixels."""

JOINTS = len(SMPL_JOINT_NAMES)
_PELVIS, _NECK = 0, 12
PELVIS_TO_NECK = (0.2, 1.0)  # metres; SMPL's bodies have 0.4 to 0.6

_FARTHEST = 1e6  # millimetres or pixels: where no joint of a person in a picture is
_NPY_ROWS = 1000  # rows per clip, where nothing tells clips apart


@dataclass(frozen=True)
class Clip:
    """(T, 24, 2) pixels and (T, 24, 3) camera-space metres; `dropped` frames of it show nobody and are left out."""

    name: str
    joints_2d: np.ndarray
    joints_3d: np.ndarray
    dropped: int = 0


@dataclass(frozen=True)
class Problem:
    """Something that was skipped, and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Source(NamedTuple):
    """What a progress bar needs to know, and the clips in their order."""

    total: int
    clips: Iterator[Clip | Problem]


# ----------------------------------------------------------------------------------------------------- Pose2Mesh's .json


def read_pose2mesh(path: str | Path, stride: int) -> Source:
    """The annotations of `train.json` or `val.json`, COCO style: `joint_cam`, seen by the camera of its image.

    `joint_cam` is in metres where I2L-MeshNet's and Pose2Mesh's script made the file; millimetres are recognised.

    Raises:
        DuaError: the file is missing or damaged, an image has no camera or another one than SURREAL's.
    """
    path = Path(path)
    require_file(path)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        names = {image["id"]: _image_name(image, path) for image in content["images"]}
        annotations = content["annotations"]
        frames = [(*names[entry["image_id"]], i) for i, entry in enumerate(annotations)]
    except DuaError:
        raise
    except MemoryError as error:
        raise DuaError(f"{path} does not fit into memory; four times its size is needed") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DuaError(
            f"{path} is damaged or no annotation file of Pose2Mesh ({short_reason(error)}); 'images' with 'id' and 'annotations' "
            "with 'image_id' were expected; get it again"
        ) from error
    problems: list[Problem] = []
    joints: dict[int, np.ndarray] = {}
    for _, _, i in sorted(frames):
        try:
            joints[i] = _joint_cam(annotations[i])
        except DuaError as error:
            problems.append(Problem(f"{path}: annotation {annotations[i].get('id', i)}", str(error)))
    if not joints:
        raise DuaError(f"{path} holds no usable annotation; {problems[0] if problems else 'it is empty'}")
    poses = _metres(np.stack(list(joints.values())), str(path))
    if _mirrored(poses):
        poses = exchange_sides(poses)
    clips: dict[str, list[int]] = {}
    rows = {i: row for row, i in enumerate(joints)}
    for clip, _, i in sorted(frames):
        if i in rows:
            clips.setdefault(clip, []).append(rows[i])
    return Source(len(clips) + len(problems), chain(problems, _projected_clips(clips, poses, stride)))


def _image_name(image: dict, path: Path) -> tuple[str, int]:
    """(clip, frame) of 'run0/01_01/01_01_c0001_000.jpg', once the image is known to be taken by SURREAL's camera."""
    camera = image.get("cam_param")
    if not isinstance(camera, dict) or not {"focal", "princpt"} <= camera.keys():
        raise DuaError(f"{path}: image {image['id']} has no cam_param with focal and princpt; get a file that has them")
    found = (
        (image.get("width"), image.get("height")),
        tuple(np.ravel(camera["focal"]).tolist()),
        tuple(np.ravel(camera["princpt"]).tolist()),
    )
    expected = (SURREAL_CAMERA.resolution, SURREAL_CAMERA.focal_length, SURREAL_CAMERA.center)
    if found != expected:
        raise DuaError(
            f"{path}: image {image['id']} has size, focal and princpt {found}, {expected} were expected; this is not SURREAL"
        )
    name = str(image["file_name"])
    numbered = re.fullmatch(r"(.+)_(\d+)\.\w+", name)
    return (numbered[1], int(numbered[2])) if numbered else (name, 0)


def _joint_cam(annotation: dict) -> np.ndarray:
    """(24, 3) float64, whatever unit the file has."""
    try:
        joints = np.array(annotation["joint_cam"], dtype=np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DuaError(f"it has no joint_cam of 24 x 3 numbers ({short_reason(error)})") from error
    if len(joints) != JOINTS:
        raise DuaError(f"its joint_cam has {len(joints)} joints, 24 were expected")
    check_finite(joints[None], "joint_cam")
    if np.abs(joints).max() > _FARTHEST:
        raise DuaError(f"its joint_cam goes to {np.abs(joints).max():.3g}, metres or millimetres were expected")
    return joints


def _projected_clips(clips: dict[str, list[int]], poses: np.ndarray, stride: int) -> Iterator[Clip]:
    for name, rows in clips.items():
        joints_3d = poses[rows[::stride]]
        yield clip_of(name, _project(joints_3d), joints_3d)


# ------------------------------------------------------------------------------------------- the published DUA code's .npy


def read_npy(path: str | Path, stride: int) -> Source:
    """A pickled dictionary with `3d_joints` (N, 24, 3) and `2d_joints` (N, 24, 2).

    The 3D may be in metres or millimetres, and may have its pelvis at the origin: the place of the body is then found
    from the 2D. Rows come in clips of a thousand, since nothing in the file tells its clips apart.

    Raises:
        DuaError: the file is missing, damaged, holds code or other shapes, or its 2D is not a view of its 3D.
    """
    path = Path(path)
    content = load_npy(path)
    if not isinstance(content, dict) or not {"3d_joints", "2d_joints"} <= content.keys():
        raise DuaError(f"{path} holds no dictionary with '3d_joints' and '2d_joints'; the file of the DUA code was expected")
    joints_2d, joints_3d = (np.asarray(content[name]) for name in ("2d_joints", "3d_joints"))
    rows = len(joints_3d) if joints_3d.ndim else 0
    for name, joints, axes in (("2d_joints", joints_2d, 2), ("3d_joints", joints_3d, 3)):
        if joints.dtype.kind not in "fiu" or joints.shape != (rows, JOINTS, axes) or not rows:
            raise DuaError(
                f"{path}: {name} has shape {joints.shape} and type {joints.dtype}, numbers (N, 24, {axes}) were expected"
            )
        check_finite(joints, f"{path}: {name}")
    joints_2d, joints_3d = joints_2d.astype(np.float64), _metres(joints_3d.astype(np.float64), str(path))
    if np.median(np.abs(joints_3d[:, _PELVIS, 2])) < 0.1:
        joints_3d = joints_3d + places_seen(joints_3d, joints_2d)[:, None]
    off = pixels_off(joints_3d, joints_2d)
    agrees = off <= PIXELS_OFF
    if np.mean(agrees) < 0.5:
        raise DuaError(
            f"{path}: its 3d_joints, seen by SURREAL's camera, lie {np.median(off):.1f} pixels away from its 2d_joints; camera "
            "space (x right, y down, z forward) and pixels of 320 x 240 were expected"
        )
    if _mirrored(joints_3d[agrees]):
        joints_2d, joints_3d = exchange_sides(joints_2d), exchange_sides(joints_3d)
    problems = []
    if not agrees.all():
        problems.append(Problem(str(path), f"inconsistent: 2D and 3D differ in {rows - agrees.sum()} of {rows} rows"))
    starts = range(0, rows, _NPY_ROWS)

    def clips() -> Iterator[Clip]:
        for number, start in enumerate(starts):
            chosen = np.arange(start, min(start + _NPY_ROWS, rows), stride)
            chosen = chosen[agrees[chosen]]
            name = f"{path.stem} {number}/rows_{start}"
            yield clip_of(name, joints_2d[chosen], joints_3d[chosen])

    return Source(len(problems) + len(starts), chain(problems, clips()))


def places_seen(joints_3d: np.ndarray, joints_2d: np.ndarray) -> np.ndarray:
    """Where a body must stand to be seen at given pixels: least squares over its joints.

    With (a, b) = (pixels - centre) / focal, a joint (x, y, z) of a body at t is seen there if
    t_x - a t_z = a z - x and t_y - b t_z = b z - y.

    Args:
        joints_3d: (N, 24, 3) metres, camera axes, origin anywhere in the body.
        joints_2d: (N, 24, 2) pixels.

    Returns:
        (N, 3) metres to add to `joints_3d`.
    """
    a = (joints_2d - np.array(SURREAL_CAMERA.center)) / np.array(SURREAL_CAMERA.focal_length)  # (N, 24, 2)
    rows = np.zeros((*a.shape, 3))  # (N, 24, 2 equations, 3 unknowns)
    rows[..., 0, 0] = rows[..., 1, 1] = 1
    rows[..., 2] = -a
    right = a * joints_3d[..., 2:] - joints_3d[..., :2]
    system = np.einsum("njei,njek->nik", rows, rows)
    # a body all of whose joints are seen in one point has no place; far away it will not fit its pixels
    system += 1e-12 * np.eye(3)
    return np.linalg.solve(system, np.einsum("njei,nje->ni", rows, right)[..., None])[..., 0]


# ------------------------------------------------------------------------------------------------------ what all share


def exchange_sides(joints: np.ndarray) -> np.ndarray:
    """(T, 24, ...) with the labels of left and right joints exchanged."""
    return joints[:, list(SMPL_MIRROR)]


def pixels_off(joints_3d: np.ndarray, joints_2d: np.ndarray) -> np.ndarray:
    """(T,): the most that any joint's projection by SURREAL's camera differs from its 2D, in x or y."""
    off = np.abs(_project(joints_3d) - joints_2d)
    return np.nan_to_num(off, nan=np.inf).max(axis=(1, 2)) if len(off) else np.zeros(0)


def _project(joints_3d: np.ndarray) -> np.ndarray:
    """Pinhole alone: `project_to_2d` bounds what lies far beside the camera, as Human3.6M's toolbox does."""
    with np.errstate(divide="ignore", invalid="ignore"):  # what lies in the camera's plane is seen nowhere
        normalised = joints_3d[..., :2] / joints_3d[..., 2:]
    return normalised * np.array(SURREAL_CAMERA.focal_length) + np.array(SURREAL_CAMERA.center)


def clip_of(name: str, joints_2d: np.ndarray, joints_3d: np.ndarray) -> Clip:
    """The frames in which all joints lie in front of the camera and one or more in the image; the others are counted.

    Joints outside the image stay: SURREAL's people walk out of it, and their 2D is right all the same.
    """
    width, height = SURREAL_CAMERA.resolution
    inside = np.all((joints_2d >= 0) & (joints_2d < (width, height)), axis=2)
    somewhere = np.all(np.abs(joints_2d) < _FARTHEST, axis=(1, 2))  # a joint beside the camera is seen nowhere
    keep = np.all(joints_3d[..., 2] > 0, axis=1) & np.any(inside, axis=1) & somewhere
    return Clip(name, joints_2d[keep].astype(np.float32), joints_3d[keep].astype(np.float32), int(np.sum(~keep)))


def _metres(joints: np.ndarray, where: str) -> np.ndarray:
    """(N, 24, 3) in metres or millimetres to metres, by the length of the trunk."""
    length, (low, high) = trunk_length(joints), PELVIS_TO_NECK
    for unit in (1.0, 1000.0):
        if low * unit <= length <= high * unit:
            return joints / unit
    raise DuaError(
        f"{where}: pelvis and neck are {length:.3g} apart, {low} to {high} m or {low * 1000:.0f} to {high * 1000:.0f} mm were "
        "expected; the 24 joints of SMPL, in metres or millimetres, are needed"
    )


def trunk_length(joints: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(joints[:, _NECK] - joints[:, _PELVIS], axis=-1)))


def _mirrored(joints_3d: np.ndarray) -> bool:
    """Whether labels are exchanged, as in `read_info`: the geometry is pinned by the pixels, so nothing else can be."""
    return bool(np.mean(handedness(joints_3d[:, list(SMPL_24_TO_16)])) < 0)
