"""Pairs of skeletons, for the pose converter: Human3.6M's joints and SMPL's, of the same person at the same instant.

`data_3d_h36m_smpl.npz` lies beside `data_3d_h36m.npz` and has its layout: `positions_3d`, {subject: {action: (T, 24, 3)}}
metres in Human3.6M's world, the 24 joints of `common.geometry.skeleton.SMPL_JOINT_NAMES`, frame by frame. A frame without a usable
SMPL fit is a row of NaN.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.datasets.anomalies import check_not_mirrored
from common.datasets.h36m import (
    CORRUPT_CLIPS,
    MAKE_3D,
    TRAIN_SUBJECTS,
    check_any,
    check_h36m,
    check_subjects,
    number_array,
    path_3d,
    path_smpl,
    sequence_of,
    subjects_of,
)
from common.datasets.poses import Sequence, check_finite, check_metres, choose_actions, read_splits, renumber
from common.datasets.surreal import SMPL_SHOULDERS
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.geometry.camera import Camera, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import H36M_32_TO_16, ROOT, SMPL_JOINT_NAMES, handedness

_MAKE = "python data/prepare_data_h36m_smpl.py (data/README.md); for the demo: python data/prepare_data_demo.py --out data/demo"
_JOINTS = len(SMPL_JOINT_NAMES)
_PELVIS, _HEAD = 0, 15
_SAMPLE = 20_000  # poses that the handedness is measured on
# The two definitions put a joint some 5 cm apart in the median; bodies half a second or a turn apart, 20 cm and more.
_SAME_PERSON = 0.15


@dataclass(frozen=True)
class PosePairs:
    """The same poses in two skeletons.

    Attributes:
        h36m: (N, 16, 3) metres, camera axes, Human3.6M's joints, their hip at the origin.
        smpl: (N, 16, 3) metres, the same axes, SMPL's joints, SMPL's pelvis at the origin.
        dropped: rows that were left out at loading, for want of a usable SMPL fit.
    """

    h36m: Tensor
    smpl: Tensor
    sequences: tuple[Sequence, ...]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.h36m)

    def to(self, device: torch.device) -> "PosePairs":
        return replace(self, h36m=self.h36m.to(device), smpl=self.smpl.to(device))

    def select(self, wanted: Callable[[Sequence], bool]) -> "PosePairs":
        """The pairs of the sequences that `wanted` admits, renumbered, in their order."""
        chosen = [sequence for sequence in self.sequences if wanted(sequence)]
        rows = [torch.arange(sequence.start, sequence.stop) for sequence in chosen]
        index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long)
        return replace(self, h36m=self.h36m[index], smpl=self.smpl[index], sequences=renumber(chosen))


def load_pairs(
    data_dir: str | Path,
    subjects: SequenceOf[str] = TRAIN_SUBJECTS,
    actions: str = "*",
    downsample: int = 1,
    smpl_shoulders: str = "shoulder",
) -> PosePairs:
    """Both skeletons of `subjects`, as each of the four cameras sees them, every camera a sequence of its own.

    Args:
        data_dir: folder with `data_3d_h36m.npz` and `data_3d_h36m_smpl.npz`.
        actions: '*' or a comma list.
        downsample: keep every n-th frame, of those that have a fit and those that have none.
        smpl_shoulders: which SMPL joints stand for the shoulders, 'shoulder' or, as in the published code, 'collar'.

    Raises:
        DuaError: a file is missing or damaged, a subject or action is not in it, the two files do not fit each other, or
            SMPL's bodies are mirrored.
    """
    if smpl_shoulders not in SMPL_SHOULDERS:
        raise DuaError(f"smpl_shoulders is '{smpl_shoulders}', it can be: {', '.join(SMPL_SHOULDERS)}")
    file_3d, file_smpl = path_3d(data_dir), path_smpl(data_dir)
    positions_3d = subjects_of(load_arrays(file_3d, MAKE_3D), "positions_3d", file_3d)
    positions_smpl = subjects_of(load_arrays(file_smpl, _MAKE), "positions_3d", file_smpl)
    check_subjects(subjects, positions_3d, file_3d)
    check_subjects(subjects, positions_smpl, file_smpl)
    chosen = choose_actions((a for takes in positions_3d.values() for a in takes), actions, str(file_3d))
    splits = read_splits(data_dir, "h36m")

    h36m: list[np.ndarray] = []
    smpl: list[np.ndarray] = []
    sequences: list[Sequence] = []
    start = dropped = 0
    for subject in subjects:
        for action, world in positions_3d[subject].items():
            if action not in chosen or (subject, action) in CORRUPT_CLIPS:
                continue
            world = check_h36m(world, f"{file_3d}: {subject} {action}")
            if action not in positions_smpl[subject]:
                raise DuaError(f"{file_smpl} has no {subject} {action}, which {file_3d.name} has; make it anew with: {_MAKE}")
            fitted = check_smpl(positions_smpl[subject][action], f"{file_smpl}: {subject} {action}", len(world))
            world, fitted = world[::downsample].astype(np.float64), fitted[::downsample].astype(np.float64)
            usable = has_fit(fitted)
            world, fitted = world[usable], fitted[usable]
            cameras = h36m_cameras(subject)
            dropped += len(cameras) * int(np.sum(~usable))
            if not len(world):
                continue
            for camera in cameras:
                h36m.append(_seen(world[:, list(H36M_32_TO_16)], camera))
                smpl.append(_seen(fitted[:, list(SMPL_SHOULDERS[smpl_shoulders])], camera))
                sequences.append(sequence_of(subject, action, camera, start, len(world), splits))
                start += len(world)
    check_any(h36m, subjects, actions, file_smpl)
    pairs = PosePairs(torch.from_numpy(np.concatenate(h36m)), torch.from_numpy(np.concatenate(smpl)), tuple(sequences), dropped)
    # first: bodies that are mirrored fail the next check as well, whose message would not say why
    check_smpl_handedness(pairs.smpl.numpy(), file_smpl)
    for sequence in pairs.sequences:
        rows = slice(sequence.start, sequence.stop)
        check_same_person(
            pairs.h36m[rows].numpy(), pairs.smpl[rows].numpy(), f"{file_smpl}: {sequence.subject} {sequence.action}"
        )
    return pairs


def check_smpl(values: Any, where: str, frames: int) -> np.ndarray:
    """(frames, 24, 3) world metres of SMPL's joints, NaN where there is no fit, once they are known to be that.

    Raises:
        DuaError: another shape, other lengths than metres, or joints that are not finite in a frame that has others.
    """
    joints = number_array(values, where)
    if joints.ndim != 3 or joints.shape[1:] != (_JOINTS, 3):
        raise DuaError(f"{where} has shape {joints.shape}, (T, 24, 3) was expected: the 24 joints of SMPL")
    if len(joints) != frames:
        raise DuaError(
            f"{where} has {len(joints)} frames, Human3.6M's 3D has {frames}; the two files do not belong together, or one was "
            "made from a part of the frames: get or make both anew"
        )
    usable = has_fit(joints)
    check_finite(np.where(usable[:, None, None], joints, 0), where)
    if usable.any():
        check_metres(joints[usable, _PELVIS], joints[usable, _HEAD], where, f"make it anew with: {_MAKE}")
    return joints


def has_fit(joints: np.ndarray) -> np.ndarray:
    """(T,) bool: which frames of (T, 24, 3) are more than a row of NaN."""
    return ~np.isnan(joints).all(axis=(1, 2))


def check_same_person(h36m: np.ndarray, smpl: np.ndarray, where: str) -> None:
    """Raise a `DuaError` if (T, 16, 3) metres of either skeleton, in the same axes, are not of one movement."""
    # Each is centred on its own hip, as the converter sees it.
    apart = (h36m - h36m[:, ROOT : ROOT + 1]) - (smpl - smpl[:, ROOT : ROOT + 1])
    distance = float(np.median(np.linalg.norm(np.delete(apart, ROOT, axis=1), axis=-1)))
    if not distance < _SAME_PERSON:
        raise DuaError(
            f"{where}: SMPL's joints lie {distance:.2f} m from Human3.6M's in the median, less than {_SAME_PERSON} m were "
            "expected of one person at one instant; the two files do not belong together, or the fits are not in Human3.6M's "
            "world: get or make both anew"
        )


def check_smpl_handedness(smpl: np.ndarray, where: str | Path) -> None:
    """Raise a `DuaError` if the bodies of (N, 16, 3) are mirror images."""
    sample = smpl[:: 1 + len(smpl) // _SAMPLE]
    check_not_mirrored(float(np.mean(handedness(sample))), where, f"make it anew with: {_MAKE}")


def _seen(world: np.ndarray, camera: Camera) -> np.ndarray:
    """(T, 16, 3) world metres to float32 metres in the camera's axes, hip at the origin."""
    in_camera = world_to_camera(world, camera)
    return (in_camera - in_camera[:, ROOT : ROOT + 1]).astype(np.float32)
