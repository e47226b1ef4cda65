"""Poses in memory: what every data set is turned into before a network sees it."""

import json
from collections.abc import Callable, Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from common.errors import DuaError, names_like, short_reason
from common.geometry.camera import Camera

VALIDATION_FRACTION = 0.1
_VALIDATION_SEED = 0  # not the run's seed: runs of different seeds must be chosen on the same poses


@dataclass(frozen=True, slots=True)  # slots: SURREAL has 65,000 of them
class Sequence:
    """One clip seen by one camera: rows `start` to `stop` of the tensors."""

    subject: str
    action: str
    camera: str
    start: int
    stop: int
    resolution: tuple[int, int]
    split: str = ""
    """'train', 'validation' or 'test' where the data set fixes it, '' where it is cut by `split_validation`."""
    view: Camera | None = None
    """The camera itself, where the data set has no few calibrated ones that `camera` names."""

    @property
    def clip(self) -> tuple[str, str]:
        """What must stay together in a split: all cameras that saw the same movement."""
        return self.subject, self.action

    @property
    def base_action(self) -> str:
        """'Walking 1' is the second take of 'Walking'; errors are reported for 'Walking'."""
        return base_action(self.action)


@dataclass(frozen=True)
class UnlabelledPoses:
    """2D joints without their 3D: all that training may know of a target data set.

    Shape:
        inputs_2d (N, 16, 2), screen coordinates (`common.geometry.camera.normalize_screen_coordinates`).
    """

    name: str
    inputs_2d: Tensor
    sequences: tuple[Sequence, ...]

    def __len__(self) -> int:
        return len(self.inputs_2d)

    def to(self, device: torch.device) -> "UnlabelledPoses":
        return replace(self, inputs_2d=self.inputs_2d.to(device))


@dataclass(frozen=True)
class Poses:
    """2D joints and their 3D.

    Shape:
        inputs_2d (N, 16, 2) screen coordinates; targets_3d (N, 16, 3) metres, camera axes, hip at the origin;
        roots_3d (N, 3) metres, camera axes: where the hip stands, where that is known.
    """

    name: str
    inputs_2d: Tensor
    targets_3d: Tensor
    sequences: tuple[Sequence, ...]
    roots_3d: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs_2d)

    def to(self, device: torch.device) -> "Poses":
        roots = None if self.roots_3d is None else self.roots_3d.to(device)
        return replace(self, inputs_2d=self.inputs_2d.to(device), targets_3d=self.targets_3d.to(device), roots_3d=roots)

    def unlabelled(self) -> UnlabelledPoses:
        return UnlabelledPoses(self.name, self.inputs_2d, self.sequences)

    def select(self, wanted: Callable[[Sequence], bool]) -> "Poses":
        """The poses of the sequences that `wanted` admits, renumbered, in their order."""
        chosen = [sequence for sequence in self.sequences if wanted(sequence)]
        rows = [torch.arange(sequence.start, sequence.stop) for sequence in chosen]
        index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long)
        roots = None if self.roots_3d is None else self.roots_3d[index]
        return Poses(self.name, self.inputs_2d[index], self.targets_3d[index], renumber(chosen), roots)


def base_action(action: str) -> str:
    """'Walking 1' -> 'Walking'."""
    head, _, tail = action.rpartition(" ")
    return head if head and tail.isdigit() else action


def renumber(sequences: Iterable[Sequence]) -> tuple[Sequence, ...]:
    """The same sequences, laid one after the other from row 0."""
    renumbered, start = [], 0
    for sequence in sequences:
        length = sequence.stop - sequence.start
        renumbered.append(replace(sequence, start=start, stop=start + length))
        start += length
    return tuple(renumbered)


class Splittable(Protocol):
    """Rows of clips: `Poses`, or pairs of poses."""

    @property
    def sequences(self) -> tuple[Sequence, ...]: ...

    def __len__(self) -> int: ...

    def select(self, wanted: Callable[[Sequence], bool]) -> Self: ...


S = TypeVar("S", bound=Splittable)


