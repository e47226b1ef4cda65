"""Predicted poses in files: `.npz` for numpy, `.json`, `.csv` for tables, `.bvh` for Blender, `.trc` for OpenSim. The ending says which."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DuaError
from common.files.writing import atomic_write, write_text
from common.geometry.skeleton import JOINT_NAMES, PARENTS
from common.prediction.bvh_writer import write_bvh
from common.prediction.predictor import Prediction
from common.prediction.trc_writer import write_trc
from common.prediction.upright import camera_to_y_up

WITHOUT_CAMERA = (".npz", ".json", ".csv")
"""Formats in the camera's axes; others are turned upright."""


@dataclass(frozen=True)
class Clip:
    """A prediction, and what a file says of it beside.

    Attributes:
        frames: (T,) numbers of the video's frames, evenly spaced; every fifth, if the detector saw no more.
        fps: frames per second of the video.
        definition: whose skeleton the poses have, 'h36m' or 'smpl'.
        uncertainty_unit: 'relative' or 'metres', of the uncertainty if there is one.
        roots_3d: (T, 3) metres from the camera, in its axes: where the hip is, if that was asked for.
        camera_pitch: degrees by which the camera looks down, and...
        camera_roll: ...is turned clockwise (`common.prediction.upright`); BVH and TRC files are turned upright by them.
        floor: whether these have the lowest joint of each frame on the floor, or the hip at the origin or at its root.
    """

    prediction: Prediction
    frames: np.ndarray
    fps: float
    definition: str
    uncertainty_unit: str | None
    roots_3d: np.ndarray | None = None
    camera_pitch: float = 0.0
    camera_roll: float = 0.0
    floor: bool = False

    @property
    def poses_per_second(self) -> float:
        """Which is less than `fps` if the detector did not see every frame."""
        return self.fps / int(self.frames[1] - self.frames[0]) if len(self.frames) > 1 else self.fps

    @property
    def upright(self) -> np.ndarray:
        """(T, 16, 3) metres from the hip, y up."""
        return camera_to_y_up(self.prediction.poses_3d.astype(np.float64), self.camera_pitch, self.camera_roll)

    @property
    def upright_roots(self) -> np.ndarray | None:
        """(T, 3) metres from the camera, y up."""
        return None if self.roots_3d is None else camera_to_y_up(self.roots_3d, self.camera_pitch, self.camera_roll)


def check_output(path: str | Path) -> Path:
    """The path, if it can be written: before any work is done.

    Raises:
        DuaError: no format has that ending, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise DuaError(f"--out {path}: the ending says the format, one of {', '.join(_WRITERS)} is needed")
    check_folder(path)
    return path


def check_folder(path: Path) -> None:
    if path.is_dir():
        raise DuaError(f"{path} is a folder, the name of a file was expected")
    if not path.parent.is_dir():
        raise DuaError(f"{path}: the folder {path.parent} does not exist; make it first, or write elsewhere")


def write_clip(path: Path, clip: Clip) -> None:
    """Write the clip in the format of the ending, whole or not at all.

    - npz: poses_3d (T, 16, 3) metres, missing (T, 16), keypoints_2d (T, 16, 2) pixels, exchanged (T, 2) whether left and right of legs
      and arms seemed exchanged in 2D, frames (T,), joints (16,) names, parents (16,), skeleton, image_size, fps; and, where the
      checkpoint gives them, uncertainty (T, 16) in uncertainty_unit, uncertainty_mm and radii_mm (T, 16); and, of a clip that has them, roots_3d
      (T, 3) metres and the focal_length in pixels that they hold for. No pickles.
    - json: the same as lists, places to a thousandth of a millimetre.
    - csv: a row for each frame and joint: frame, joint, x, y, z in metres, uncertainty, uncertainty_mm, radius_mm, missing; and root_x, root_y,
      root_z of a clip that has roots.
    - bvh, trc: `common.prediction.bvh_writer`, `common.prediction.trc_writer`.
    """
    _WRITERS[path.suffix.lower()](path, clip)


def _arrays(clip: Clip) -> dict[str, np.ndarray]:
    prediction = clip.prediction
    arrays = {
        "poses_3d": prediction.poses_3d,
        "roots_3d": clip.roots_3d,
        "focal_length": None if clip.roots_3d is None else np.array(prediction.focal_length),
        "uncertainty": prediction.uncertainty,
        "uncertainty_unit": None if clip.uncertainty_unit is None else np.array(clip.uncertainty_unit),
        "uncertainty_mm": prediction.uncertainty_mm,
        "radii_mm": prediction.radii_mm,
        "missing": prediction.missing,
        "keypoints_2d": prediction.keypoints_2d,
        "exchanged": prediction.exchanged,
        "frames": clip.frames,
        "joints": np.array(JOINT_NAMES),
        "parents": np.array(PARENTS),
        "skeleton": np.array(clip.definition),
        "image_size": np.array(prediction.image_size),
        "fps": np.array(clip.fps),
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _write_npz(path: Path, clip: Clip) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **_arrays(clip))  # type: ignore[arg-type]
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _write_json(path: Path, clip: Clip) -> None:
    content = {
        name: (array.astype(np.float64).round(6) if array.dtype.kind == "f" else array).tolist()
        for name, array in _arrays(clip).items()
    }
    content["units"] = {
        "poses_3d": "metres, camera axes (x right, y down, z forward), hip at the origin",
        "keypoints_2d": "pixels",
    }
    if clip.roots_3d is not None:
        content["units"] |= {"roots_3d": "metres, camera axes, from the camera to the hip", "focal_length": "pixels"}
    write_text(path, json.dumps(content))


def _write_csv(path: Path, clip: Clip) -> None:
    prediction = clip.prediction
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with_roots = () if clip.roots_3d is None else ("root_x", "root_y", "root_z")
    writer.writerow(["frame", "joint", "x", "y", "z", "uncertainty", "uncertainty_mm", "radius_mm", "missing", *with_roots])
    for i, frame in enumerate(clip.frames):
        root = () if clip.roots_3d is None else tuple(f"{value:.6f}" for value in clip.roots_3d[i])
        for j, joint in enumerate(JOINT_NAMES):
            judged = [
                "" if values is None else f"{values[i, j]:.6g}"
                for values in (prediction.uncertainty, prediction.uncertainty_mm, prediction.radii_mm)
            ]
            place = (f"{value:.6f}" for value in prediction.poses_3d[i, j])
            writer.writerow([frame, joint, *place, *judged, int(prediction.missing[i, j]), *root])
    write_text(path, text.getvalue())


def _write_bvh(path: Path, clip: Clip) -> None:
    write_bvh(path, clip.upright, clip.poses_per_second, clip.upright_roots, clip.floor)


def _write_trc(path: Path, clip: Clip) -> None:
    places = clip.upright if clip.upright_roots is None else clip.upright + clip.upright_roots[:, None]
    if clip.floor:
        places[..., 1] -= places[..., 1].min(axis=1, keepdims=True)
    write_trc(path, places, clip.poses_per_second)


_WRITERS: dict[str, Callable[[Path, Clip], None]] = {
    ".npz": _write_npz,
    ".json": _write_json,
    ".csv": _write_csv,
    ".bvh": _write_bvh,
    ".trc": _write_trc,
}
