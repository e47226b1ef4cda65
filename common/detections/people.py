"""2D joints in JSON whose frames are objects of people: OpenPose, AlphaPose's other formats, COCO's annotations, MediaPipe.

- OpenPose (`--write_json`): {"people": [{"pose_keypoints_2d": [x, y, confidence, ...], "person_id": [-1]}]} of one frame;
- AlphaPose `--format open`: {image: {"people": [{"pose_keypoints_2d": ...}]}}, and `--format cmu`: {image: {"bodies":
  [{"joints": [x, y, confidence, ...]}]}}; in its folder `sep-json` without the image around it;
- COCO annotations (Halpe's too): {"images": [{"id", "file_name", "width", "height"}], "annotations": [{"image_id", "keypoints":
  [x, y, v, ...]}]}, v being 0 for joints that have no place;
- MediaPipe, which writes no files itself: a list of frames, each of them the 33 landmarks {"x", "y", "z", "visibility"} or [x, y, z,
  visibility] of one person or of several, bare, under a name such as `pose_landmarks` or `landmark`, or named one by one; in
  {"frames", "image_size", "fps"} as `detect.py` writes it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.detections.arrays import MEDIAPIPE_THRESHOLD
from common.detections.detection import KeypointFile, frames_of, guess_order, make_detection, rate_of, step_of
from common.detections.keypoints import DEFAULT_THRESHOLD
from common.detections.tracks import Detection
from common.geometry.missing import confidences_of

_OPENPOSE_THRESHOLD = 0.05
"""OpenPose draws joints from this confidence on (`--render_threshold`)."""
_COCO_THRESHOLD = 0.5
"""COCO's v is 0, 1 (labelled, hidden) or 2."""

LANDMARKS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear",
    "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""MediaPipe's, in its order (its guide to the pose landmarker)."""

_WRAPPERS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark", "keypoints", "pose")
FRAME_NUMBERS = ("frame", "frame_id", "frame_number", "frame_num", "frame_idx", "frame_index")


def parse_people(data: Any) -> KeypointFile | None:
    """Everybody in the data of one of the formats above, or None if it is of another.

    Raises:
        KeyError, TypeError, ValueError and their like: it looks like one of them and goes on otherwise.
    """
    if isinstance(data, dict):
        if _is_image(data):
            return _images({"": data})
        if data and all(isinstance(image, dict) and _is_image(image) for image in data.values()):
            return _images(data)
        if isinstance(data.get("annotations"), list) and isinstance(data.get("images"), list):
            return _coco(data["images"], data["annotations"])
        found = _mediapipe(data["frames"]) if isinstance(data.get("frames"), list) else _mediapipe([data])
        return found and replace(found, image_size=_size(data.get("image_size")), fps=rate_of(data.get("fps")))
    return _mediapipe(data) if isinstance(data, list) else None


def _size(size: Any) -> tuple[int, int] | None:
    """(width, height), None if it is said in no such way."""
    whole = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    return (size[0], size[1]) if whole else None


def _is_image(image: Mapping[str, Any]) -> bool:
    return isinstance(image.get("people", image.get("bodies")), list)


def _images(images: Mapping[str, Mapping[str, Any]]) -> KeypointFile:
    alphapose = any(str(image.get("version", "")).startswith("AlphaPose") or "bodies" in image for image in images.values())
    frames = frames_of(images) if len(images) > 1 else dict.fromkeys(images, 0)
    detections = []
    for name, image in images.items():
        for person in image.get("people", image.get("bodies", [])):
            # "pose_keypoints" is what OpenPose wrote before 1.1; a person of whom only the face was found has none.
            flat = next((person[key] for key in ("pose_keypoints_2d", "pose_keypoints", "joints") if person.get(key)), None)
            if flat is not None:
                rows = np.array(flat, dtype=float).reshape(-1, 3)
                number = person.get("person_id", [None])
                detections.append(make_detection(frames[name], rows, rows[:, 2].mean(), number[0] if number else None))
    source, threshold = ("AlphaPose", DEFAULT_THRESHOLD) if alphapose else ("OpenPose", _OPENPOSE_THRESHOLD)
    return KeypointFile(source, detections, guess_order(detections), None, threshold, step_of(frames.values()))


