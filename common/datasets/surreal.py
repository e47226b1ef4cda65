"""SURREAL's prepared files (`common.datasets.surreal_file`), turned into tensors."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from common.datasets.anomalies import check_bodies, check_pixels, check_views
from common.datasets.poses import Poses, Sequence, UnlabelledPoses, check_finite, choose_actions, read_splits
from common.datasets.surreal_file import (
    ANEW,
    DETECTOR,
    MAKE,
    SPLITS,
    SURREAL_CAMERA,
    clip_tables,
    open_split,
    path_surreal,
)
from common.errors import DuaError
from common.geometry.camera import normalize_screen_coordinates
from common.geometry.skeleton import (
    NUM_JOINTS,
    ROOT,
    SMPL_24_TO_16,
    SMPL_24_TO_16_COLLAR,
    SMPL_24_TO_16_SPINE2,
    SMPL_JOINT_NAMES,
)

if TYPE_CHECKING:
    import h5py

SMPL_SHOULDERS = {"shoulder": SMPL_24_TO_16, "collar": SMPL_24_TO_16_COLLAR}
SMPL_JOINTS = SMPL_SHOULDERS | {"posebench3d": SMPL_24_TO_16_SPINE2}
"""What stands for our sixteen joints: the choices of `--smpl_shoulders`, and the joints of PoseBench3D (`common.evaluation.posebench3d`)."""
_BLOCK = 2**16  # frames read at once: 19 MB of 3D joints
_GAP = 1024  # frames that are rather read and left than skipped; HDF5's chunks are as long
SAMPLE = 20_000  # poses that are looked at before streamed ones are trained on
_JOINTS = len(SMPL_JOINT_NAMES)
_FOCAL = 2 * SURREAL_CAMERA.focal_length[0] / SURREAL_CAMERA.resolution[0]  # in screen units


P = TypeVar("P", bound=Poses | UnlabelledPoses)


@dataclass(frozen=True)
class Joints:
    """What is read of a pose: places among SMPL's joints, and whether the 2D is a detector's, which has our order already."""

    places: list[int]
    detector: bool = False


Read = Callable[["h5py.File", np.ndarray, tuple[Sequence, ...], Joints], P]
"""`read_poses` or `read_inputs`."""


def load_surreal(
    data_dir: str | Path,
    split: str = "train",
    smpl_shoulders: str = "shoulder",
    downsample: int = 1,
    actions: str = "*",
    keypoints: str = "gt",
) -> Poses:
    """2D joints and camera-space 3D of one split, every clip a sequence of its own.

    Training clips bear no split of their own (`common.datasets.poses.split_validation` cuts one, by motion) unless the `dataset.json`
    of a built data set fixes it: SURREAL's own 'val' is a part of its 'test', so nothing may be chosen on it.

    A sequence's action is its motion, 'CMU-subject trial' for SURREAL's own clips (see `motion_of`), so that errors are
    reported per CMU subject, and all clips rendered from one motion stay together.

    Args:
        data_dir: folder with `surreal_{split}.h5`.
        split: 'train', 'val' or 'test'.
        smpl_shoulders: which SMPL joints stand for the shoulders, 'shoulder' or, as in the published code, 'collar'.
        downsample: keep every n-th frame of each clip.
        actions: '*' or a comma list of motions ('01 01') or CMU subjects ('01').
        keypoints: 'detector' for a detector's 2D, which files of the builder have; anything else means true 2D joints.

    Raises:
        DuaError: the file is missing, unfinished, damaged or of another kind, joints are NaN, bodies are mirrored, or 2D is no view of
            3D (`common.datasets.anomalies`).
    """
    poses = _load(read_poses, data_dir, split, joints_of(smpl_shoulders, keypoints), downsample, actions)
    check_set(poses, path_surreal(data_dir, split))
    return poses


def load_surreal_2d(
    data_dir: str | Path,
    split: str = "train",
    smpl_shoulders: str = "shoulder",
    downsample: int = 1,
    actions: str = "*",
    keypoints: str = "gt",
) -> UnlabelledPoses:
    """The 2D joints alone, for a target domain: `joints_3d` is not opened. Arguments and errors as `load_surreal`."""
    poses = _load(read_inputs, data_dir, split, joints_of(smpl_shoulders, keypoints), downsample, actions)
    check_set_2d(poses, path_surreal(data_dir, split))
    return poses


def _load(read: Read[P], data_dir: str | Path, split: str, joints: Joints, downsample: int, actions: str) -> P:
    with open_split(data_dir, split) as file:
        starts, sequences = choose_sequences(file, data_dir, split, downsample, actions)
        return read(file, _rows(starts, sequences, downsample), sequences, joints)


def check_set(poses: Poses, path: Path) -> None:
    """Raise a `DuaError` or warn of what is told of a whole set, or of a sample of it, but not of a single pose (`common.datasets.anomalies`)."""
    check_bodies(poses.targets_3d.numpy(), path, ANEW)
    check_pixels(poses, path, ANEW)
    check_views(poses, _FOCAL, f"{path}: 'joints_2d'", "'joints_3d'", ANEW)


def check_set_2d(poses: UnlabelledPoses, path: Path) -> None:
    """`check_set` of 2D alone."""
    check_pixels(poses, path, ANEW)


def surreal_clips(data_dir: str | Path, split: str = "test") -> list[str]:
    """Names of the clips of a split, in the file's order. Errors as `load_surreal`."""
    with open_split(data_dir, split) as file:
        return clip_tables(file)[0]


