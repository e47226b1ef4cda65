"""What the readers of keypoint files return, and the parts of it that they share."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from common.geometry.missing import confidences_of
from common.prediction.keypoints import in_pixels
from common.prediction.tracks import Detection

ORDER_OF_COUNT = {
    15: "openpose_mpi", 16: "mpii", 17: "coco", 18: "openpose_coco", 25: "body25", 26: "halpe26", 33: "blazepose",
    133: "coco_wholebody", 136: "halpe136",
}  # fmt: skip
"""What detectors' models of people have in such a number of joints."""


@dataclass(frozen=True)
class KeypointFile:
    """What a file holds.

    Attributes:
        source: what wrote it, for a person.
        detections: everybody in every frame.
        skeleton: the order of its joints (`common.prediction.keypoints.ORDERS`), if the format or the number of joints says it.
        image_size: (width, height), if the file says it.
        threshold: confidence from which this detector's joints count.
        step: of every how many frames of the video the file tells: detections count these, from...
        first: ...the video's frame that is their frame 0.
    """

    source: str
    detections: list[Detection]
    skeleton: str | None
    image_size: tuple[int, int] | None
    threshold: float
    step: int = 1
    first: int = 0

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


def guess_order(detections: Sequence[Detection]) -> str | None:
    """The order of joints, from their number."""
    return ORDER_OF_COUNT.get(len(detections[0].keypoints_2d)) if detections else None


def frames_of(names: Iterable[str]) -> dict[str, int]:
    """{name of an image or of its file: its number, the last in the name}; where names do not tell images apart, their place."""
    distinct = list(dict.fromkeys(names))
    digits = [re.findall(r"\d+", PurePath(name).stem) for name in distinct]
    numbers = [int(found[-1]) if found else -1 for found in digits]
    if len(set(numbers)) < len(distinct) or -1 in numbers:
        numbers = list(range(len(distinct)))
    return dict(zip(distinct, numbers, strict=True))


def step_of(frames: Iterable[int]) -> int:
    """Of every how many frames there is one: the greatest common divisor of the distances of frame numbers, 1 of fewer than two."""
    numbers = list(frames)
    return math.gcd(*(number - numbers[0] for number in numbers)) or 1
