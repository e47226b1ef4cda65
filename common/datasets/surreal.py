"""SURREAL as `data/prepare_data_surreal.py` prepares it: `surreal_{train,val,test}.h5`, turned into tensors.

One HDF5 file holds one split, frames of all clips in a row:

- `joints_2d` (N, 24, 2) float32 pixels, `joints_3d` (N, 24, 3) float32 metres in camera space (x right, y down, z
  forward; where the person stands, not centred), both in the order of `common.geometry.skeleton.SMPL_JOINT_NAMES`;
- `clip` (N,) int32: the frame's place in the tables `clips` (C,) utf-8 names, `clip_start`, `clip_stop` (C,) rows;
- attributes `format`, `skeleton`, `width`, `height`, `focal_length`, `center`, `source`, and `complete`, set last.

`common.preparation.surreal_writer` writes them, with check sums of data (Fletcher32) and structure; older files have none and load as well.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TypeVar

import h5py
import numpy as np
import torch

from common.datasets.anomalies import check_bodies, check_pixels, check_views
from common.datasets.poses import Poses, Sequence, UnlabelledPoses, check_finite, choose_actions, read_splits
from common.errors import DuaError
from common.files.arrays import require_file
from common.files.hdf5 import open_h5
from common.geometry.camera import Camera, normalize_screen_coordinates
from common.geometry.skeleton import ROOT, SMPL_24_TO_16, SMPL_24_TO_16_COLLAR, SMPL_JOINT_NAMES

SURREAL_CAMERA = Camera("surreal", resolution=(320, 240), focal_length=(600.0, 600.0), center=(160.0, 120.0))
"""Every image of SURREAL is taken with it; SURREAL has no lens distortion."""

FORMAT = "dua surreal 1"
SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""The file's part of the data set, and what `common.datasets.poses` calls it."""

SMPL_SHOULDERS = {"shoulder": SMPL_24_TO_16, "collar": SMPL_24_TO_16_COLLAR}

_MAKE = "python data/prepare_data_surreal.py (data/README.md)"
ANEW = f"prepare it anew with: {_MAKE}"
_BLOCK = 2**16  # frames read at once: 19 MB of 3D joints
_GAP = 1024  # frames that are rather read and left than skipped; HDF5's chunks are as long
SAMPLE = 20_000  # poses that are looked at before streamed ones are trained on
_FOCAL = 2 * SURREAL_CAMERA.focal_length[0] / SURREAL_CAMERA.resolution[0]  # in screen units


P = TypeVar("P", bound=Poses | UnlabelledPoses)

Read = Callable[[h5py.File, np.ndarray, tuple[Sequence, ...], list[int]], P]
"""`read_poses` or `read_inputs`."""


def path_surreal(data_dir: str | Path, split: str) -> Path:
    return Path(data_dir) / f"surreal_{split}.h5"


