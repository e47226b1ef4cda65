"""The clip of `benchmarks/real_people/`: a real man before four calibrated cameras, and where he was.

The reference is triangulated from the same detections that are lifted (`common.geometry.triangulation`): of each joint from at least
three cameras that agree within 20 pixels, each weighing by the detector's visibility. Joints without it are left out, and frames with less
than nine joints or without the hip. Lenses count as free of distortion.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.errors import DuaError, short_reason
from common.evaluation.metrics import joint_errors, mpjpe, n_mpjpe, p_mpjpe, procrustes_align
from common.files.arrays import load_arrays, require_file
from common.geometry.camera import Camera, world_to_camera
from common.geometry.joint_orders import ORDERS
from common.geometry.skeleton import JOINT_NAMES
from common.geometry.triangulation import projection_matrix, triangulate

FOLDER = Path(__file__).resolve().parent / "real_people"

LIMBS = (
    "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee", "LFoot", "RFoot",
)  # fmt: skip
JOINTS = ("Hip", *LIMBS)
"""What is judged: joints that all definitions have. Head, spine and thorax are left out: a detector finds none of them."""
IN_POSE = [JOINT_NAMES.index(name) for name in JOINTS]
"""Where they stand in a pose of sixteen joints."""
COCO = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""COCO's seventeen among MediaPipe's 33, as `predict.py` is given them."""

_IN_DETECTION = [ORDERS["blazepose"].places[name][0][0] for name in LIMBS]
_VISIBLE = 0.5
_FEWEST_JOINTS = 9


@dataclass(frozen=True)
class Clip:
    """C cameras, T frames, the 13 `JOINTS`.

    Attributes:
        keypoints_2d: (C, T, 33, 2) pixels, MediaPipe's joints.
        visibility: (C, T, 33).
        own_3d: (C, T, 13, 3) metres, the detector's own 3D, from the hip.
        cameras: which saw it.
        reference: (T, 13, 3) metres in the world, z up; NaN where there is none.
        reprojection: (C, T, 33) pixels from where a camera saw a joint to where it was found, NaN where the camera was not used.
        frames: (T,) which are judged.
    """

    keypoints_2d: np.ndarray
    visibility: np.ndarray
    own_3d: np.ndarray
    cameras: tuple[Camera, ...]
    reference: np.ndarray
    reprojection: np.ndarray
    frames: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """(T, 13) joints that have a reference, in frames that are judged."""
        return np.isfinite(self.reference).all(axis=-1) & self.frames[:, None]

    def before(self, camera: int) -> np.ndarray:
        """(T, 13, 3) the reference in the axes of a camera, metres."""
        return world_to_camera(self.reference, self.cameras[camera])


@dataclass(frozen=True)
class Errors:
    """Of poses before one camera, in millimetres, means over the frames that are judged.

    Attributes:
        p_mpjpe, n_mpjpe, mpjpe: over the joints that have a reference.
        by_joint, by_joint_aligned: (13,) as MPJPE and as P-MPJPE count them.
        radius_mm: median of the 90 % radii, or None.
        held: (12,) share of a joint's true places within its radius, of all but the hip, or None.
        held_all: the same of all of them together.
    """

    p_mpjpe: float
    n_mpjpe: float
    mpjpe: float
    by_joint: np.ndarray
    by_joint_aligned: np.ndarray
    radius_mm: float | None = None
    held: np.ndarray | None = None
    held_all: float | None = None


def load_clip(folder: Path = FOLDER) -> Clip:
    """The clip with its reference.

    Raises:
        DuaError: a file is missing, damaged, or not of this clip.
    """
    detections = load_arrays(folder / "detections.npz")
    try:
        keypoints_2d, visibility, world = (detections[name] for name in "kvw")
        shapes = keypoints_2d.shape, visibility.shape, world.shape
    except (KeyError, AttributeError) as error:
        raise DuaError(f"{folder / 'detections.npz'} lacks an array ({short_reason(error)}); get it again") from error
    cameras = _load_cameras(folder / "cameras.json")
    views = len(cameras), shapes[0][1], ORDERS["blazepose"].count
    if shapes != ((*views, 2), views, (*views, 3)):
        raise DuaError(f"{folder / 'detections.npz'} holds arrays {shapes}, not those of {len(cameras)} cameras; get it again")

    seen = np.where(visibility > _VISIBLE, visibility, 0.0)
    projections = np.stack([projection_matrix(camera) for camera in cameras])
    flat = len(cameras), -1
    places, errors = triangulate(keypoints_2d.reshape(*flat, 2), seen.reshape(flat), projections)
    reference = _thirteen(places.reshape(*views[1:], 3))
    there = np.isfinite(reference).all(axis=-1)
    frames = (there.sum(axis=1) >= _FEWEST_JOINTS) & there[:, 0]
    own_3d = _thirteen(world)
    return Clip(keypoints_2d, visibility, own_3d, cameras, reference, errors.reshape(views), frames)


def _thirteen(detected: np.ndarray) -> np.ndarray:
    """(..., 33, 3) of MediaPipe to (..., 13, 3), the hip between the hips."""
    limbs = detected[..., _IN_DETECTION, :]
    hips = (limbs[..., LIMBS.index("LHip"), :] + limbs[..., LIMBS.index("RHip"), :]) / 2
    return np.concatenate([hips[..., None, :], limbs], axis=-2)


def _load_cameras(path: Path) -> tuple[Camera, ...]:
    require_file(path)
    try:
        return tuple(Camera(**camera) for camera in json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise DuaError(f"{path} is damaged ({short_reason(error)}); get it again") from error


def compared(clip: Clip, camera: int, poses_3d: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Poses (T, 13, 3) before a camera and the reference, both from their hips, (F, 13, 3) of the frames that are judged, and which joints
    count (F, 13): what the functions of `common.evaluation.metrics` take."""
    poses, reference = (
        torch.from_numpy((places - places[:, :1])[clip.frames].astype(np.float64)) for places in (poses_3d, clip.before(camera))
    )
    return poses, reference, torch.from_numpy(clip.counted[clip.frames])


def errors_before(clip: Clip, camera: int, poses_3d: np.ndarray, radii_mm: np.ndarray | None = None) -> Errors:
    """Errors of poses (T, 13, 3), metres in the camera's axes, against the reference there; both from their hips.

    Args:
        radii_mm: (T, 13) around the joints, which are to hold 90 % of the true ones.
    """
    predicted, target, counted = compared(clip, camera, poses_3d)
    each = joint_errors(predicted, target)
    aligned = joint_errors(procrustes_align(predicted, target, counted), target)
    radius = held = None
    if radii_mm is not None:
        radii = torch.from_numpy(radii_mm[clip.frames].astype(np.float64))
        held = (1000 * each <= radii).double().where(counted, torch.nan)[:, 1:]  # the hip's error is 0 by definition
        radius = float(radii[:, 1:].where(counted[:, 1:], torch.nan).nanmedian())
    return Errors(
        p_mpjpe=1000 * float(p_mpjpe(predicted, target, counted).mean()),
        n_mpjpe=1000 * float(n_mpjpe(predicted, target, counted).mean()),
        mpjpe=1000 * float(mpjpe(predicted, target, counted).mean()),
        by_joint=1000 * each.where(counted, torch.nan).nanmean(dim=0).numpy(),
        by_joint_aligned=1000 * aligned.where(counted, torch.nan).nanmean(dim=0).numpy(),
        radius_mm=radius,
        held=None if held is None else held.nanmean(dim=0).numpy(),
        held_all=None if held is None else float(held.nanmean()),
    )
