"""One clip out of a data set, by the names that a person gives it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from common.datasets.h36m import load_h36m
from common.datasets.poses import Poses, base_action
from common.datasets.surreal import load_surreal_clip, motion_of, surreal_clips
from common.errors import DuaError, names_like, short_reason
from common.geometry.camera import Camera
from common.geometry.h36m_cameras import h36m_cameras

_FPS = {"h36m": 50.0, "surreal": 30.0}
"""Of the recordings, where no `dataset.json` of a built data set says otherwise."""


@dataclass(frozen=True)
class Clip:
    """Poses of one sequence, and what is known of how they were filmed.

    `camera` is None where it was held level. `fps` counts the recording's frames, `step` of which lie between two poses.
    """

    poses: Poses
    name: str
    camera: Camera | None
    fps: float
    step: int


def load_h36m_clip(
    data_dir: str | Path, subject: str, action: str, camera: int = 0, keypoints: str = "gt", downsample: int = 1
) -> Clip:
    """What one of Human3.6M's four cameras saw of a subject's action.

    'SittingDown' means the take of that name or, where there is none, 'SittingDown 1'; case does not matter.

    Raises:
        DuaError: no such subject or action, the message lists those that there are; and whatever `load_h36m` raises.
    """
    subject = subject.upper()
    everything = load_h36m(data_dir, keypoints, (subject,), downsample=downsample)
    actions = list(dict.fromkeys(sequence.action for sequence in everything.sequences))
    found = _find(actions, action, (lambda name: name, base_action))
    if found is None:
        raise DuaError(f"no action '{action}' of {subject} in {data_dir}; there are: {names_like(action, sorted(actions))}")
    lens = h36m_cameras(subject)[camera]
    poses = everything.select(lambda sequence: sequence.action == found and sequence.camera == lens.name)
    return Clip(poses, f"{subject} {found}, camera {camera}", lens, frame_rate(data_dir, "h36m"), downsample)


def load_surreal_named(data_dir: str | Path, action: str, smpl_shoulders: str = "shoulder", downsample: int = 1) -> Clip:
    """A clip of SURREAL's test split, by its own name or by its motion's, '01_02' being '01 02'; of several the first.

    Raises:
        DuaError: no such clip, the message lists motions; and whatever `load_surreal` raises.
    """
    names = surreal_clips(data_dir, "test")
    found = _find(names, action, (lambda name: name, motion_of, lambda name: base_action(motion_of(name))))
    if found is None:
        motions = names_like(action, sorted(base_action(motion_of(name)) for name in names))
        raise DuaError(f"no clip or motion '{action}' in the test split of {data_dir}; there are: {motions}")
    poses = load_surreal_clip(data_dir, found, "test", smpl_shoulders, downsample)
    return Clip(poses, f"SURREAL {found}", None, frame_rate(data_dir, "surreal"), downsample)


def first_frames(clip: Clip, count: int) -> Clip:
    """The clip up to its `count`-th pose."""
    (sequence,) = clip.poses.sequences
    kept = min(count, len(clip.poses))
    poses = Poses(
        clip.poses.name,
        clip.poses.inputs_2d[:kept],
        clip.poses.targets_3d[:kept],
        (replace(sequence, stop=sequence.start + kept),),
    )
    return replace(clip, poses=poses)


def _find(names: list[str], wanted: str, readings: Iterable[Callable[[str], str]]) -> str | None:
    """The first name that is `wanted` in the first reading that fits any: exactly or, failing that, but for case."""
    for reading in readings:
        for same in (str, _plain):
            for name in names:
                if same(reading(name)) == same(wanted):
                    return name
    return None


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()


def frame_rate(data_dir: str | Path, domain: str) -> float:
    """Frames a second of the recordings of 'h36m' or 'surreal', as `dataset.json` of a built data set says, or as they are known.

    Raises:
        DuaError: `dataset.json` is damaged.
    """
    path = Path(data_dir) / "dataset.json"
    if not path.exists():
        return _FPS[domain]
    try:
        fps = float(json.loads(path.read_text())[domain]["fps"])
        if not 0 < fps < 10_000:
            raise ValueError(f"{fps} frames a second")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DuaError(f"{path} is damaged ({short_reason(error)}); build the data set anew") from error
    return fps