def load_surreal_clip(
    data_dir: str | Path,
    clip: str,
    split: str = "test",
    smpl_shoulders: str = "shoulder",
    downsample: int = 1,
    keypoints: str = "gt",
) -> Poses:
    """One clip, by its name in `surreal_clips`, where several may show the same motion. Arguments and errors as `load_surreal`.

    Which way round the bodies are is not looked at: that shows in the mean over a set, not in a clip of straight legs.
    """
    joints = joints_of(smpl_shoulders, keypoints)
    with open_split(data_dir, split) as file:
        names, starts, stops = clip_tables(file)
        if clip not in names:
            raise DuaError(f"no clip '{clip}' in {file.filename}")
        i = names.index(clip)
        rows = np.arange(starts[i], stops[i], downsample)
        sequence = Sequence(
            "surreal", motion_of(clip), SURREAL_CAMERA.name, 0, len(rows), SURREAL_CAMERA.resolution, SPLITS[split]
        )
        return read_poses(file, rows, (sequence,), joints)


def motion_of(clip: str) -> str:
    """The motion that a clip shows, as an action: 'run0/01_02/01_02_c0003' -> '01 02', second trial of CMU subject 01.

    `common.datasets.poses.base_action` makes '01' of it. SURREAL has some of CMU's motions twice, as '143_20' and 'ung_143_20':
    both are '143 20', because they are one movement. A sequence that is not named in CMU's way keeps its name.
    """
    path = PurePosixPath(clip)
    sequence = path.parent.name or path.name
    cmu = re.fullmatch(r"(?:[A-Za-z]+_)?(\d+)_(\d+)", sequence)
    return f"{cmu[1]} {cmu[2]}" if cmu else sequence


def joints_of(smpl_shoulders: str, keypoints: str = "gt") -> Joints:
    """The 16 of SMPL's joints that are read, by a name in `SMPL_JOINTS`, and whose 2D."""
    if smpl_shoulders not in SMPL_JOINTS:
        raise DuaError(f"smpl_shoulders is '{smpl_shoulders}', it can be: {', '.join(SMPL_JOINTS)}")
    return Joints(list(SMPL_JOINTS[smpl_shoulders]), keypoints == DETECTOR)


def choose_sequences(
    file: "h5py.File", data_dir: str | Path, split: str, downsample: int, actions: str
) -> tuple[np.ndarray, tuple[Sequence, ...]]:
    """The sequences that are wanted, laid one after the other, and the rows of the file at which they start, (S,) increasing."""
    names, starts, stops = clip_tables(file)
    motions = [motion_of(name) for name in names]
    chosen = choose_actions(motions, actions, file.filename)
    splits = read_splits(data_dir, "surreal") if split == "train" else {}
    first_rows: list[int] = []
    sequences: list[Sequence] = []
    count = 0
    for motion, start, stop in zip(motions, starts.tolist(), stops.tolist(), strict=True):
        if motion in chosen:
            first_rows.append(start)
            length = len(range(start, stop, downsample))
            sequences.append(
                Sequence(
                    "surreal",
                    motion,
                    SURREAL_CAMERA.name,
                    count,
                    count + length,
                    SURREAL_CAMERA.resolution,
                    splits.get(("surreal", motion), "") if split == "train" else SPLITS[split],
                )
            )
            count += length
    return np.array(first_rows, dtype=np.int64), tuple(sequences)


