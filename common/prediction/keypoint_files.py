"""Files of 2D joints that detectors write. The format is known by its content, whatever the file is called.

- Detectron2 (and Detectron) as VideoPose3D's `inference/infer_video*.py` saves it: `.npz` with `boxes`, `keypoints`, `metadata`;
- VideoPose3D's prepared `data_2d_custom_*.npz`: `positions_2d` and `metadata`, one person a video;
- MMPose, AlphaPose and Ultralytics in JSON: see `common.prediction.keypoint_json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DuaError, short_reason
from common.files.arrays import load_arrays, require_file
from common.prediction.detections import Detection
from common.prediction.identities import unfold
from common.prediction.keypoint_json import parse_json, read_json_text
from common.prediction.keypoints import DEFAULT_THRESHOLD

KNOWN = (
    "Detectron2 .npz as VideoPose3D's inference script saves it, VideoPose3D's data_2d_custom_*.npz, "
    "and JSON of MMPose, AlphaPose or Ultralytics"
)

_DETECTRON_THRESHOLD = 0.05
"""Detectron's confidence of a joint is the peak of a softmax over the whole box; its own drawings use this."""

_MAX_FRAMES = 10**6  # nine hours at 30 a second
_MAX_NUMBER = 2**53  # what a double still counts by ones


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


def read_keypoints(path: str | Path, clip: str | None = None) -> KeypointFile:
    """Read a keypoint file of any of the formats above; pickles in .npz files run no code (`common.files.arrays`).

    Args:
        clip: which video, of a file that holds several.

    Raises:
        DuaError: the file is missing, damaged, of no known format, or holds nobody, or several videos and no `clip` is named, or all
            people of all frames as if they were in one.
    """
    path = Path(path)
    require_file(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == b"PK"
    try:
        found = _from_npz(path, clip) if zipped else _from_json(path, clip)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DuaError(f"{path} is not laid out as expected ({short_reason(error)}); known are {KNOWN}") from error
    if not found.detections:
        raise DuaError(f"{path} ({found.source}) holds no person in any frame")
    numbers = [detection.frame for detection in found.detections]
    if max(numbers) - min(numbers) >= _MAX_FRAMES or max(map(abs, numbers)) >= _MAX_NUMBER:
        raise DuaError(
            f"{path} ({found.source}) numbers frames from {min(numbers)} to {max(numbers)}, as no video does; renumber them"
        )
    counts = sorted({len(detection.keypoints_2d) for detection in found.detections})
    if len(counts) > 1:
        raise DuaError(f"{path} ({found.source}) has poses of {' and '.join(map(str, counts))} joints; one order is needed")
    detections, unfolded = unfold(found.detections, path)
    said = ", one list of all frames: a number that is there again begins the next" if unfolded else ""
    detections = [replace(detection, frame=detection.frame // found.step) for detection in detections]
    return replace(found, detections=detections, source=found.source + said, first=numbers[0] % found.step)


def _from_json(path: Path, clip: str | None) -> KeypointFile:
    parsed = parse_json(read_json_text(path, KNOWN))
    if parsed is None:
        raise DuaError(f"{path} is JSON of no known layout; known are {KNOWN}")
    _refuse_clip(path, clip)
    return KeypointFile(parsed.source, parsed.detections, parsed.skeleton, None, parsed.threshold, parsed.step)


def _from_npz(path: Path, clip: str | None) -> KeypointFile:
    arrays = load_arrays(path)
    if "positions_2d" in arrays:
        return _prepared(path, arrays, clip)
    if "boxes" in arrays and "keypoints" in arrays:
        _refuse_clip(path, clip)
        return _detectron(arrays)
    raise DuaError(f"{path} holds {', '.join(arrays) or 'nothing'}, which no known format has; known are {KNOWN}")


def _refuse_clip(path: Path, clip: str | None) -> None:
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
    return KeypointFile("Detectron2", detections, "coco", _size(arrays.get("metadata")), _DETECTRON_THRESHOLD)


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
        names = ", ".join(list(clips)[:8]) + (f", ... ({len(clips)} in all)" if len(clips) > 8 else "")
        wrong = f"holds no '{clip}'" if clip is not None else "holds several videos"
        raise DuaError(f"{path} {wrong}; name one with --clip: {names}")
    subject, keypoints_2d = clips[clip]
    if keypoints_2d.ndim != 3 or keypoints_2d.shape[2] < 2:
        raise DuaError(f"{path}: {clip} has the shape {keypoints_2d.shape}, (frames, joints, 2) was expected")
    metadata = arrays.get("metadata") or {}
    layout = {("coco", 17): "coco", ("h36m", 17): "h36m17", ("h36m", 16): "h36m"}
    sure = np.ones(keypoints_2d.shape[1])
    return KeypointFile(
        "prepared for VideoPose3D",
        [Detection(frame, pose[:, :2], sure) for frame, pose in enumerate(keypoints_2d)],
        layout.get((metadata.get("layout_name", ""), keypoints_2d.shape[1])),
        _size(metadata.get("video_metadata", {}).get(subject)),
        DEFAULT_THRESHOLD,
    )


def _size(metadata: Any) -> tuple[int, int] | None:
    if not isinstance(metadata, Mapping) or not {"w", "h"} <= metadata.keys():
        return None
    return int(metadata["w"]), int(metadata["h"])