def _coco(images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]) -> KeypointFile:
    names = {image["id"]: str(image.get("file_name", image["id"])) for image in images}
    frames = frames_of(names.values())
    detections = []
    for person in annotations:
        if "keypoints" in person:
            rows = np.array(person["keypoints"], dtype=float).reshape(-1, 3)
            frame = frames[names[person["image_id"]]]
            detections.append(make_detection(frame, rows, person.get("score", 1.0), person.get("track_id")))
    sizes = {(int(image["width"]), int(image["height"])) for image in images if {"width", "height"} <= image.keys()}
    size = sizes.pop() if len(sizes) == 1 else None
    return KeypointFile("COCO annotations", detections, guess_order(detections), size, _COCO_THRESHOLD, step_of(frames.values()))


def _mediapipe(data: list) -> KeypointFile | None:
    if _is_person(data):
        data = [data]  # a single image
    rows: list[tuple[int, np.ndarray]] = []
    for i, entry in enumerate(data):
        people = _people(entry)
        if people is None:
            if rows:
                raise ValueError(f"frame {i} has no landmarks where others have them")
            return None
        rows += [(_number(entry, i), _rows(person)) for person in people]
    if not rows:
        return None
    # Of three numbers the third is a depth, unless it can be nothing but a confidence in all of them.
    if all(person.shape[1] == 3 for _, person in rows) and confidences_of(np.concatenate([person for _, person in rows])) is None:
        rows = [(frame, person[:, :2]) for frame, person in rows]
    detections = [_landmarks(frame, person) for frame, person in rows]
    return KeypointFile(
        "MediaPipe",
        detections,
        "blazepose",
        None,
        MEDIAPIPE_THRESHOLD,
        step_of(_number(entry, i) for i, entry in enumerate(data)),
    )


def _landmarks(frame: int, person: np.ndarray) -> Detection:
    """Of (33, 2) x, y, (33, 3) with visibility, or (33, 4) with z before it."""
    visibility = np.ones(len(person)) if person.shape[1] == 2 else person[:, -1]
    return make_detection(frame, np.column_stack([person[:, :2], visibility]), visibility.mean())


def _number(entry: Any, place: int) -> int:
    if isinstance(entry, dict):
        return int(next((entry[name] for name in FRAME_NUMBERS if name in entry), place))
    return place


def _people(entry: Any) -> list | None:
    """The people of a frame, or None if it has no landmarks where MediaPipe's frames have them."""
    if entry is None:
        return []
    if _is_person(entry):
        return [entry]
    if isinstance(entry, dict):
        name = next((name for name in _WRAPPERS if name in entry), None)
        if name is None or "keypoint_scores" in entry:  # the latter are MMPose's
            if any("world" in key for key in map(str.lower, entry)):
                raise ValueError("only world landmarks, which are 3D; pose_landmarks are needed")
            return [] if not entry.keys() - set(FRAME_NUMBERS) else None
        return _people(entry[name])
    if isinstance(entry, list):
        everybody = []
        for person in entry:
            inner = _people(person)
            if inner is None:
                return None
            everybody += inner
        return everybody
    return None


def _is_person(entry: Any) -> bool:
    """33 landmarks in a list, or some of them by their names."""
    if isinstance(entry, dict):
        return bool(entry) and all(plain_name(name) in LANDMARKS for name in entry)
    if not isinstance(entry, list) or len(entry) != len(LANDMARKS):
        return False
    return all(
        (isinstance(landmark, dict) and {"x", "y"} <= landmark.keys())
        or (isinstance(landmark, list) and 2 <= len(landmark) <= 4 and not isinstance(landmark[0], list | dict))
        for landmark in entry
    )


def plain_name(name: str) -> str:
    """'LEFT_EYE_INNER', 'leftEyeInner' or 'left eye inner' as `LANDMARKS` has it."""
    return "_".join(re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def _rows(person: Any) -> np.ndarray:
    """(33, 2 to 4); what is not named is NaN."""
    if isinstance(person, dict):
        named = {plain_name(name): _row(landmark) for name, landmark in person.items()}
        absent = [np.nan] * len(next(iter(named.values())))
        return np.array([named.get(name, absent) for name in LANDMARKS], dtype=float)
    return np.array([_row(landmark) for landmark in person], dtype=float)


def _row(landmark: Any) -> list:
    if not isinstance(landmark, dict):
        return landmark
    seen = next((landmark[name] for name in ("visibility", "score", "presence") if name in landmark), None)
    return [landmark["x"], landmark["y"], *([] if seen is None else [0.0, seen])]
