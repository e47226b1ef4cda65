"""2D joints in numpy's files.

- Detectron2 (and Detectron) as VideoPose3D's `inference/infer_video*.py` saves it: `.npz` with `boxes`, `keypoints`, `metadata`;
- VideoPose3D's prepared `data_2d_custom_*.npz`: `positions_2d` and `metadata`, one person a video;
- a plain array, in `.npy` or among others in `.npz`: (T, J, 2), (T, J, 3) with confidence last, (T, J, 4) of MediaPipe's x, y, z and
  visibility, (J, ...) of a single frame, or (T, P, J, ...) of P people; confidences may stand beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.detections.detection import ORDER_OF_COUNT, KeypointFile, rate_of
from common.detections.keypoints import DEFAULT_THRESHOLD, split_confidences
from common.detections.tracks import Detection
from common.errors import DuaError, names_like
from common.geometry.joint_orders import order_of_metadata
from common.geometry.missing import confidences_of

DETECTRON_THRESHOLD = 0.05
"""Detectron's confidence of a joint is the peak of a softmax over the whole box; its own drawings use this."""

MEDIAPIPE_THRESHOLD = 0.5
"""MediaPipe draws landmarks whose visibility is at least this (`drawing_utils.py`)."""

_PLACES = (
    "keypoints", "keypoints_2d", "kpts", "kpts_2d", "kps", "joints", "joints_2d", "joints2d", "landmarks", "pose_landmarks", "poses",
    "poses_2d", "pose", "pose_2d", "data", "arr_0",
)  # fmt: skip
_CONFIDENCES = (
    "scores", "keypoint_scores", "keypoints_scores", "kpt_scores", "confidences", "confidence", "conf", "visibility", "visible", "arr_1",
)  # fmt: skip
_SIZES = ("image_size", "img_size", "frame_size", "resolution")


def read_arrays(path: Path, arrays: Mapping[str, Any], clip: str | None) -> KeypointFile:
    """Everybody in the arrays of an .npz file, or in the one of an .npy file, whatever name that is given.

    Raises:
        DuaError: no array has the shape of 2D joints, or several videos and no `clip` is named.
        KeyError, TypeError, ValueError and their like: it looks like one of the formats and goes on otherwise.
    """
    if "positions_2d" in arrays:
        return _prepared(path, arrays, clip)
    refuse_clip(path, clip)
    if "boxes" in arrays and "keypoints" in arrays:
        return _detectron(arrays)
    if "positions_3d" in arrays:
        raise DuaError(f"{path} holds positions_3d, which are 3D poses; 2D joints are needed")
    return _plain(path, arrays)


def refuse_clip(path: Path, clip: str | None) -> None:
    if clip is not None:
        raise DuaError(f"--clip {clip}: {path} holds one video; leave the option out")


def _detectron(arrays: Mapping[str, Any]) -> KeypointFile:
    """Frame by frame [background, people]: boxes (n, 5) with a score, keypoints (n, 4, 17) of rows x, y, logit, probability."""
    detections = []
    for frame, (boxes, keypoints) in enumerate(zip(arrays["boxes"], arrays["keypoints"], strict=True)):
        if len(boxes[1]) == 0 or len(keypoints[1]) == 0:
            continue
        for box, rows in zip(np.asarray(boxes[1], dtype=float), np.asarray(keypoints[1], dtype=float), strict=True):
            detections.append(Detection(frame, rows[:2].T, rows[3], float(box[4])))
    return KeypointFile("Detectron2", detections, "coco", _size(arrays.get("metadata")), DETECTRON_THRESHOLD)


