"""2D joints in JSON, as MMPose, AlphaPose and Ultralytics write them.

- MMPose: a list of frames, each a list of instances with `keypoints` [[x, y], ...] and `keypoint_scores`; frames may be
  {"frame_id", "instances"} (the inferencer's files of videos), in {"instance_info": ...} (the demo scripts) or in
  {"predictions": ...} (what the inferencer returns);
- MMPose 0.x: a list of frames, each a list of instances with `keypoints` [[x, y, score], ...], `bbox` and perhaps `track_id`
  (what `inference_top_down_pose_model` returns), bare or in {"frame_id", "instances"}; its tests' results are as AlphaPose's;
- AlphaPose: a list of people in all images, `image_id` and `keypoints` [x, y, confidence, ...], perhaps `idx` from a tracker;
- Ultralytics: `to_json()` or `summary()` of each frame, a list of objects with `keypoints` {"x", "y", "visible"}, perhaps
  `track_id`: a list of frames, or a line or a string of JSON for each.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.detections.detection import Detection, KeypointFile, guess_order, make_detection, numbers_of, step_of
from common.detections.keypoints import DEFAULT_THRESHOLD
from common.errors import DuaError

_ULTRALYTICS_THRESHOLD = 0.5
"""Below this, Ultralytics puts joints at (0, 0)."""

_ORDER_OF_DATASET = {
    "coco": "coco", "coco_wholebody": "coco_wholebody", "mpii": "mpii", "halpe26": "halpe26", "h36m": "h36m17",
}  # fmt: skip


class Parsed(NamedTuple):
    """What wrote the file, everybody in every frame, the order of joints, the confidence from which joints count, and of every how
    many frames of the video the file tells."""

    source: str
    detections: list[Detection]
    skeleton: str | None
    threshold: float
    step: int = 1


def read_json_text(path: Path, known: str) -> Any:
    """The JSON of a file, or of each of its lines as a list.

    Raises:
        DuaError: it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) < 2 or not error.msg.startswith("Extra data"):
                raise
            return [json.loads(line) for line in lines]
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError among them
        raise DuaError(f"{path} is neither .npz nor whole JSON, so of no known format; known are {known}") from error
    except OSError as error:
        raise DuaError(f"cannot read {path}: {error.strerror}") from error


def parse_json(data: Any) -> Parsed | None:
    """Everybody in the data of one of the formats above, or None if it is of another.

    Raises:
        KeyError, TypeError, ValueError: it looks like one of them and goes on otherwise.
    """
    dataset = None
    if isinstance(data, dict):
        meta = data.get("meta_info")
        dataset = meta.get("dataset_name") if isinstance(meta, dict) else None
        data = data.get("instance_info", data.get("predictions"))
    if not isinstance(data, list):
        return None
    if any(isinstance(person, dict) and "image_id" in person for person in data):
        people, numbered = _alphapose(data)
        named = "AlphaPose" if numbered else "AlphaPose, images numbered as they come"
        # Images without people are not listed: what is left is a multiple of the step, and hardly ever more than the step.
        return Parsed(named, people, _guess(people, None), DEFAULT_THRESHOLD, step_of(person.frame for person in people))
    frames = _frames(data)
    step = step_of(frame for frame, _ in frames)
    first = next((person for _, people in frames for person in people), None)
    if first is None:
        return Parsed("JSON without people", [], None, DEFAULT_THRESHOLD)
    keypoints = first.get("keypoints") if isinstance(first, dict) else None
    if isinstance(keypoints, dict):
        people = [_ultralytics(frame, person) for frame, present in frames for person in present if "keypoints" in person]
        return Parsed("Ultralytics", people, _guess(people, None), _ULTRALYTICS_THRESHOLD, step)
    if isinstance(keypoints, list) and isinstance(first, dict) and "keypoint_scores" in first:
        people = [_mmpose(frame, person) for frame, present in frames for person in present]
        return Parsed("MMPose", people, _guess(people, dataset), DEFAULT_THRESHOLD, step)
    if isinstance(keypoints, list) and keypoints and all(isinstance(row, list) and len(row) == 3 for row in keypoints):
        people = [_mmpose_0(frame, person) for frame, present in frames for person in present]
        return Parsed("MMPose 0.x", people, _guess(people, dataset), DEFAULT_THRESHOLD, step)
    return None


