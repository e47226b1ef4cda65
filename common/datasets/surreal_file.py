"""SURREAL as `data/prepare_data_surreal.py` prepares it: `surreal_{train,val,test}.h5`.

One HDF5 file holds one split, frames of all clips in a row:

- `joints_2d` (N, 24, 2) float32 pixels, `joints_3d` (N, 24, 3) float32 metres in camera space (x right, y down, z
  forward; where the person stands, not centred), both in the order of `common.geometry.skeleton.SMPL_JOINT_NAMES`;
- in files that the builder of open data made, `joints_2d_detector` (N, 16, 2) float32 pixels: what a detector would find, in our
  order, made of COCO's keypoints by the rule of `common.geometry.joint_orders`;
- `clip` (N,) int32: the frame's place in the tables `clips` (C,) utf-8 names, `clip_start`, `clip_stop` (C,) rows;
- attributes `format`, `skeleton`, `width`, `height`, `focal_length`, `center`, `source`, and `complete`, set last.

`common.preparation.surreal_writer` writes them, with check sums of data (Fletcher32) and structure; older files have none and load as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import DuaError
from common.files.arrays import require_file
from common.geometry.camera import Camera

if TYPE_CHECKING:
    import h5py

SURREAL_CAMERA = Camera("surreal", resolution=(320, 240), focal_length=(600.0, 600.0), center=(160.0, 120.0))
"""Every image of SURREAL is taken with it; SURREAL has no lens distortion."""

FORMAT = "dua surreal 1"
SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""The file's part of the data set, and what `common.datasets.poses` calls it."""

DETECTOR = "detector"
"""`--keypoints` that asks for `joints_2d_detector`; all others mean `joints_2d`."""

MAKE = "python data/prepare_data_surreal.py (data/README.md)"
ANEW = f"prepare it anew with: {MAKE}"


def path_surreal(data_dir: str | Path, split: str) -> Path:
    return Path(data_dir) / f"surreal_{split}.h5"


@contextmanager
def open_split(data_dir: str | Path, split: str) -> Iterator["h5py.File"]:
    """The file of a split, once it is known to be whole and of this format."""
    if split not in SPLITS:
        raise DuaError(f"SURREAL has no split '{split}'; it has: {', '.join(SPLITS)}")
    path = path_surreal(data_dir, split)
    require_file(path, MAKE)
    from common.files.hdf5 import open_h5  # here, not above: scripts that do without it need not wait

    try:
        with open_h5(path, str(path)) as file:
            _check_header(file, path)
            yield file
    except (OSError, RuntimeError, KeyError, UnicodeError) as error:  # what h5py raises on damaged files
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DuaError(f"{path} is damaged or no HDF5 file ({reason}); prepare it anew with: {MAKE}") from error


def _check_header(file: "h5py.File", path: Path) -> None:
    attributes = dict(file.attrs)
    if attributes.get("format") != FORMAT:
        raise DuaError(f"{path} has format '{attributes.get('format')}', '{FORMAT}' was expected; prepare it anew with: {MAKE}")
    if not attributes.get("complete"):
        raise DuaError(f"{path} was not written to its end; prepare it anew with: {MAKE}")
    if attributes.get("skeleton") != "smpl":
        raise DuaError(
            f"{path} has the skeleton '{attributes.get('skeleton')}', 'smpl' was expected; prepare it anew with: {MAKE}"
        )
    for name, expected in camera_attributes().items():
        if name not in attributes or not np.array_equal(attributes[name], expected):
            raise DuaError(
                f"{path}: the camera's {name} is {attributes.get(name)}, {expected} was expected; prepare it anew with: {MAKE}"
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


def clip_tables(file: "h5py.File") -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, first rows and rows after the last of the clips, which must cover the file without a gap."""
    names = list(file["clips"].asstr()[()])
    starts, stops = file["clip_start"][()], file["clip_stop"][()]
    edges = np.append(starts, len(file["joints_2d"]))
    if not len(names) == len(starts) == len(stops) > 0 or edges[0] != 0 or not np.array_equal(edges[1:], stops):
        raise DuaError(f"{file.filename}: its table of clips does not fit its frames; prepare it anew with: {MAKE}")
    if np.any(stops <= starts):
        raise DuaError(f"{file.filename}: it has clips without frames; prepare it anew with: {MAKE}")
    return names, starts, stops
