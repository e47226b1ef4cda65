"""SMPL joints of Human3.6M from what people have of them: finished files of joints, or SMPL fits (`smpl_fits`).

All readers give what `common.preparation.h36m_writer.write_smpl_3d` writes: every sequence frame by frame beside `data_3d_h36m.npz`, NaN where
there is no usable fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.datasets.h36m import check_h36m, subjects_of
from common.datasets.smpl import check_same_person, check_smpl, check_smpl_handedness, has_fit
from common.errors import DuaError
from common.files.arrays import load_arrays, load_npy
from common.geometry.skeleton import H36M_32_TO_16, SMPL_24_TO_16, SMPL_JOINT_NAMES
from common.preparation.h36m_names import canonical_action
from common.preparation.h36m_writer import Positions3D


@dataclass
class Fits:
    """What was read: joints (T, 24, 3) world metres by subject and action, and what became of the frames.

    Attributes:
        frames: frames of all these sequences.
        dropped: frames whose fit is worse than was admitted.
        missing: frames that have no fit.
        skipped: sequences of the source that the 3D file lacks.
    """

    positions: Positions3D = field(default_factory=dict)
    frames: int = 0
    dropped: int = 0
    missing: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def usable(self) -> int:
        return self.frames - self.dropped - self.missing

    def add(self, subject: str, action: str, joints: np.ndarray, dropped: int) -> None:
        self.positions.setdefault(subject, {})[action] = joints
        self.frames += len(joints)
        self.dropped += dropped
        self.missing += int(np.sum(~has_fit(joints))) - dropped


def without_fit(frames: int) -> np.ndarray:
    return np.full((frames, len(SMPL_JOINT_NAMES), 3), np.nan, dtype=np.float32)


def read_joint_file(path: str | Path, h36m: Mapping[str, Mapping[str, Any]]) -> Fits:
    """Finished SMPL joints, {subject: {action: (T, 24, 3)}} world metres or millimetres, from an .npz or .npy file.

    An .npz keeps them as `positions_3d`, an .npy as its one pickled object. Sequences that the file lacks become rows of
    NaN, those that `h36m` lacks are skipped.

    Raises:
        DuaError: the file is missing or damaged, or its sequences are not those of `h36m`.
    """
    path = Path(path)
    if path.suffix == ".npy":
        content = load_npy(path)
        content = content if isinstance(content, dict) and "positions_3d" in content else {"positions_3d": content}
    else:
        content = load_arrays(path)
    positions = subjects_of(content, "positions_3d", path)
    fits = Fits()
    for subject, sequences in positions.items():
        if subject not in h36m:
            fits.skipped.append(f"{subject} (all)")
            continue
        named = {
            action if action in h36m[subject] else canonical_action(str(action)): values for action, values in sequences.items()
        }
        fits.skipped += [f"{subject} {action}" for action in named if action not in h36m[subject]]
        for action, world in h36m[subject].items():
            world = check_h36m(world, f"data_3d_h36m.npz: {subject} {action}")
            where = f"{path}: {subject} {action}"
            joints = _in_metres(named[action]) if action in named else without_fit(len(world))
            fits.add(subject, action, check_smpl(joints, where, len(world)), 0)
    return checked(fits, h36m, str(path))


def _in_metres(values: Any) -> Any:
    """Millimetres to metres, where the head is further from the pelvis than metres could be; all else as it is."""
    array = np.asarray(values) if isinstance(values, np.ndarray) else None
    if array is None or array.dtype.kind != "f" or array.ndim != 3 or array.shape[1:] != (len(SMPL_JOINT_NAMES), 3):
        return values
    height = np.linalg.norm(array[:, SMPL_JOINT_NAMES.index("head")] - array[:, 0], axis=-1)
    height = height[np.isfinite(height)]
    return array / 1000 if height.size and np.median(height) > 100 else values


def checked(fits: Fits, h36m: Mapping[str, Mapping[str, Any]], where: str) -> Fits:
    """The same fits, once they are known to be of the same people, and not mirrored."""
    if not fits.usable:
        raise DuaError(
            f"{where} holds no usable fit of a sequence in data_3d_h36m.npz: {fits.dropped:,} are too bad, {len(fits.skipped)} "
            "sequences are not in it; check that they belong together"
        )
    sequences = [joints for actions in fits.positions.values() for joints in actions.values()]
    every = np.concatenate([joints[has_fit(joints)][:, list(SMPL_24_TO_16)] for joints in sequences])
    check_smpl_handedness(every, where)
    for subject, actions in fits.positions.items():
        for action, joints in actions.items():
            usable = has_fit(joints)
            if usable.any():
                recorded = np.asarray(h36m[subject][action])[usable][:, list(H36M_32_TO_16)]
                check_same_person(recorded, joints[usable][:, list(SMPL_24_TO_16)], f"{where}: {subject} {action}")
    return fits
