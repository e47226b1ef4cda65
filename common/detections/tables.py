"""2D joints in tables of text: Ultralytics' labels and CSV, and CSV with a header that names joints, as users of MediaPipe write it.

- Ultralytics `save_txt`: a line a person: class, box (x y w h), seventeen joints (x y, or x y confidence), perhaps the person's
  confidence, perhaps the number of its track; in shares of the image, and a file a frame;
- Ultralytics `to_csv`: a row a person, with the columns `box` and `keypoints`, which hold text of dictionaries;
- a row a frame, with columns such as `x0, y0, z0, v0, x1, ...`, `x1, y1, ... v33` or `left_wrist_x, left_wrist_y, ...`;
- a row a joint, with columns such as `frame, landmark, x, y, z, visibility`.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.detections.arrays import MEDIAPIPE_THRESHOLD
from common.detections.detection import ORDER_OF_COUNT, KeypointFile, frames_of, make_detection, step_of
from common.detections.keypoints import DEFAULT_THRESHOLD
from common.detections.people import FRAME_NUMBERS, LANDMARKS, plain_name
from common.detections.toolboxes import parse_toolboxes

_LABEL_LENGTHS = {5 + 17 * columns + extra: (columns, extra) for columns in (2, 3) for extra in (0, 1, 2)}
"""{numbers of a line: (columns of a joint, numbers after the joints)}."""

_COCO_NAMES = tuple(name for name in LANDMARKS if not re.search("inner|outer|mouth|pinky|index|thumb|heel", name))
"""Those of MediaPipe's landmarks that COCO has, which are in COCO's order there."""
_FIELDS = {"x": "x", "y": "y", "z": "z"} | dict.fromkeys(
    ("v", "vis", "visibility", "visible", "score", "c", "conf", "confidence", "likelihood", "presence"), "confidence"
)
_PREFIXES = {"landmark", "landmarks", "lm", "pose", "kp", "kpt", "keypoint", "joint", "point"}
_JOINT_COLUMNS = (
    "landmark_name", "joint_name", "keypoint_name", "name", "landmark", "landmark_id", "landmark_index", "landmark_idx", "joint",
    "joint_id", "keypoint", "keypoint_id", "point", "point_id", "id", "index",
)  # fmt: skip
_IMAGE_COLUMNS = ("image", "image_id", "image_name", "file", "file_name", "filename")
_PERSON_COLUMNS = ("person", "person_id", "track_id", "pose_id", "pose_index")

_MOST_JOINTS = 1000

Joints = dict[int | str, list[float]]
"""{number or name of a joint: x, y, confidence} of one person in one frame."""


def parse_table(text: str) -> KeypointFile | None:
    """Everybody in one of the tables above, or None if it is none of them.

    Raises:
        KeyError, TypeError, ValueError and their like: it looks like one of them and goes on otherwise.
    """
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines[0].split()) in _LABEL_LENGTHS and _is_number(lines[0].split()[0]):
        return parse_labels({0: text})
    delimiter = max(",;\t", key=lines[0].count)
    header, *rows = csv.reader(lines, delimiter=delimiter)
    names = [plain_name(name) for name in header]
    table = [dict(zip(names, row)) for row in rows]
    _number_images(table)
    if {"box", "keypoints"} <= set(names):
        return _ultralytics(table)
    columns = {name: joint for name in names if (joint := _joint_of(name)) is not None}
    if {field for _, field in columns.values()} >= {"x", "y"}:
        return _named(_a_row_a_frame(table, columns))
    joint_column = next((name for name in _JOINT_COLUMNS if name in names), None)
    if joint_column is not None and {"x", "y"} <= set(names):
        return _named(_a_row_a_joint(table, joint_column))
    return None


def parse_labels(texts: Mapping[int, str]) -> KeypointFile | None:
    """Ultralytics' `save_txt`: {frame: text of its file}."""
    lines = [
        (frame, [float(word) for word in line.split()])
        for frame, text in texts.items()
        for line in text.splitlines()
        if line.strip()
    ]
    if not all(len(numbers) in _LABEL_LENGTHS for _, numbers in lines):
        return None
    single = [numbers[-1] for _, numbers in lines if _LABEL_LENGTHS[len(numbers)][1] == 1]
    tracked = bool(single) and all(number == int(number) for number in single)  # else it is the person's confidence
    frames: dict[int, list[dict]] = {frame: [] for frame in texts}
    for frame, numbers in lines:
        columns, extra = _LABEL_LENGTHS[len(numbers)]
        joints = np.array(numbers[5 : 5 + 17 * columns]).reshape(17, columns).T.tolist()
        person: dict[str, Any] = {"keypoints": dict(zip(("x", "y", "visible"), joints))}
        if extra == 2 or (extra == 1 and not tracked):
            person["confidence"] = numbers[5 + 17 * columns]
        if extra == 2 or (extra == 1 and tracked):
            person["track_id"] = int(numbers[-1])
        frames[frame].append(person)
    return _in_frames(frames)


