"""SURREAL that is larger than memory: `common.datasets.surreal`'s files, opened and not loaded."""

from pathlib import Path

import numpy as np

from common.datasets.anomalies import check_bodies
from common.datasets.poses import Poses, Sequence, UnlabelledPoses
from common.datasets.streamed import Streamed
from common.datasets.surreal import (
    SAMPLE,
    Joints,
    P,
    Read,
    check_set,
    check_set_2d,
    choose_sequences,
    joints_of,
    load_surreal,
    load_surreal_2d,
    read_inputs,
    read_poses,
)
from common.datasets.surreal_file import ANEW, open_split, path_surreal

STREAM_ABOVE = 2**21
"""Poses in a file that 'auto' does not take into memory any more: 0.7 GB of tensors, and as much again while they are split."""
TEST_STREAM_ABOVE = 2**19
"""The same of a test, whose errors take five times as much memory as its poses."""

_MANY = 10_000
"""Poses that are read together and too many for their mean handedness to be that of a clip: the last of a file may be one pose."""


def open_surreal(
    data_dir: str | Path,
    split: str = "train",
    smpl_shoulders: str = "shoulder",
    downsample: int = 1,
    actions: str = "*",
    stream: str = "auto",
    above: int = STREAM_ABOVE,
    keypoints: str = "gt",
) -> Poses | Streamed[Poses]:
    """`load_surreal`, or poses that stay in the file and are checked whenever they are read; a line says so.

    Args:
        stream: 'on', 'off', or 'auto': if the file holds more than `above` poses.

    Raises:
        DuaError: as `load_surreal`; of streamed poses, header, tables and a sample from all over the file are looked at now.
    """
    if not _streams(data_dir, split, stream, above):
        return load_surreal(data_dir, split, smpl_shoulders, downsample, actions, keypoints)

    def checked(read: Poses) -> Poses:
        if len(read) >= _MANY:
            check_bodies(read.targets_3d.numpy(), path_surreal(data_dir, split), ANEW)
        return read

    poses = _open(read_poses, data_dir, split, joints_of(smpl_shoulders, keypoints), downsample, actions).then(checked)
    check_set(poses.read(_sample(len(poses))), path_surreal(data_dir, split))
    return poses


def open_surreal_test(
    data_dir: str | Path, smpl_shoulders: str = "shoulder", downsample: int = 1, actions: str = "*", keypoints: str = "gt"
) -> Poses | Streamed[Poses]:
    """The test split; a large one stays in its file, which changes no error: a test needs no shuffle. Errors as `load_surreal`."""
    return open_surreal(data_dir, "test", smpl_shoulders, downsample, actions, above=TEST_STREAM_ABOVE, keypoints=keypoints)


def open_surreal_2d(
    data_dir: str | Path,
    split: str = "train",
    smpl_shoulders: str = "shoulder",
    downsample: int = 1,
    actions: str = "*",
    stream: str = "auto",
    keypoints: str = "gt",
) -> UnlabelledPoses | Streamed[UnlabelledPoses]:
    """`load_surreal_2d`, or 2D joints that stay in the file: nothing that is returned can open `joints_3d`. As `open_surreal`."""
    if not _streams(data_dir, split, stream, STREAM_ABOVE):
        return load_surreal_2d(data_dir, split, smpl_shoulders, downsample, actions, keypoints)

    poses = _open(read_inputs, data_dir, split, joints_of(smpl_shoulders, keypoints), downsample, actions)
    check_set_2d(poses.read(_sample(len(poses))), path_surreal(data_dir, split))
    return poses


def _open(read: Read[P], data_dir: str | Path, split: str, joints: Joints, downsample: int, actions: str) -> Streamed[P]:
    """Poses of a split that `read` reads of its file, whenever they are wanted."""

    def load(rows: np.ndarray, sequences: tuple[Sequence, ...]) -> P:
        with open_split(data_dir, split) as file:
            return read(file, rows, sequences, joints)

    with open_split(data_dir, split) as file:
        starts, sequences = choose_sequences(file, data_dir, split, downsample, actions)
    return Streamed("surreal", sequences, starts, downsample, load)


def _sample(poses: int) -> np.ndarray:
    """Numbers of about `SAMPLE` poses: stretches of a few clips, from all over the file."""
    stretch = 1000
    firsts = np.linspace(0, max(0, poses - stretch), min(SAMPLE // stretch, -(-poses // stretch)), dtype=np.int64)
    return np.unique(firsts[:, None] + np.arange(min(stretch, poses)))


def _streams(data_dir: str | Path, split: str, stream: str, above: int) -> bool:
    """Whether the file of a split is streamed; if so, a line says why."""
    if stream == "off":
        return False
    with open_split(data_dir, split) as file:
        poses = len(file["joints_2d"])
        if stream == "on" or poses > above:
            why = "--stream on" if stream == "on" else f"more than {above:,}"
            print(f"streams {file.filename}: {poses:,} poses ({why}) stay in the file and are read by blocks", flush=True)
            return True
    return False
