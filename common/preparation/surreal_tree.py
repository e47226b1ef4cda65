"""SURREAL's own tree of `*_info.mat`, read into clips as `common.preparation.surreal_sources` gives them."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np

from common.compute.signals import end_with_parent
from common.datasets.poses import check_finite
from common.datasets.surreal_file import SPLITS
from common.errors import DuaError, short_reason
from common.files.matlab import load_mat
from common.preparation.surreal_sources import (
    JOINTS,
    PELVIS_TO_NECK,
    PIXELS_OFF,
    Clip,
    Problem,
    Source,
    clip_of,
    exchange_sides,
    pixels_off,
    trunk_length,
)

# World axes to camera axes as SURREAL publishes them (datageneration/misc/3Dto2D): the image's x is the world's -z, its
# y the world's y, and the camera looks along the world's -x.
_WORLD_TO_CAMERA = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])

_MAT_FIELDS = ("joints2D", "joints3D", "camLoc")


def find_tree(folder: str | Path) -> dict[str, Path]:
    """{split: its folder} of SURREAL's tree, named by the folder that holds train/, val/ and test/, or one above it.

    Raises:
        DuaError: there is no such folder.
    """
    folder = Path(folder)
    for root in (folder, folder / "cmu", folder / "data" / "cmu"):
        found = {split: root / split for split in SPLITS if (root / split).is_dir()}
        if found:
            return found
    raise DuaError(f"{folder} holds no train, val or test; name SURREAL's folder cmu (data/README.md)")


def read_tree(folder: Path, stride: int, workers: int) -> Source:
    """The clips of one split, `run*/SEQUENCE/*_info.mat`, read by several processes but given in the order of names.

    Args:
        folder: a split's folder, from `find_tree`.
        stride: keep every n-th frame of a clip.

    Raises:
        DuaError: there is no such file, or (while reading) a process died.
    """
    paths = sorted(path for path in folder.glob("run*/*/*_info.mat") if not path.name.startswith("."))
    if not paths:
        raise DuaError(f"{folder} holds no run*/SEQUENCE/*_info.mat; get the _info.mat files of SURREAL (data/README.md)")
    return Source(len(paths), _read_files(folder, paths, stride, workers))


def _read_files(folder: Path, paths: list[Path], stride: int, workers: int) -> Iterator[Clip | Problem]:
    read = partial(read_info, folder, stride)
    if workers == 1:
        yield from map(read, paths)
        return
    batch = 64 * workers  # readers must not run ahead of the writer: all results of a batch may wait in memory
    try:
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            for first in range(0, len(paths), batch):
                yield from pool.map(read, paths[first : first + batch], chunksize=8)
    except BrokenProcessPool as error:
        raise DuaError(f"a process that read {folder} died, perhaps for want of memory; try fewer --workers") from error


def read_info(folder: Path, stride: int, path: Path) -> Clip | Problem:
    """One `*_info.mat`; whatever is wrong with it becomes a `Problem`."""
    try:
        joints_2d, world, camera_place = _load_info(path)
    except DuaError as error:
        return Problem(str(path), str(error))
    except Exception as error:  # damaged bytes raise nearly anything
        return Problem(str(path), f"damaged or cut off ({short_reason(error)})")
    length, (low, high) = trunk_length(world), PELVIS_TO_NECK
    if not low <= length <= high:
        return Problem(str(path), f"its pelvis and neck are {length:.3g} m apart, {low} to {high} m were expected: other units")
    joints_3d = (world - camera_place) @ _WORLD_TO_CAMERA.T
    seen = np.all(joints_3d[..., 2] > 0, axis=1)
    off = pixels_off(joints_3d[seen], joints_2d[seen])
    if off.size and off.max() > PIXELS_OFF:
        return Problem(
            str(path), f"inconsistent: its joints3D, seen from camLoc, lie up to {off.max():.1f} pixels away from its joints2D"
        )
    # That matrix has determinant -1: seen by it, every body is its own mirror image. So are SURREAL's pictures, because
    # Blender rendered through the same matrix: the hand that the world calls left looks like, and in camera space is, a
    # right hand. The geometry stays, since it is what the pictures and joints2D show; only the labels are wrong.
    # Exchanged in 2D and 3D alike, they are those of the person in the picture, and pairs stay pairs.
    joints_2d, joints_3d = exchange_sides(joints_2d), exchange_sides(joints_3d)
    name = path.relative_to(folder).as_posix().removesuffix("_info.mat")
    return clip_of(name, joints_2d[::stride], joints_3d[::stride])


def _load_info(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 24, 2) pixels, (T, 24, 3) world metres and (3,) the camera's place."""
    try:
        fields = load_mat(path, _MAT_FIELDS)
    except NotImplementedError as error:
        raise DuaError(f"{error}; get SURREAL's own file") from error
    missing = [name for name in _MAT_FIELDS if name not in fields]
    if missing:
        raise DuaError(f"it has no {', '.join(missing)}")
    joints_2d, world = (_frames(fields[name], name, axes) for name, axes in (("joints2D", 2), ("joints3D", 3)))
    place = fields["camLoc"]
    if place.dtype.kind not in "fiu" or place.size != 3 or not np.isfinite(place).all():
        raise DuaError(f"its camLoc has shape {place.shape} and type {place.dtype}, 3 finite numbers were expected")
    if len(joints_2d) != len(world):
        raise DuaError(f"it has {len(joints_2d)} frames of joints2D and {len(world)} of joints3D")
    return joints_2d, world, place.reshape(3).astype(np.float64)


def _frames(values: np.ndarray, name: str, axes: int) -> np.ndarray:
    """(axes, 24, T) to (T, 24, axes) float64; a clip of one frame has lost its last axis."""
    if values.ndim == 2:
        values = values[:, :, None]
    if values.dtype.kind not in "fiu" or values.ndim != 3 or values.shape[:2] != (axes, JOINTS) or not values.size:
        raise DuaError(f"its {name} has shape {values.shape} and type {values.dtype}, numbers ({axes}, 24, T) were expected")
    with np.errstate(invalid="ignore"):  # what is not finite is reported next
        joints = values.transpose(2, 1, 0).astype(np.float64)
    check_finite(joints, name)
    return joints