def _ultralytics(table: Sequence[Mapping[str, str]]) -> KeypointFile | None:
    frames: dict[int, list[dict]] = {}
    numbered = [_frame(row) is not None for row in table]
    if any(numbered) and not all(numbered):
        raise ValueError("rows without the number of a frame among others that have one")
    for row in table:
        # Python's dictionaries of numbers and names of columns, which differ from JSON in their quotes.
        person: dict[str, Any] = {"keypoints": json.loads(row["keypoints"].replace("'", '"'))}
        if row.get("confidence"):
            person["confidence"] = float(row["confidence"])
        if row.get("track_id"):
            person["track_id"] = int(float(row["track_id"]))
        frames.setdefault(_frame(row) or 0, []).append(person)
    return _in_frames(frames)


def _in_frames(frames: Mapping[int, list[dict]]) -> KeypointFile | None:
    """Of what Ultralytics' `summary()` has of each person."""
    found = parse_toolboxes([{"frame_id": frame, "instances": people} for frame, people in frames.items()])
    return found and replace(found, step=step_of(frames))


def _joint_of(name: str) -> tuple[int | str, str] | None:
    """'left_wrist_x' -> ('left_wrist', 'x'), 'x_12' -> (12, 'x'); None if a column is of no joint."""
    words = name.split("_")
    for field, rest in ((words[-1], words[:-1]), (words[0], words[1:])):
        if field in _FIELDS and rest:
            joint = _joint([word for word in rest if word not in _PREFIXES])
            if joint is not None:
                return joint, _FIELDS[field]
    return None


def _joint(words: Sequence[str]) -> int | str | None:
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    return "_".join(words) if "_".join(words) in LANDMARKS else None


def _a_row_a_frame(table: Sequence[Mapping[str, str]], columns: Mapping[str, tuple[int | str, str]]) -> list[tuple]:
    people = []
    for i, row in enumerate(table):
        joints: dict[int | str, dict[str, float]] = {}
        for name, (joint, field) in columns.items():
            joints.setdefault(joint, {})[field] = _float(row.get(name, ""))
        frame = _frame(row)
        people.append((i if frame is None else frame, _person(row), {joint: _row(fields) for joint, fields in joints.items()}))
    return people


def _a_row_a_joint(table: Sequence[Mapping[str, str]], joint_column: str) -> list[tuple]:
    people: dict[tuple[int, int | None], Joints] = {}
    last = 0  # where frames have no number, one ends when a joint comes again
    for row in table:
        joint = _joint(plain_name(row[joint_column]).split("_"))
        if joint is None:
            raise ValueError(f"'{row[joint_column]}' is no landmark")
        frame, person = _frame(row), _person(row)
        if frame is None:
            last += joint in people.get((last, person), {})
            frame = last
        fields = {_FIELDS[name]: _float(value) for name, value in row.items() if name in _FIELDS}
        people.setdefault((frame, person), {})[joint] = _row(fields)
    return [(frame, person, joints) for (frame, person), joints in people.items()]


def _named(people: Iterable[tuple[int, int | None, Joints]]) -> KeypointFile:
    people = list(people)
    joints = {joint for _, _, named in people for joint in named}
    if all(isinstance(joint, int) for joint in joints):
        numbers = [joint for joint in joints if isinstance(joint, int)]
        first = min(1, *numbers) if numbers else 0  # some count from 1
        if len(numbers) and max(numbers) > _MOST_JOINTS:
            raise ValueError(f"a joint has the number {max(numbers)}")
        order: list[int | str] = list(range(first, max(numbers, default=-1) + 1))
        skeleton = ORDER_OF_COUNT.get(len(order)) if len(order) not in (16, 17) else None
    else:
        skeleton = "coco" if joints <= set(_COCO_NAMES) else "blazepose"
        order = list(_COCO_NAMES if skeleton == "coco" else LANDMARKS)
    absent = [np.nan, np.nan, 0.0]
    detections = [
        make_detection(frame, [named.get(joint, absent) for joint in order], 1.0, person) for frame, person, named in people
    ]
    detections = [
        detection for detection in detections if np.isfinite(detection.keypoints_2d).any()
    ]  # rows without anybody are empty
    blazepose = skeleton == "blazepose"
    source, threshold = ("MediaPipe", MEDIAPIPE_THRESHOLD) if blazepose else ("table of joints", DEFAULT_THRESHOLD)
    return KeypointFile(source, detections, skeleton, None, threshold, step_of(frame for frame, _, _ in people))


def _row(fields: Mapping[str, float]) -> list[float]:
    return [fields["x"], fields["y"], fields.get("confidence", 1.0)]


def _number_images(table: Sequence[dict[str, str]]) -> None:
    """Give rows that name their image, but have no number of a frame, the number in that name."""
    column = next((name for name in _IMAGE_COLUMNS if table and table[0].get(name)), None)
    if column is not None and not any(name in table[0] for name in FRAME_NUMBERS):
        frames = frames_of(row[column] for row in table)
        for row in table:
            row[FRAME_NUMBERS[0]] = str(frames[row[column]])


def _frame(row: Mapping[str, str]) -> int | None:
    value = next((row[name] for name in FRAME_NUMBERS if row.get(name)), None)
    return None if value is None else int(float(value))


def _person(row: Mapping[str, str]) -> int | None:
    value = next((row[name] for name in _PERSON_COLUMNS if row.get(name)), None)
    return None if value is None else int(float(value))


def _float(value: str) -> float:
    return float(value) if value.strip() else np.nan


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", word) is not None
