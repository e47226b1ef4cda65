"""SURREAL in small, for the tests: its own tree of `*_info.mat`, and prepared files written without our writer.

Bodies move as the demo's motion-capture clips do. The world and the camera are SURREAL's, by the formula that it
publishes: K [R | -R camLoc] with R below, rounded to whole pixels.
"""

from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from common.mocap.body import draw_shape, pose_body
from common.mocap.motion import load_deepmimic_clips

MOTION = Path(__file__).resolve().parents[2] / "data" / "demo" / "motion.h5"
K = np.array([[600.0, 0, 160], [0, 600, 120], [0, 0, 1]])
R = np.array([[0.0, 0, -1], [0, 1, 0], [-1, 0, 0]])
SIDES = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
"""Exchanges left and right SMPL joints; written out so that no table of the project is taken at its word."""

CLIPS = {"run0/01_01/01_01_c0001": "walk", "run0/02_03/02_03_c0001": "punch", "run1/01_01/01_01_c0002": "kick"}


@cache
def _motions() -> dict[str, Any]:
    return load_deepmimic_clips(MOTION, 10.0)


def world_body(motion: str = "walk", heading: float = 0.7, frames: int | None = None) -> np.ndarray:
    """(T, 24, 3) SMPL joints in SURREAL's world, whose -y points up: the body is a real one, not mirrored."""
    joints = pose_body(_motions()[motion], draw_shape(np.random.default_rng(0), "female"), heading, (0.0, 0.0))["smpl"]
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([x, -z, y], axis=-1)[:frames].astype(np.float32)


def camera_place(world: np.ndarray, distance: float = 7.0, aside: float = 0.0) -> np.ndarray:
    """(3,) camLoc `distance` metres before the pelvis of the first frame, `aside` metres off to the side."""
    return (world[0, 0] + np.array([distance, 0.0, aside])).astype(np.float32)


def seen(world: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(T, 24, 2) whole pixels, as SURREAL's own formula gives them."""
    points = np.concatenate([world.astype(np.float64), np.ones((*world.shape[:2], 1))], axis=-1)
    extrinsic = np.concatenate([R, -R @ place.astype(np.float64)[:, None]], axis=1)
    projected = points @ (K @ extrinsic).T
    return np.round(projected[..., :2] / projected[..., 2:])


def info(world: np.ndarray, place: np.ndarray | None = None, **changes: Any) -> dict[str, Any]:
    """The fields of an `_info.mat`; a change to None leaves a field out."""
    place = camera_place(world) if place is None else place
    fields: dict[str, Any] = {
        "joints2D": seen(world, place).transpose(2, 1, 0).astype(np.float32),
        "joints3D": world.transpose(2, 1, 0).astype(np.float32),
        "camLoc": place.reshape(3, 1),
        "camDist": np.float32(7),
        "zrot": np.zeros((len(world), 1), np.float32),
        "pose": np.zeros((72, len(world)), np.float32),
        "sequence": "01_01_c0001",
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def write_info(path: Path, fields: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, fields, do_compression=True, oned_as="column")
    return path


def write_tree(root: Path, splits: tuple[str, ...] = ("train",)) -> Path:
    """`CLIPS` in each of the splits; returns the folder that SURREAL calls cmu."""
    for split in splits:
        for heading, (name, motion) in enumerate(CLIPS.items()):
            write_info(root / split / f"{name}_info.mat", info(world_body(motion, heading)))
    return root


def camera_body(motion: str = "walk", heading: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """(T, 24, 2) pixels and (T, 24, 3) metres in camera space, labelled as the person in the picture is."""
    world = world_body(motion, heading).astype(np.float64)
    joints_3d = ((world - camera_place(world)) @ R.T)[:, SIDES]
    return joints_3d[..., :2] / joints_3d[..., 2:] * 600 + np.array([160, 120]), joints_3d


def write_prepared(folder: Path, split: str = "train", clips: dict[str, str] = CLIPS, **attributes: Any) -> Path:
    """A prepared file with `clips` (name: motion), by h5py alone; `attributes` replaces or, being None, removes."""
    bodies = [camera_body(motion, heading) for heading, motion in enumerate(clips.values())]
    stops = np.cumsum([len(body) for body, _ in bodies])
    starts = np.append(0, stops[:-1])
    path = folder / f"surreal_{split}.h5"
    with h5py.File(path, "w") as file:
        file["joints_2d"] = np.concatenate([body for body, _ in bodies]).astype(np.float32)
        file["joints_3d"] = np.concatenate([body for _, body in bodies]).astype(np.float32)
        file["clip"] = np.repeat(np.arange(len(clips)), stops - starts).astype(np.int32)
        file.create_dataset("clips", data=list(clips), dtype=h5py.string_dtype())
        file["clip_start"], file["clip_stop"] = starts, stops
        described = {"format": "dua surreal 1", "skeleton": "smpl", "width": 320, "height": 240, "source": "tests"}
        described |= {"focal_length": [600.0, 600.0], "center": [160.0, 120.0], "complete": True}
        for name, value in {**described, **attributes}.items():
            if value is not None:
                file.attrs[name] = value
    return path