def split_validation(poses: S) -> tuple[S, S]:
    """Cut a validation split from training poses, by clip: a movement is never on both sides, in any camera.

    A data set that fixes its split (the demo does, since its clips recur among subjects) is followed. Otherwise a tenth
    of the clips, drawn with a fixed seed, is put aside.

    Raises:
        DuaError: there is but one clip, so nothing can be put aside.
    """
    poses = poses.select(lambda sequence: sequence.split != "test")
    if any(sequence.split for sequence in poses.sequences):
        validation = {sequence.clip for sequence in poses.sequences if sequence.split == "validation"}
    else:
        clips = sorted({sequence.clip for sequence in poses.sequences})
        order = np.random.default_rng(_VALIDATION_SEED).permutation(len(clips))
        count = max(1, round(VALIDATION_FRACTION * len(clips)))
        validation = {clips[i] for i in order[:count]}
    train = poses.select(lambda sequence: sequence.clip not in validation)
    held_out = poses.select(lambda sequence: sequence.clip in validation)
    if not len(train) or not len(held_out):
        raise DuaError(
            "the chosen subjects and actions leave no clip for "
            f"{'training' if not len(train) else 'validation'}; choose more with --actions"
        )
    return train, held_out


def training_split(poses: S, select: str) -> tuple[S, S | None]:
    """What trains and what chooses the epoch (`--select`): `split_validation`, or with 'last' all training clips and None."""
    if select == "last":
        return poses.select(lambda sequence: sequence.split != "test"), None
    return split_validation(poses)


def read_splits(data_dir: str | Path, domain: str) -> dict[tuple[str, str], str]:
    """{(subject, action): split} of a domain, from the `dataset.json` of a built data set; empty where there is none.

    Raises:
        DuaError: `dataset.json` is there, but damaged.
    """
    path = Path(data_dir) / "dataset.json"
    if not path.exists():
        return {}
    try:
        described = json.loads(path.read_text())[domain]["sequences"]
        return {(entry["subject"], entry["action"]): entry["split"] for entry in described}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DuaError(f"{path} is damaged ({short_reason(error)}); build the data set anew") from error


def choose_actions(available: Iterable[str], wanted: str, name: str) -> set[str]:
    """The actions that `--actions` names: '*' for all, or a comma list of takes ('Walking 1') or actions ('Walking').

    Raises:
        DuaError: a name matches nothing; the message lists what there is.
    """
    available = set(available)
    if wanted.strip() == "*":
        return available
    chosen: set[str] = set()
    for word in filter(None, (part.strip() for part in wanted.split(","))):
        found = {action for action in available if word in (action, base_action(action))}
        if not found:
            known = sorted({base_action(action) for action in available})
            raise DuaError(f"no action '{word}' in {name}; it has: {names_like(word, known)}")
        chosen |= found
    if not chosen:
        raise DuaError(f"--actions '{wanted}' names no action; write '*' or a comma list")
    return chosen


def check_finite(values: np.ndarray, what: str, joints: SequenceOf[int] | None = None) -> None:
    """Raise a `DuaError` with the count and the first place if `values` (T, J, C) holds NaN or infinity.

    `joints` are the places that the J joints have in the file, where they differ.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        frame, joint = np.argwhere(bad.any(axis=-1))[0]
        joint = joint if joints is None else joints[joint]
        raise DuaError(
            f"{what}: {int(bad.any(axis=-1).sum())} joints are NaN or infinite, the first in frame {frame}, joint {joint}; "
            "remove those frames or make the file anew"
        )


_HIP_TO_HEAD = (0.2, 1.5)
"""Metres; holds for children, tall people and bent backs, not for millimetres or centimetres taken for metres."""


def check_metres(hip: np.ndarray, head: np.ndarray, what: str, remedy: str) -> None:
    """Raise a `DuaError` unless hips and heads, (T, 3) each, are as far apart as a person's are in metres."""
    length = float(np.median(np.linalg.norm(head.astype(np.float64) - hip, axis=-1)))
    low, high = _HIP_TO_HEAD
    if not low <= length <= high:
        raise DuaError(f"{what}: hip and head are {length:.3g} m apart, {low} to {high} m were expected; {remedy}")
