"""What the readers of keypoint files return, the parts of it that they share, and how far apart two people's boxes are."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from common.detections.keypoints import in_pixels
from common.geometry.missing import confidences_of, is_place

_LEAST_OVERLAP = 0.2
"""Intersection over union from which two boxes are one person's..."""
_FARTHEST = 0.5
"""...or the distance of their centres, in lengths of their sides: quick movements leave no overlap."""


ORDER_OF_COUNT = {
    15: "openpose_mpi", 16: "mpii", 17: "coco", 18: "openpose_coco", 25: "body25", 26: "halpe26", 33: "blazepose",
    133: "coco_wholebody", 136: "halpe136",
}  # fmt: skip
"""What detectors' models of people have in such a number of joints."""


@dataclass(frozen=True)
class Detection:
    """One person in one frame.

    Attributes:
        frame: its number among those that the detector saw (`common.detections.files.KeypointFile.in_video`).
        keypoints_2d: (J, 2) pixels, NaN where there is no joint.
        confidences: (J,).
        score: how sure the detector is of the person.
        person: the number that the file gives the person, if it does.
    """

    frame: int
    keypoints_2d: np.ndarray
    confidences: np.ndarray
    score: float = 1.0
    person: int | None = None

    def box(self, threshold: float) -> np.ndarray:
        """(4,) left, top, right, bottom around the joints of enough confidence, or around all if there are none; NaN without joints."""
        there = is_place(self.keypoints_2d)
        if not there.any():
            return np.full(4, np.nan)
        sure = there & (self.confidences >= threshold)
        points = self.keypoints_2d[sure if sure.any() else there]
        return np.concatenate([points.min(axis=0), points.max(axis=0)])


@dataclass(frozen=True)
class KeypointFile:
    """What a file holds.

    Attributes:
        source: what wrote it, for a person.
        detections: everybody in every frame.
        skeleton: the order of its joints (`common.detections.keypoints.ORDERS`), if the format or the number of joints says it.
        image_size: (width, height), if the file says it.
        threshold: confidence from which this detector's joints count.
        step: of every how many frames of the video the file tells: detections count these, from...
        first: ...the video's frame that is their frame 0.
        fps: frames per second of the video, if the file says it.
    """

    source: str
    detections: list[Detection]
    skeleton: str | None
    image_size: tuple[int, int] | None
    threshold: float
    step: int = 1
    first: int = 0
    fps: float | None = None

    def in_video(self, frames: np.ndarray) -> np.ndarray:
        """Frame numbers of detections (T,) as numbers of the video's frames."""
        return self.first + self.step * frames

    def in_pixels(self, image_size: tuple[int, int]) -> tuple[list[Detection], bool]:
        """The detections, and whether their places were shares of the image, from 0 to 1, that had to be multiplied."""
        everything, confidences = (
            np.concatenate([getattr(detection, name) for detection in self.detections])
            for name in ("keypoints_2d", "confidences")
        )
        pixels, multiplied = in_pixels(everything, image_size, confidences >= self.threshold)
        if not multiplied:
            return self.detections, False
        ends = np.cumsum([len(detection.keypoints_2d) for detection in self.detections])[:-1]
        return [
            replace(detection, keypoints_2d=places)
            for detection, places in zip(self.detections, np.split(pixels, ends), strict=True)
        ], True


def make_detection(frame: int, rows: Any, score: Any = 1.0, person: Any = None) -> Detection:
    """Of joints (J, 3), places and confidence. A negative number of a person is none.

    Raises:
        ValueError: another shape, or the third column is a coordinate.
    """
    rows = np.array(rows, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"frame {frame}: joints of shape {rows.shape}")
    if confidences_of(rows) is None:
        raise ValueError("three columns that are coordinates, so these are 3D poses; 2D joints are needed")
    person = None if person is None or int(person) < 0 else int(person)
    return Detection(frame, rows[:, :2], rows[:, 2], float(score), person)


def rate_of(fps: Any) -> float | None:
    """Frames per second that a file says, None if it says none that a video can have."""
    try:
        return float(fps) if 0.01 <= float(fps) <= 1000 else None
    except (TypeError, ValueError):
        return None


def guess_order(detections: Sequence[Detection]) -> str | None:
    """The order of joints, from their number."""
    return ORDER_OF_COUNT.get(len(detections[0].keypoints_2d)) if detections else None


def numbers_of(names: Iterable[str]) -> dict[str, int] | None:
    """{name of an image or of its file: its number, the last in the name}, or None where names do not tell images apart."""
    distinct = list(dict.fromkeys(names))
    digits = [re.findall(r"\d+", PurePath(name).stem) for name in distinct]
    if not all(digits) or len({int(found[-1]) for found in digits}) < len(distinct):
        return None
    return {name: int(found[-1]) for name, found in zip(distinct, digits, strict=True)}


def frames_of(names: Iterable[str]) -> dict[str, int]:
    """`numbers_of`, or their places."""
    distinct = list(dict.fromkeys(names))
    return numbers_of(distinct) or {name: place for place, name in enumerate(distinct)}


def step_of(frames: Iterable[int]) -> int:
    """Of every how many frames there is one: the greatest common divisor of the distances of frame numbers, 1 of fewer than two."""
    numbers = list(frames)
    return math.gcd(*(number - numbers[0] for number in numbers)) or 1


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / union) if union > 0 else 0.0


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between the centres of two boxes, in mean lengths of their longer sides."""
    size = (np.max(a[2:] - a[:2]) + np.max(b[2:] - b[:2])) / 2
    return float(np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2) / max(size, 1e-6))


def continues(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two boxes of frames that follow on each other may be one person's."""
    return overlap(a, b) >= _LEAST_OVERLAP or distance(a, b) <= _FARTHEST
