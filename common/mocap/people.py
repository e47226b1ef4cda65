"""People in motion, from BVH files: bodies of many shapes, posed in a world of their own, before any camera.

`people.npz` holds what the lifting networks of `train_open.py` learn from and are tested on: Human3.6M's sixteen joints, which are
learnt, and COCO's seventeen keypoints of the same bodies, which a detector would find. Cameras are drawn when they are needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.compute.processes import Processes
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.files.writing import atomic_write
from common.geometry.skeleton import H36M_32_TO_16
from common.mocap.body import BodyShape, draw_shape, pose_body
from common.mocap.motion import Motion, mix, resample

FPS = 25
"""Of the frames that are kept; what is between is alike."""
SPLITS = ("train", "validation")
_FORMAT = "dua people 1"
_VALIDATION = 0.1
_LEAST_FRAMES = 10
MAKE = "python data/prepare_data_people.py BVH ... (data/README.md)"


@dataclass(frozen=True)
class Clip:
    """Rows `start` to `stop` of one body in one motion."""

    person: str
    action: str
    split: str
    start: int
    stop: int


@dataclass(frozen=True)
class People:
    """Bodies in a world with z up, the floor at 0.

    Shape:
        joints_3d (N, 16, 3) of Human3.6M's definition, points_3d (N, 17, 3) COCO's keypoints, metres.
    """

    name: str
    joints_3d: Tensor
    points_3d: Tensor
    clips: tuple[Clip, ...]

    def __len__(self) -> int:
        return len(self.joints_3d)

    def select(self, splits: Sequence[str]) -> "People":
        """Those of some splits, renumbered."""
        chosen = [clip for clip in self.clips if clip.split in splits]
        if not chosen:
            raise DuaError(f"{self.name} has no clip of the {' or '.join(splits)} split; build it anew with more clips")
        rows, clips, start = [], [], 0
        for clip in chosen:
            rows.append(torch.arange(clip.start, clip.stop))
            clips.append(Clip(clip.person, clip.action, clip.split, start, start + clip.stop - clip.start))
            start = clips[-1].stop
        index = torch.cat(rows)
        return People(self.name, self.joints_3d[index], self.points_3d[index], tuple(clips))


def path_people(data_dir: str | Path) -> Path:
    return Path(data_dir) / "people.npz"


def build_people(
    motions: Mapping[str, Motion],
    person_of: Mapping[str, str],
    held_out: Sequence[str],
    bodies: int,
    seed: int,
    out: Path,
    workers: int = 1,
) -> dict[str, dict[str, int]]:
    """Write `people.npz`: each motion by `bodies` bodies, men and women by turns, from the third on with the trunk and the arms of
    another motion of the same split.

    Args:
        person_of: by motion, who wore the markers.
        held_out: people whose clips are the validation split; a tenth of all clips if nobody is named.

    Returns:
        {split: {"people", "clips", "frames"}}.

    Raises:
        DuaError: a person is not there, or nobody is left to train on.
    """
    known = sorted(set(person_of.values()))
    if unknown := [person for person in held_out if person not in known]:
        raise DuaError(f"--held_out {unknown[0]}: no such person; there are: {', '.join(known)}")
    rng = np.random.default_rng([seed, 6])
    clips = [name for name in sorted(motions) if len(motions[name]) * FPS >= _LEAST_FRAMES * motions[name].fps]
    drawn = rng.permutation(clips)[: max(1, round(_VALIDATION * len(clips)))].tolist()
    validation = {name for name in clips if person_of[name] in held_out} if held_out else set(drawn)
    if len(validation) == len(clips):
        raise DuaError("nobody is left to train on; give more clips, or hold out fewer people")
    tasks, owners = [], []
    for name in clips:
        others = [other for other in clips if (other in validation) == (name in validation) and other != name]
        for body in range(bodies):
            upper = others[rng.integers(len(others))] if body >= 2 and others else None  # the trunk and the arms of another clip
            shape = draw_shape(rng, ("female", "male")[body % 2], spread=1.25)
            tasks.append((name, upper, shape, float(rng.uniform(0, 2 * np.pi))))
            owners.append((person_of[name], motions[name].action, "validation" if name in validation else "train"))
    with Processes(workers, motions, "posed bodies") as processes:
        bar = tqdm(processes.in_order(_pose, tasks), desc="people", total=len(tasks), unit="body", disable=None)
        joints, points = zip(*bar, strict=True)
    table = [(*owner, len(posed)) for owner, posed in zip(owners, joints, strict=True)]
    people, actions, splits, frames = zip(*table, strict=True)
    with atomic_write(path_people(out)) as file:
        np.savez_compressed(
            file,
            format=_FORMAT,
            joints_3d=np.concatenate(joints),
            points_3d=np.concatenate(points),
            person=np.array(people),
            action=np.array(actions),
            split=np.array(splits),
            frames=np.array(frames, dtype=np.int64),
        )
    sums = {}
    for split in SPLITS:
        rows = [row for row in table if row[2] == split]
        sums[split] = {"people": len({row[0] for row in rows}), "clips": len(rows), "frames": sum(row[3] for row in rows)}
    return sums


def _pose(motions: Mapping[str, Motion], task: tuple[str, str | None, BodyShape, float]) -> tuple[np.ndarray, np.ndarray]:
    """(T, 16, 3) joints and (T, 17, 3) COCO's keypoints of a body that performs a clip."""
    name, upper, shape, heading = task
    motion = resample(motions[name], FPS)
    if upper is not None:
        motion = mix(motion, resample(motions[upper], FPS))
    posed = pose_body(motion, shape, heading, (0.0, 0.0), ("h36m", "smpl", "coco"))
    return posed["h36m"][:, list(H36M_32_TO_16)].astype(np.float32), posed["coco"].astype(np.float32)


def load_people(data_dir: str | Path) -> People:
    """Read `people.npz`.

    Raises:
        DuaError: it is missing, damaged, or of another format.
    """
    path = path_people(data_dir)
    entries = load_arrays(path, MAKE)
    try:
        if str(entries["format"]) != _FORMAT:
            raise DuaError(f"{path} has format '{entries['format']}', '{_FORMAT}' was expected; build it anew with: {MAKE}")
        joints, points, frames = (entries[name] for name in ("joints_3d", "points_3d", "frames"))
        stops = np.cumsum(frames)
        columns = [entries[name].tolist() for name in ("person", "action", "split")]
        clips = tuple(
            Clip(str(person), str(action), str(split), int(stop - length), int(stop))
            for person, action, split, length, stop in zip(*columns, frames, stops, strict=True)
        )
        fits = joints.shape == (int(stops[-1]), 16, 3) and points.shape == (int(stops[-1]), 17, 3) and (frames > 0).all()
        if not fits or not (np.isfinite(joints).all() and np.isfinite(points).all()):
            raise DuaError(f"{path}: its tables do not fit its joints, or joints are NaN; build it anew with: {MAKE}")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DuaError(f"{path} is damaged ({error!r:.80}); build it anew with: {MAKE}") from error
    name = Path(data_dir).name
    return People(name, torch.from_numpy(joints).float(), torch.from_numpy(points).float(), clips)
