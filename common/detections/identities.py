"""What the numbers that a file gives its people are worth.

Without a tracker, everybody has the same one (AlphaPose writes 0, MMPose -1); a list may hold the people of all frames, in which
the numbers begin anew. A number is a person's if it is never in two places of one frame, and if it is not the only one there is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from common.detections.detection import Detection, continues, overlap
from common.errors import DuaError

_ONE_PLACE = 0.5
"""Intersection over union from which two boxes of one number and one frame are one person, found twice."""
_PILED = 0.7
"""Detectors leave no two people of one frame that overlap by more (Ultralytics' threshold; others' are lower)."""
_LEAST_PILE = 5
"""So many people in one place are no picture's."""


@dataclass
class Numbered:
    """Detections by what their numbers are worth, each list in the given order.

    Attributes:
        own: whose number is one person's alone, at most one a frame. None, if one number is everybody's.
        shared: whose number is several people's.
        loose: without a number, or with a negative one, which trackers give to nobody.
        repeated: second boxes of one number in one place of a frame.
    """

    own: list[Detection] = field(default_factory=list)
    shared: list[Detection] = field(default_factory=list)
    loose: list[Detection] = field(default_factory=list)
    repeated: list[Detection] = field(default_factory=list)


def by_worth(detections: Sequence[Detection], threshold: float) -> Numbered:
    """Sort detections, those of a frame by falling score, by what their numbers are worth.

    Args:
        threshold: confidence of the joints that make up a person's box.
    """
    numbers = {number_of(detection) for detection in detections}
    shared = numbers if len(numbers) == 1 else set()
    boxes: dict[tuple[int | None, int], np.ndarray] = {}  # of the first in a frame that has the number
    for detection in detections:
        box = detection.box(threshold)
        if overlap(boxes.setdefault((number_of(detection), detection.frame), box), box) < _ONE_PLACE:
            shared.add(number_of(detection))
    worth, met = Numbered(), set()
    for detection in detections:
        key = number_of(detection), detection.frame
        if key[0] is None:
            worth.loose.append(detection)
        elif key[0] in shared:
            worth.shared.append(detection)
        else:
            (worth.repeated if key in met else worth.own).append(detection)
            met.add(key)
    return worth


def number_of(detection: Detection) -> int | None:
    return None if detection.person is None or detection.person < 0 else detection.person


def unfold(detections: list[Detection], path: Path) -> tuple[list[Detection], bool]:
    """One list of the people of all frames, taken apart: each repetition of a number begins a frame.

    Returns:
        The detections, and whether they were taken apart.

    Raises:
        DuaError: a list of several frames which cannot be taken apart: people come and go in it, or have no numbers.
    """
    if len(detections) < 2 or len({detection.frame for detection in detections}) > 1:
        return detections, False
    boxes = [detection.box(0) for detection in detections]
    numbers = [number_of(detection) for detection in detections]
    times = Counter(number for number in numbers if number is not None)
    begins = _begins(numbers)
    alone = len(times) == 1  # perhaps what everybody of one image has: then nobody is where another is
    if None not in numbers and (
        _piled(boxes) and all(map(continues, boxes, boxes[1:])) if alone else _all_in_each(numbers, begins)
    ):
        frames = np.cumsum(begins) - 1
        return [replace(detection, frame=int(frame)) for detection, frame in zip(detections, frames)], True
    number, most = times.most_common(1)[0] if times else (None, 1)
    if (most > 1 and not alone) or (_piled(boxes) and len(boxes) >= _LEAST_PILE):
        why = f"number {number} of them {most} times" if most > 1 else "most in the place of another"
        raise DuaError(
            f"{path} has {len(boxes)} people in one frame, {why}: people of several frames in one list, it seems, which cannot be "
            "told apart; write a list for each frame (of Ultralytics' results: a line of to_json() for each)"
        )
    return detections, False


def _begins(numbers: Sequence[int | None]) -> list[bool]:
    """Whether a frame begins with each: where its number has been in the frame before."""
    begins: list[bool] = []
    present: set[int | None] = set()
    for number in numbers:
        begins.append(not present or number in present)
        present = {number} if begins[-1] else present | {number}
    return begins


def _all_in_each(numbers: Sequence[int | None], begins: Sequence[bool]) -> bool:
    """Whether there are several frames, and each has all numbers."""
    count = len(set(numbers))
    return sum(begins) > 1 and len(numbers) == count * sum(begins) and all(begins[::count])


def _piled(boxes: Sequence[np.ndarray]) -> bool:
    """Whether more than half of people, of the first hundred, are where another is."""
    boxes = boxes[:100]
    covered = [any(overlap(box, other) >= _PILED for other in boxes if other is not box) for box in boxes]
    return sum(covered) > len(boxes) / 2