def _prepared(path: Path, arrays: Mapping[str, Any], clip: str | None) -> KeypointFile:
    """{video: {'custom': [(T, J, 2)]}}, or a data set's {subject: {action: [(T, J, 2) of each camera]}}."""
    clips = {}
    for subject, actions in arrays["positions_2d"].items():
        for action, cameras in actions.items():
            for i, keypoints_2d in enumerate(cameras):
                alone = action == "custom" and len(cameras) == 1
                clips[subject if alone else f"{subject}/{action}/{i}"] = (subject, np.asarray(keypoints_2d, dtype=float))
    if clip is None and len(clips) == 1:
        clip = next(iter(clips))
    if clip not in clips:
        wrong = f"holds no '{clip}'" if clip is not None else "holds several videos"
        raise DuaError(f"{path} {wrong}; name one with --clip: {names_like(clip, clips)}")
    subject, keypoints = clips[clip]
    if keypoints.ndim != 3 or keypoints.shape[2] < 2:
        raise DuaError(f"{path}: {clip} has the shape {keypoints.shape}, (frames, joints, 2) was expected")
    metadata = arrays.get("metadata") or {}
    return KeypointFile(
        "prepared for VideoPose3D",
        _people(path, keypoints, None),
        order_of_metadata(metadata, keypoints.shape[1]),
        _size(metadata.get("video_metadata", {}).get(subject)),
        DEFAULT_THRESHOLD,
    )


def _plain(path: Path, arrays: Mapping[str, Any]) -> KeypointFile:
    numbers = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray) and array.dtype.kind in "fiu"}
    shaped = [
        name for name, array in numbers.items() if 2 <= array.ndim <= 4 and 2 <= array.shape[-1] <= 4 and array.shape[-2] > 4
    ]
    found = next((name for name in _PLACES if name in shaped), shaped[0] if len(shaped) == 1 else None)
    if found is None:
        raise DuaError(
            f"{path} holds {', '.join(arrays) or 'nothing'}, which no known format has; an array of the shape (frames, joints, 2 or 3), named "
            f"{', '.join(_PLACES[:3])} or its like, was expected"
        )
    keypoints = numbers[found].astype(float)
    if keypoints.ndim == 2:
        keypoints = keypoints[None]
    joints = keypoints.shape[-2]
    confidences = next(
        (numbers[name] for name in _CONFIDENCES if name in numbers and numbers[name].size == keypoints[..., 0].size), None
    )
    size = next((arrays[name] for name in _SIZES if name in arrays), None)
    blazepose = ORDER_OF_COUNT.get(joints) == "blazepose"
    return KeypointFile(
        f"{'MediaPipe' if blazepose else 'plain array'} ({found} {numbers[found].shape})",
        _people(path, keypoints, confidences),
        None if joints in (16, 17) else ORDER_OF_COUNT.get(joints),  # of 16 and 17 there are several orders
        None if size is None else (int(size[0]), int(size[1])),
        MEDIAPIPE_THRESHOLD if blazepose else DEFAULT_THRESHOLD,
        fps=rate_of(arrays.get("fps")),
    )


def _people(path: Path, keypoints: np.ndarray, confidences: np.ndarray | None) -> list[Detection]:
    """Of (T, J, 2 to 4), or (T, P, J, 2 to 4) of several people, with confidences (T, J) or (T, P, J) beside them."""
    if ORDER_OF_COUNT.get(keypoints.shape[-2]) == "blazepose":  # MediaPipe's third of four columns, or of three, is a depth
        if keypoints.shape[-1] == 4:
            keypoints = keypoints[..., [0, 1, 3]]
        elif keypoints.shape[-1] == 3 and confidences_of(keypoints) is None:
            keypoints = keypoints[..., :2]
    try:
        places, third = split_confidences(keypoints.reshape(-1, *keypoints.shape[-2:]))
    except DuaError as error:
        raise DuaError(f"{path}: {error}") from error
    if confidences is not None:
        third = confidences.astype(float).reshape(places.shape[:2])
    sure = np.ones(places.shape[:2]) if third is None else third
    people = keypoints.shape[1] if keypoints.ndim == 4 else 1
    return [Detection(i // people, pose, sure[i]) for i, pose in enumerate(places)]


def _size(metadata: Any) -> tuple[int, int] | None:
    if not isinstance(metadata, Mapping) or not {"w", "h"} <= metadata.keys():
        return None
    return int(metadata["w"]), int(metadata["h"])
