"""Clips of open motion, performed and filmed: how a take is drawn, and what SURREAL's camera sees of it."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from common.datasets.surreal_file import SURREAL_CAMERA
from common.geometry.camera import project_to_2d
from common.mocap.body import BodyShape, draw_shape, pose_body
from common.mocap.detector_errors import NOISE, found_joints
from common.mocap.motion import Motion, frames_at, mirror, mix, resample

FPS = 50
"""Human3.6M's frame rate."""

LEAST_FRAMES = 10
"""Of a take in a file; shorter ones are left out."""


@dataclass(frozen=True)
class Clips:
    """Which clips play which part in a domain. A test body never performs a clip of a training body, nor does a clip of the
    validation split occur in the training split."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def splits(self) -> dict[str, tuple[str, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class Take:
    """One performance of a clip: how it was varied. `heading` (radians) and `place` (metres) are where it happens."""

    action: str
    split: str
    motion: Motion
    mirrored: bool
    speed: float
    heading: float
    place: tuple[float, float]

    def describe(self, subject: str) -> dict:
        return {
            "subject": subject,
            "action": self.action,
            "split": self.split,
            "clips": list(self.motion.clips),
            "frames": len(self.motion),
            "mirrored": self.mirrored,
            "speed": round(self.speed, 4),
        }


@dataclass(frozen=True)
class TakePlan:
    """How a clip is to be performed: what of a take is drawn. Whoever has the motions makes the take of it, in any process.

    Attributes:
        name: the clip.
        upper: the clip whose trunk and arms it gets, if any.
    """

    name: str
    upper: str | None
    action: str
    split: str
    mirrored: bool
    speed: float
    heading: float
    place: tuple[float, float]

    def frames(self, motions: Mapping[str, Motion]) -> int:
        return frames_at(motions[self.name], FPS, self.speed)

    def perform(self, motions: Mapping[str, Motion]) -> Take:
        motion = resample(motions[self.name], FPS, self.speed)
        if self.upper is not None:
            motion = mix(motion, motions[self.upper])
        motion = mirror(motion) if self.mirrored else motion
        return Take(self.action, self.split, motion, self.mirrored, self.speed, self.heading, self.place)


def plan_takes(rng: np.random.Generator, motions: Mapping[str, Motion], clips: Clips, takes: int) -> Iterator[TakePlan]:
    """Performances of each clip, in order: plain and mirrored by turns, and from the third on with the upper body of another
    clip of the same split, where there is one. Clips that share an action ('walk_1', 'walk_2') are numbered through."""
    numbers: dict[str, int] = {}
    for split, names in clips.splits().items():
        for name in names:
            for number in range(takes):
                action = motions[name].action
                count = numbers[action] = numbers.get(action, -1) + 1
                yield plan_take(rng, name, names, number, numbered(action, count), split)


def numbered(action: str, count: int) -> str:
    """'Walk', 'Walk 1', 'Walk 2', ..."""
    return f"{action} {count}" if count else action


def plan_take(rng: np.random.Generator, name: str, names: tuple[str, ...], number: int, action: str, split: str) -> TakePlan:
    """The performance `number` of clip `name`, as `plan_takes` says; `names` are all clips of the split."""
    others = [other for other in names if other != name]
    speed = float(rng.uniform(0.8, 1.25))
    return TakePlan(
        name=name,
        upper=others[rng.integers(len(others))] if number >= 2 and others else None,
        action=action,
        split=split,
        mirrored=number % 2 == 1,
        speed=speed,
        heading=float(rng.uniform(0, 2 * np.pi)),
        # Human3.6M's subjects stay within the middle of the room, where all four cameras see them.
        place=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, 0.6))),
    )


# As SURREAL's public renderer does it: a level camera, this far away (metres, mean and deviation), that is moved to where the
# pelvis stands in the first frame of a clip; clips of 100 frames at 30 Hz; joints2D in whole pixels.
_DISTANCE = (7.0, 1.0)
_CLIP = round(100 * FPS / 30)
_SURREAL_SPREAD = 1.5
"""SURREAL draws bodies from all of its shape space: wider than seven subjects."""


SURREAL_SOURCE = "open motion, common/domain_builder.py"
SURREAL_FACTS = {"focal_length": SURREAL_CAMERA.focal_length, "resolution": SURREAL_CAMERA.resolution}


@dataclass(frozen=True)
class Film:
    """What SURREAL's camera saw of a part of a take: joints_2d (T, 24, 2) pixels, joints_3d (T, 24, 3) metres in its axes, and
    detector_2d (T, 16, 2) pixels, our joints of what a detector would find."""

    joints_2d: np.ndarray
    joints_3d: np.ndarray
    detector_2d: np.ndarray
    described: dict


@dataclass(frozen=True)
class FilmPlan:
    """The body that performs a take before SURREAL's camera, and metres to the camera in each of the clips that it is cut into."""

    shape: BodyShape
    distances: tuple[float, ...]


def plan_film(rng: np.random.Generator, frames: int) -> FilmPlan:
    """What is drawn for a take of so many frames."""
    shape = draw_shape(rng, ("female", "male")[rng.integers(2)], _SURREAL_SPREAD)
    return FilmPlan(shape, tuple(float(np.clip(rng.normal(*_DISTANCE), 4.5, 9.5)) for _ in range(0, frames, _CLIP)))


def film_take(plan: FilmPlan, take: Take, noise: float = NOISE) -> Iterator[Film]:
    """A take before SURREAL's camera, by a body of its own, in clips that are at most as long as SURREAL's.

    Args:
        noise: of the detector (`common.mocap.detector_errors`); its errors are drawn from a generator of their own.
    """
    errors = torch.Generator().manual_seed(zlib.crc32(repr(take.describe("surreal")).encode()))
    posed = pose_body(take.motion, plan.shape, take.heading, (0.0, 0.0), ("smpl", "coco"))
    for first, distance in zip(range(0, len(posed["smpl"]), _CLIP), plan.distances, strict=True):
        joints, points = (posed[definition][first : first + _CLIP] for definition in ("smpl", "coco"))
        origin = joints[0, 0]
        in_camera = _before_camera(joints - origin, distance)
        pixels = np.round(project_to_2d(in_camera, SURREAL_CAMERA))
        found = _before_camera(points - origin, distance)
        visible = _visible(in_camera, pixels)
        if (frames := int(visible.sum())) >= LEAST_FRAMES:
            described = {"frames": frames, "distance_m": round(distance, 3), "body": plan.shape.describe()}
            detected = found_joints(found, project_to_2d(found, SURREAL_CAMERA), errors, noise)
            yield Film(pixels[visible], in_camera[visible], detected[visible], described)


def _before_camera(points: np.ndarray, distance: float) -> np.ndarray:
    """(T, J, 3) metres from the pelvis of a clip's first frame, world axes, in those of SURREAL's camera.

    That pelvis lies in the middle of the picture; the person may then walk off.
    """
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x, -z, y + distance], axis=-1)  # looking along the world's y: x right, y down, z forward


def _visible(in_camera: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(T,): frames whose body is in the picture, but for an arm or a leg."""
    in_image = np.all((pixels >= 0) & (pixels < SURREAL_CAMERA.resolution) & (in_camera[..., 2:] > 1), axis=-1)
    return in_image.mean(axis=1) > 0.8