def parse_toolboxes(data: Any) -> KeypointFile | None:
    """`parse_json` as the other readers return it."""
    parsed = parse_json(data)
    if parsed is None:
        return None
    return KeypointFile(parsed.source, parsed.detections, parsed.skeleton, None, parsed.threshold, parsed.step)


def _frames(data: Sequence[Any]) -> list[tuple[int, list[Any]]]:
    """(number, people) of each frame, however frames are wrapped."""
    if data and all(isinstance(entry, dict) and "instances" not in entry for entry in data):
        return [(0, list(data))]  # the people of a single image
    frames = []
    for i, entry in enumerate(data):
        if isinstance(entry, str):
            entry = json.loads(entry)
        if isinstance(entry, dict):
            frames.append((int(entry.get("frame_id", i)), entry["instances"]))
        elif isinstance(entry, list):
            frames.append((i, entry[0] if len(entry) == 1 and isinstance(entry[0], list) else entry))
        else:
            raise TypeError(f"frame {i} is a {type(entry).__name__}")
    return frames


def _mmpose(frame: int, person: Mapping[str, Any]) -> Detection:
    keypoints = np.array(person["keypoints"], dtype=float)
    if keypoints.shape[1:] == (3,):
        raise ValueError("three columns that are coordinates, so these are 3D poses; 2D joints are needed")
    scores = np.array(person["keypoint_scores"], dtype=float)
    return _detection(
        frame, keypoints[:, :2], scores, person.get("bbox_score", scores.sum() / max(len(scores), 1)), person.get("track_id")
    )


def _mmpose_0(frame: int, person: Mapping[str, Any]) -> Detection:
    """Its `bbox` is left, top, right, bottom and, if a detector found it, how sure that is."""
    box = person.get("bbox", ())
    score = box[4] if len(box) == 5 else person.get("score", 1.0)
    return make_detection(frame, person["keypoints"], score, person.get("track_id"))


def _ultralytics(frame: int, person: Mapping[str, Any]) -> Detection:
    keypoints = person["keypoints"]
    places = np.array([keypoints["x"], keypoints["y"]], dtype=float).T
    visible = np.array(keypoints.get("visible", np.ones(len(places))), dtype=float)
    return _detection(frame, places, visible, person.get("confidence", 1.0), person.get("track_id"))


def _alphapose(data: Sequence[Mapping[str, Any]]) -> tuple[list[Detection], bool]:
    """Detections, and whether the images' names number the frames of the video."""
    images = list(dict.fromkeys(person["image_id"] for person in data))
    # '17.jpg', 'frame_000017.png' or 17: images without people are not listed, so the numbers count, if they are there.
    numbers = numbers_of(map(str, images))
    numbered = numbers is not None
    frame_of = {image: i if numbers is None else numbers[str(image)] for i, image in enumerate(images)}
    detections = []
    for person in data:
        rows = np.array(person["keypoints"], dtype=float).reshape(-1, 3)
        number = person.get("idx")
        while isinstance(number, list):  # some trackers wrap it
            number = number[0] if number else None
        detections.append(_detection(frame_of[person["image_id"]], rows[:, :2], rows[:, 2], person.get("score", 1.0), number))
    return detections, numbered


def _detection(frame: int, keypoints_2d: np.ndarray, confidences: np.ndarray, score: Any, person: Any) -> Detection:
    if keypoints_2d.ndim != 2 or keypoints_2d.shape[1] != 2 or confidences.shape != keypoints_2d.shape[:1]:
        raise ValueError(f"frame {frame}: joints of shape {keypoints_2d.shape}, confidences of shape {confidences.shape}")
    return Detection(frame, keypoints_2d, confidences, float(score), None if person is None else int(person))


def _guess(people: Sequence[Detection], dataset: Any) -> str | None:
    """The order of joints, from the data set's name, else from their number."""
    if isinstance(dataset, str) and dataset in _ORDER_OF_DATASET:
        return _ORDER_OF_DATASET[dataset]
    return guess_order(people)