def load_surreal(
    data_dir: str | Path, split: str = "train", smpl_shoulders: str = "shoulder", downsample: int = 1, actions: str = "*"
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

    Raises:
        DuaError: the file is missing, unfinished, damaged or of another kind, joints are NaN, bodies are mirrored, or 2D is no view of
            3D (`common.datasets.anomalies`).
    """
    poses = _load(read_poses, data_dir, split, smpl_shoulders, downsample, actions)
    check_set(poses, path_surreal(data_dir, split))
    return poses


def load_surreal_2d(
    data_dir: str | Path, split: str = "train", smpl_shoulders: str = "shoulder", downsample: int = 1, actions: str = "*"
) -> UnlabelledPoses:
    """The 2D joints alone, for a target domain: `joints_3d` is not opened. Arguments and errors as `load_surreal`."""
    poses = _load(read_inputs, data_dir, split, smpl_shoulders, downsample, actions)
    check_set_2d(poses, path_surreal(data_dir, split))
    return poses


def _load(read: Read[P], data_dir: str | Path, split: str, smpl_shoulders: str, downsample: int, actions: str) -> P:
    joints = joints_of(smpl_shoulders)
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
        return _tables(file)[0]


def load_surreal_clip(
    data_dir: str | Path, clip: str, split: str = "test", smpl_shoulders: str = "shoulder", downsample: int = 1
) -> Poses:
    """One clip, by its name in `surreal_clips`, where several may show the same motion. Arguments and errors as `load_surreal`.

    Which way round the bodies are is not looked at: that shows in the mean over a set, not in a clip of straight legs.
    """
    joints = joints_of(smpl_shoulders)
    with open_split(data_dir, split) as file:
        names, starts, stops = _tables(file)
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


def joints_of(smpl_shoulders: str) -> list[int]:
    """The 16 of SMPL's joints that are read, with 'shoulder' or 'collar' for the shoulders."""
    if smpl_shoulders not in SMPL_SHOULDERS:
        raise DuaError(f"smpl_shoulders is '{smpl_shoulders}', it can be: {', '.join(SMPL_SHOULDERS)}")
    return list(SMPL_SHOULDERS[smpl_shoulders])


@contextmanager
def open_split(data_dir: str | Path, split: str) -> Iterator[h5py.File]:
    """The file of a split, once it is known to be whole and of this format."""
    if split not in SPLITS:
        raise DuaError(f"SURREAL has no split '{split}'; it has: {', '.join(SPLITS)}")
    path = path_surreal(data_dir, split)
    require_file(path, _MAKE)
    try:
        with open_h5(path, str(path)) as file:
            _check_header(file, path)
            yield file
    except (OSError, RuntimeError, KeyError, UnicodeError) as error:  # what h5py raises on damaged files
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DuaError(f"{path} is damaged or no HDF5 file ({reason}); prepare it anew with: {_MAKE}") from error


def _check_header(file: h5py.File, path: Path) -> None:
    attributes = dict(file.attrs)
    if attributes.get("format") != FORMAT:
        raise DuaError(f"{path} has format '{attributes.get('format')}', '{FORMAT}' was expected; prepare it anew with: {_MAKE}")
    if not attributes.get("complete"):
        raise DuaError(f"{path} was not written to its end; prepare it anew with: {_MAKE}")
    if attributes.get("skeleton") != "smpl":
        raise DuaError(
            f"{path} has the skeleton '{attributes.get('skeleton')}', 'smpl' was expected; prepare it anew with: {_MAKE}"
        )
    for name, expected in camera_attributes().items():
        if name not in attributes or not np.array_equal(attributes[name], expected):
            raise DuaError(
                f"{path}: the camera's {name} is {attributes.get(name)}, {expected} was expected; prepare it anew with: {_MAKE}"
            )


def camera_attributes() -> dict[str, int | list[float]]:
    """The attributes of a prepared file that describe the camera."""
    width, height = SURREAL_CAMERA.resolution
    return {
        "width": width,
        "height": height,
        "focal_length": list(SURREAL_CAMERA.focal_length),
        "center": list(SURREAL_CAMERA.center),
    }


def choose_sequences(
    file: h5py.File, data_dir: str | Path, split: str, downsample: int, actions: str
) -> tuple[np.ndarray, tuple[Sequence, ...]]:
    """The sequences that are wanted, laid one after the other, and the rows of the file at which they start, (S,) increasing."""
    names, starts, stops = _tables(file)
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


def _tables(file: h5py.File) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, first rows and rows after the last of the clips, which must cover the file without a gap."""
    names = list(file["clips"].asstr()[()])
    starts, stops = file["clip_start"][()], file["clip_stop"][()]
    edges = np.append(starts, len(file["joints_2d"]))
    if not len(names) == len(starts) == len(stops) > 0 or edges[0] != 0 or not np.array_equal(edges[1:], stops):
        raise DuaError(f"{file.filename}: its table of clips does not fit its frames; prepare it anew with: {_MAKE}")
    if np.any(stops <= starts):
        raise DuaError(f"{file.filename}: it has clips without frames; prepare it anew with: {_MAKE}")
    return names, starts, stops


def _read(
    file: h5py.File,
    name: str,
    axes: int,
    rows: np.ndarray,
    joints: list[int],
    convert: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """(len(rows), 16, axes) float32 of a data set, converted block by block: only what is wanted stays in memory."""
    dataset = file[name]
    expected = (len(file["joints_2d"]), len(SMPL_JOINT_NAMES), axes)
    if dataset.shape != expected:
        raise DuaError(
            f"{file.filename}: '{name}' has shape {dataset.shape}, {expected} was expected: the 24 joints of SMPL; "
            f"prepare it anew with: {_MAKE}"
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


def read_inputs(file: h5py.File, rows: np.ndarray, sequences: tuple[Sequence, ...], joints: list[int]) -> UnlabelledPoses:
    """2D joints of rows of a file, (N,) increasing; `joints_3d` is not opened."""
    return UnlabelledPoses("surreal", torch.from_numpy(_read(file, "joints_2d", 2, rows, joints, _screen)), sequences)


def read_poses(file: h5py.File, rows: np.ndarray, sequences: tuple[Sequence, ...], joints: list[int]) -> Poses:
    """Poses of rows of a file, (N,) increasing; whose bodies they are is the caller's to look at (`check_set`)."""
    inputs = _read(file, "joints_2d", 2, rows, joints, _screen)
    targets = _read(file, "joints_3d", 3, rows, joints, np.asarray)
    roots = targets[:, ROOT].copy()
    targets -= roots[:, None]
    return Poses("surreal", torch.from_numpy(inputs), torch.from_numpy(targets), sequences, torch.from_numpy(roots))


def _name_bad_clip(file: h5py.File, name: str, row: int, joints: list[int]) -> None:
    clips, starts, stops = _tables(file)
    i = int(np.searchsorted(starts, row, side="right")) - 1
    check_finite(file[name][starts[i] : stops[i]][:, joints], f"{file.filename}: '{name}' of clip {clips[i]}")


def _screen(pixels: np.ndarray) -> np.ndarray:
    return normalize_screen_coordinates(pixels.astype(np.float64), *SURREAL_CAMERA.resolution)
