"""Who is who: detections of several people in the frames of a video, linked to one track a person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.detections.detection import Detection, continues, distance, overlap
from common.detections.identities import Numbered, by_worth, number_of
from common.detections.keypoints import is_place

__all__ = ["Detection", "Track", "link_people", "who_is_who"]

_MAX_GAP = 30
"""Frames for which a person may be out of sight and still be the same; about a second."""


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
    """The tracks of `who_is_who`."""
    return who_is_who(detections, threshold)[0]


def who_is_who(detections: Iterable[Detection], threshold: float) -> tuple[list[Track], list[str]]:
    """One track a person, the longest first, and what was assumed and left out, in lines for the user.

    Where the file numbers people, numbers that are one person's count (`common.detections.identities`), and a detection without
    one is taken for the person whose box it continues, or left out. Otherwise each frame's boxes are linked greedily to those that
    the tracks had last, the best overlap first, and people are numbered from 1 as they appear.

    Args:
        threshold: confidence of the joints that make up a person's box.
    """
    ordered = sorted(
        (detection for detection in detections if is_place(detection.keypoints_2d).any()),
        key=lambda detection: (detection.frame, -detection.score),
    )
    worth = by_worth(ordered, threshold)
    if worth.own:
        tracks = _by_number(worth.own)
        taken = _adopt(tracks, worth.loose, threshold)
        tracks += _by_boxes(worth.shared, threshold, 1 + max(track.person for track in tracks))
    else:
        tracks, taken = _by_boxes(ordered, threshold), 0
        if len(tracks) == 1 and not worth.loose:
            tracks[0].person = ordered[0].person or 0  # it is his, if nobody else is there
    # Stable: of equally long ones the one that came first.
    return sorted(tracks, key=len, reverse=True), _notes(worth, len(tracks), taken)


def _notes(worth: Numbered, people: int, taken: int) -> list[str]:
    several = sorted({detection.person for detection in worth.shared if detection.person is not None})
    nobodys = sorted({detection.person for detection in worth.loose if detection.person is not None})
    lines = []
    if worth.own and several:
        lines.append(f"people with the number {_listed(several)}, which is in two places of a frame, are told apart by place")
    if not worth.own and people > 1 and (several or nobodys):
        lines.append(f"people are told apart by place: the number {_listed(several + nobodys)} is nobody's alone")
    if worth.own and taken:
        lines.append(f"{taken:,d} detections without a number are taken for the people whose boxes they continue")
    if worth.own and (left := len(worth.loose) - taken):
        lines.append(f"{left:,d} detections without a number continue nobody's box and are left out")
    if worth.own and worth.repeated:
        lines.append(f"{len(worth.repeated):,d} detections repeat a person of their frame and are left out")
    return lines


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")


def _by_number(detections: Sequence[Detection]) -> list[Track]:
    tracks: dict[int, Track] = {}
    for detection in detections:
        if (number := number_of(detection)) is not None:
            tracks.setdefault(number, Track(number)).detections.append(detection)
    return list(tracks.values())


def _by_boxes(detections: Sequence[Detection], threshold: float, number: int = 1) -> list[Track]:
    """People told apart by place, numbered from `number` on."""
    tracks: dict[int, Track] = {}
    boxes: dict[int, np.ndarray] = {}  # {person: last box}
    for frame, present in _by_frame(detections).items():
        here = [detection.box(threshold) for detection in present]
        alive = {person: boxes[person] for person, track in tracks.items() if frame - track.last <= _MAX_GAP}
        linked = _match(here, alive)
        for i, detection in enumerate(present):
            person = linked.get(i, number + len(tracks))
            tracks.setdefault(person, Track(person)).detections.append(detection)
            boxes[person] = here[i]
    return list(tracks.values())


def _adopt(tracks: Sequence[Track], loose: Sequence[Detection], threshold: float) -> int:
    """Put detections without a number into the tracks whose boxes they continue, first forwards in time, then backwards.

    Returns:
        How many found a track.
    """
    people: dict[int, dict[int, Detection]] = {}  # {frame: {person: detection}}
    for track in tracks:
        for detection in track.detections:
            people.setdefault(detection.frame, {})[track.person] = detection
    left = list(loose)
    for backwards in (False, True):
        last: dict[int, tuple[int, np.ndarray]] = {}  # {person: frame and box}
        waiting, left = _by_frame(left), []
        for frame in sorted(people.keys() | waiting.keys(), reverse=backwards):
            present = people.setdefault(frame, {})
            here = [detection.box(threshold) for detection in waiting.get(frame, [])]
            alive = {person: box for person, (of, box) in last.items() if person not in present and abs(frame - of) <= _MAX_GAP}
            linked = _match(here, alive)
            for i, detection in enumerate(waiting.get(frame, [])):
                if i in linked:
                    present[linked[i]] = detection
                else:
                    left.append(detection)
            last |= {person: (frame, detection.box(threshold)) for person, detection in present.items()}
    for track in tracks:
        track.detections = [people[frame][track.person] for frame in sorted(people) if track.person in people[frame]]
    return len(loose) - len(left)


def _by_frame(detections: Iterable[Detection]) -> dict[int, list[Detection]]:
    frames: dict[int, list[Detection]] = {}
    for detection in detections:
        frames.setdefault(detection.frame, []).append(detection)
    return frames


def _match(here: Sequence[np.ndarray], last: Mapping[int, np.ndarray]) -> dict[int, int]:
    """{place in `here`: person} of boxes that continue those that people had last, the best overlap first."""
    pairs = [
        (-overlap(box, boxed), distance(box, boxed), i, person)
        for i, box in enumerate(here)
        for person, boxed in last.items()
        if continues(box, boxed)
    ]
    linked: dict[int, int] = {}
    for _, _, i, person in sorted(pairs):
        if i not in linked and person not in linked.values():
            linked[i] = person
    return linked