def _rows(starts: np.ndarray, sequences: tuple[Sequence, ...], downsample: int) -> np.ndarray:
    """The rows of the file in which the sequences' poses lie, (N,) increasing."""
    lengths = np.array([sequence.stop - sequence.start for sequence in sequences])
    firsts = np.array([sequence.start for sequence in sequences])
    return np.arange(lengths.sum()) * downsample + np.repeat(starts - firsts * downsample, lengths)


def _read(
    file: "h5py.File",
    name: str,
    axes: int,
    rows: np.ndarray,
    joints: list[int],
    count: int,
    convert: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """(len(rows), len(joints), axes) float32 of a data set, converted block by block: only what is wanted stays in memory.

    Args:
        count: joints of a pose in the file, of which `joints` are read.
    """
    dataset = file[name]
    expected = (len(file["joints_2d"]), count, axes)
    if dataset.shape != expected:
        whose = "SMPL" if count == _JOINTS else "ours"
        raise DuaError(
            f"{file.filename}: '{name}' has shape {dataset.shape}, {expected} was expected: the {count} joints of {whose}; "
            f"prepare it anew with: {MAKE}"
        )
    if rows[-1] >= len(dataset):
        raise DuaError(f"{file.filename} has become shorter since it was opened; start anew with the file as it is now")
    result = np.empty((len(rows), len(joints), axes), dtype=np.float32)
    for low, high in _runs(rows):
        wanted = rows[low:high]
        values = dataset[wanted[0] : wanted[-1] + 1]
        values = np.take(values if len(values) == len(wanted) else values[wanted - wanted[0]], joints, axis=1)
        if not np.isfinite(values).all():
            finite = np.isfinite(values).all(axis=(1, 2))
            _name_bad_clip(file, name, int(wanted[np.argmin(finite)]), joints)
        result[low:high] = convert(values)
    return result


def _runs(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Parts `low` to `high` of increasing rows that are read at once: without large gaps, at most `_BLOCK` rows of the file long."""
    edges = [0, *(np.flatnonzero(np.diff(rows) > _GAP) + 1).tolist(), len(rows)]
    for low, end in pairwise(edges):
        while low < end:
            high = min(end, int(np.searchsorted(rows, rows[low] + _BLOCK)))
            yield low, high
            low = high


def _read_2d(file: "h5py.File", rows: np.ndarray, joints: Joints) -> np.ndarray:
    """(len(rows), 16, 2) screen coordinates."""
    if not joints.detector:
        return _read(file, "joints_2d", 2, rows, joints.places, _JOINTS, _screen)
    if "joints_2d_detector" not in file:
        raise DuaError(
            f"{file.filename} has no 2D of a detector ('joints_2d_detector'): files of the open data's builder have; build it anew "
            "with data/prepare_data_demo.py or data/prepare_data_bvh.py, or leave out --keypoints detector"
        )
    return _read(file, "joints_2d_detector", 2, rows, list(range(NUM_JOINTS)), NUM_JOINTS, _screen)


def read_inputs(file: "h5py.File", rows: np.ndarray, sequences: tuple[Sequence, ...], joints: Joints) -> UnlabelledPoses:
    """2D joints of rows of a file, (N,) increasing; `joints_3d` is not opened."""
    return UnlabelledPoses("surreal", torch.from_numpy(_read_2d(file, rows, joints)), sequences)


def read_poses(file: "h5py.File", rows: np.ndarray, sequences: tuple[Sequence, ...], joints: Joints) -> Poses:
    """Poses of rows of a file, (N,) increasing; whose bodies they are is the caller's to look at (`check_set`)."""
    inputs = _read_2d(file, rows, joints)
    targets = _read(file, "joints_3d", 3, rows, joints.places, _JOINTS, np.asarray)
    roots = targets[:, ROOT].copy()
    targets -= roots[:, None]
    return Poses("surreal", torch.from_numpy(inputs), torch.from_numpy(targets), sequences, torch.from_numpy(roots))


def _name_bad_clip(file: "h5py.File", name: str, row: int, joints: list[int]) -> None:
    clips, starts, stops = clip_tables(file)
    i = int(np.searchsorted(starts, row, side="right")) - 1
    check_finite(file[name][starts[i] : stops[i]][:, joints], f"{file.filename}: '{name}' of clip {clips[i]}")


def _screen(pixels: np.ndarray) -> np.ndarray:
    return normalize_screen_coordinates(pixels.astype(np.float64), *SURREAL_CAMERA.resolution)
