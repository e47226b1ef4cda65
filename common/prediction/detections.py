"""What a detector says of one person in one frame, and how far apart two of its boxes are."""

from dataclasses import dataclass

import numpy as np

from common.prediction.keypoints import is_place

_LEAST_OVERLAP = 0.2
"""Intersection over union from which two boxes are one person's..."""
_FARTHEST = 0.5
"""...or the distance of their centres, in lengths of their sides: quick movements leave no overlap."""


@dataclass(frozen=True)
class Detection:
    """One person in one frame.

    Attributes:
        frame: its number among those that the detector saw (`common.prediction.keypoint_files.KeypointFile.in_video`).
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
