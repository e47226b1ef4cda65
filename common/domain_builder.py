"""Open motion, turned into the Human3.6M layout: subjects with bodies of their own, takes of actions, four real cameras.

`data/prepare_data_demo.py` says which clips; this module says how a clip becomes takes and files. Everything is drawn
from one seed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.body import BodyShape, draw_shape, pose_body
from common.files import write_text
from common.h36m_dataset import TEST_SUBJECTS, TRAIN_SUBJECTS
from common.h36m_writer import Positions3D, write_ground_truth_2d, write_positions_3d
from common.motion import Motion, mirror, mix, resample

FPS = 50
"""Human3.6M's frame rate."""

# Who wore the markers in Human3.6M (Ionescu et al. 2014): the bodies of ours are of the same sex.
_SEX = {"S1": "female", "S5": "female", "S6": "male", "S7": "female", "S8": "male", "S9": "male", "S11": "male"}


@dataclass(frozen=True)
class Clips:
    """Which clips play which part in a domain: a test subject never shares a clip with a training subject, nor the
    validation split with the training split."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def of(self, subject: str) -> dict[str, tuple[str, ...]]:
        """{split: clips} that `subject` performs."""
        return {"test": self.test} if subject in TEST_SUBJECTS else {"train": self.train, "validation": self.validation}


@dataclass(frozen=True)
class Take:
    """One performance of a clip by one subject: how it was varied, and the joints of the body."""

    subject: str
    action: str
    split: str
    motion: Motion
    mirrored: bool
    speed: float
    heading: float
    place: tuple[float, float]

    def describe(self) -> dict:
        return {
            "subject": self.subject,
            "action": self.action,
            "split": self.split,
            "clips": list(self.motion.clips),
            "frames": len(self.motion),
            "mirrored": self.mirrored,
            "speed": round(self.speed, 4),
        }


def build_h36m_domain(motions: Mapping[str, Motion], clips: Clips, takes: int, seed: int, out: str | Path) -> dict:
    """Write `data_3d_h36m.npz`, `data_2d_h36m_gt.npz` and `dataset.json` into `out`.

    Args:
        motions: every clip by name, at `FPS`.
        takes: performances of each clip by each subject; every one turns, stands and runs at a speed of its own.
        seed: the same seed gives the same files.

    Returns:
        What `dataset.json` holds.
    """
    rng = np.random.default_rng(seed)
    shapes = {subject: draw_shape(rng, _SEX[subject]) for subject in TRAIN_SUBJECTS + TEST_SUBJECTS}
    positions_3d: Positions3D = {subject: {} for subject in shapes}
    sequences = []
    performances = list(draw_takes(rng, motions, clips, takes, list(shapes)))
    for take in tqdm(performances, desc="posing", unit="take", disable=None):
        joints = pose_body(take.motion, shapes[take.subject], take.heading, take.place)
        positions_3d[take.subject][take.action] = joints["h36m"].astype(np.float32)
        sequences.append(take.describe())
    write_positions_3d(out, positions_3d)
    write_ground_truth_2d(out, positions_3d)
    description = {
        "format": 1,
        "seed": seed,
        "h36m": {"fps": FPS, "bodies": _describe(shapes), "sequences": sequences},
    }
    write_text(Path(out) / "dataset.json", json.dumps(description, indent=1) + "\n")
    return description


def draw_takes(rng: np.random.Generator, motions: Mapping[str, Motion], clips: Clips, takes: int, subjects: Sequence[str]):
    """Yield every subject's performances, in order: plain and mirrored by turns, and from the third take on
    with the upper body of another clip of the same split, where there is one."""
    for subject in subjects:
        for split, names in clips.of(subject).items():
            for name in names:
                others = [other for other in names if other != name]
                for number in range(takes):
                    speed = float(rng.uniform(0.8, 1.25))
                    motion = resample(motions[name], FPS, speed)
                    if number >= 2 and others:
                        motion = mix(motion, motions[others[rng.integers(len(others))]])
                    mirrored = number % 2 == 1
                    yield Take(
                        subject=subject,
                        action=_action(name, number),
                        split=split,
                        motion=mirror(motion) if mirrored else motion,
                        mirrored=mirrored,
                        speed=speed,
                        heading=float(rng.uniform(0, 2 * np.pi)),
                        # Human3.6M's subjects stay within the middle of the room, where all four cameras see them.
                        place=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, 0.6))),
                    )


def _action(clip: str, number: int) -> str:
    """'dance_b' -> 'DanceB', 'DanceB 1', ...: Human3.6M's way of naming takes."""
    name = "".join(word.capitalize() for word in clip.split("_"))
    return name if number == 0 else f"{name} {number}"


def _describe(shapes: Mapping[str, BodyShape]) -> dict:
    return {subject: shape.describe() for subject, shape in shapes.items()}
