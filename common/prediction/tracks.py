"""Who is who: detections of several people in the frames of a video, linked to one track a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.prediction.keypoints import is_place

_MAX_GAP = 30
"""Frames for which a person may be out of sight and still be the same; about a second."""
_LEAST_OVERLAP = 0.2
"""Intersection over union from which two boxes are one person's..."""
_FARTHEST = 0.5
"""...or the distance of their centres, in lengths of their sides: quick movements leave no overlap."""


@dataclass(frozen=True)
class Detection:
    """One person in one frame.

    Attributes:
        frame: its number in the video.
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
        """(4,) left, top, right, bottom around the joints of enough confidence, or around all if there are none."""
        there = is_place(self.keypoints_2d)
        sure = there & (self.confidences >= threshold)
        points = self.keypoints_2d[sure if sure.any() else there]
        return np.concatenate([points.min(axis=0), points.max(axis=0)])


@dataclass
class Track:
    """The detections of one person, at most one a frame, in order."""

    person: int
    detections: list[Detection] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.detections)

    @property
    def first(self) -> int:
        return self.detections[0].frame

    @property
    def last(self) -> int:
        return self.detections[-1].frame

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frame numbers (T,), keypoints (T, J, 2) and confidences (T, J) from the first to the last frame of the person.

        Frames between in which the person was not detected are NaN, with confidence 0.
        """
        frames = np.arange(self.first, self.last + 1)
        joints = len(self.detections[0].keypoints_2d)
        keypoints_2d, confidences = np.full((len(frames), joints, 2), np.nan), np.zeros((len(frames), joints))
        for detection in self.detections:
            row = detection.frame - self.first
            keypoints_2d[row], confidences[row] = detection.keypoints_2d, detection.confidences
        return frames, keypoints_2d, confidences


def link_people(detections: Iterable[Detection], threshold: float) -> list[Track]:
    """One track a person, the longest first.

    Where the file numbers people, its numbers count, and detections without one are left out. Otherwise each frame's boxes are
    linked greedily to those that the tracks had last, the best overlap first, and people are numbered from 1 as they appear.

    Args:
        threshold: confidence of the joints that make up a person's box.
    """
    ordered = sorted(
        (detection for detection in detections if is_place(detection.keypoints_2d).any()),
        key=lambda detection: (detection.frame, -detection.score),
    )
    numbered = any(detection.person is not None for detection in ordered)
    tracks = _by_number(ordered) if numbered else _by_boxes(ordered, threshold)
    return sorted(tracks, key=len, reverse=True)  # stable: of equally long ones the one that came first


def _by_number(detections: Sequence[Detection]) -> list[Track]:
    tracks: dict[int, Track] = {}
    for detection in detections:
        if detection.person is None:
            continue
        track = tracks.setdefault(detection.person, Track(detection.person))
        if not track.detections or track.last < detection.frame:  # twice in a frame: the better score came first
            track.detections.append(detection)
    return list(tracks.values())


def _by_boxes(detections: Sequence[Detection], threshold: float) -> list[Track]:
    tracks: list[Track] = []
    boxes: dict[int, np.ndarray] = {}  # {person: last box}
    by_frame: dict[int, list[Detection]] = {}
    for detection in detections:
        by_frame.setdefault(detection.frame, []).append(detection)
    for frame, present in by_frame.items():
        alive = [track for track in tracks if frame - track.last <= _MAX_GAP]
        here = [detection.box(threshold) for detection in present]
        pairs = []
        for i, box in enumerate(here):
            for track in alive:
                overlap, distance = _overlap(box, boxes[track.person]), _distance(box, boxes[track.person])
                if overlap >= _LEAST_OVERLAP or distance <= _FARTHEST:
                    pairs.append((-overlap, distance, i, track.person))
        linked: dict[int, int] = {}
        for _, _, i, person in sorted(pairs):
            if i not in linked and person not in linked.values():
                linked[i] = person
        for i, detection in enumerate(present):
            if i not in linked:
                tracks.append(Track(len(tracks) + 1))
                linked[i] = len(tracks)
            tracks[linked[i] - 1].detections.append(detection)
            boxes[linked[i]] = here[i]
    return tracks


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / union) if union > 0 else 0.0


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between the centres of two boxes, in mean lengths of their longer sides."""
    size = (np.max(a[2:] - a[:2]) + np.max(b[2:] - b[:2])) / 2
    return float(np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2) / max(size, 1e-6))
