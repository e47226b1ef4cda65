"""Files of 2D joints that detectors write. The format is known by its content, whatever the file is called.

- arrays: Detectron2 through VideoPose3D's scripts, VideoPose3D's prepared files, plain `.npy` and `.npz`
  (`common.detections.arrays`);
- JSON: MMPose, AlphaPose, Ultralytics (`common.detections.toolboxes`); OpenPose, AlphaPose's other formats, COCO's annotations,
  MediaPipe (`common.detections.people`);
- text: Ultralytics' labels and CSV, CSV of MediaPipe's landmarks (`common.detections.tables`);
- a folder of such files, one a frame, as OpenPose and Ultralytics write them.
"""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from common.detections.arrays import read_arrays, refuse_clip
from common.detections.detection import KeypointFile, frames_of, step_of
from common.detections.identities import unfold
from common.detections.people import parse_people
from common.detections.tables import parse_labels, parse_table
from common.detections.toolboxes import parse_toolboxes, read_json_text
from common.errors import DuaError, names_like, short_reason
from common.files.arrays import load_arrays, load_npy, require_file

KNOWN = (
    "Detectron2 .npz as VideoPose3D's inference script saves it, VideoPose3D's data_2d_custom_*.npz, .npy and .npz of the shape "
    "(frames, joints, 2 or 3), JSON of MMPose, AlphaPose, Ultralytics, OpenPose, MediaPipe or COCO annotations, Ultralytics' labels and "
    "CSV, CSV with a header of landmarks, and folders of OpenPose or Ultralytics"
)

_MAX_FRAMES = 10**6  # nine hours at 30 a second
_MAX_NUMBER = 2**53  # what a double still counts by ones
_MALFORMED = (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, csv.Error)


def read_keypoints(path: str | Path, clip: str | None = None) -> KeypointFile:
    """Read a keypoint file, or a folder of them, of any of the formats above; pickles run no code (`common.files.arrays`).

    Args:
        clip: which video, of a file or a folder that holds several.

    Raises:
        DuaError: the file is missing, damaged, of no known format, or holds nobody, or several videos and no `clip` is named, or all
            people of all frames as if they were in one.
    """
    path = Path(path)
    if path.is_dir():
        found = _from_folder(path, clip)
    else:
        require_file(path)
        found = _told(path, lambda: _from_file(path, clip))
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


def _told(path: Path, read: Callable[[], KeypointFile]) -> KeypointFile:
    """What `read` returns; what a file of another layout makes it raise becomes one line about `path`."""
    try:
        return read()
    except _MALFORMED as error:
        raise DuaError(f"{path} is not laid out as expected ({short_reason(error)}); known are {KNOWN}") from error


def _from_file(path: Path, clip: str | None) -> KeypointFile:
    with open(path, "rb") as file:
        head = file.read(6)
    if head.startswith(b"PK"):
        return read_arrays(path, load_arrays(path), clip)
    if head == b"\x93NUMPY":
        array = load_npy(path)
        return read_arrays(path, array if isinstance(array, dict) else {"keypoints": array}, clip)
    found = _from_text(path)
    refuse_clip(path, clip)
    return found


def _from_text(path: Path) -> KeypointFile:
    found = None if _is_json(path) else parse_table(_text(path))
    if found is None:
        data = read_json_text(path, KNOWN)
        found = parse_people(data) or parse_toolboxes(data)
    if found is None:
        raise DuaError(f"{path} is JSON of no known layout; known are {KNOWN}")
    return found


def _is_json(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(1000).lstrip()[:1] in (b"[", b"{", b"")


def _text(path: Path) -> str:
    """The text of a file, or nothing if it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _from_folder(folder: Path, clip: str | None) -> KeypointFile:
    """One file a frame, numbered in its name; where names begin in several ways, each is a video that `clip` can name."""
    files = _frame_files(folder)
    videos: dict[str, list[Path]] = {}
    for file in files:
        videos.setdefault(_video_of(file), []).append(file)
    if len(videos) == len(files):  # no name is like another but for its number
        videos = {folder.name: files}
    if clip is None and len(videos) == 1:
        clip = next(iter(videos))
    if clip not in videos:
        wrong = f"holds no '{clip}'" if clip is not None else "holds files of several videos"
        raise DuaError(f"{folder} {wrong}; name one with --clip: {names_like(clip, videos)}")
    frames = frames_of(file.name for file in videos[clip])
    if files[0].suffix == ".txt":
        return _labels(folder, {frames[file.name]: _text(file) for file in videos[clip]})
    found = [(frames[file.name], _frame_of(file)) for file in videos[clip]]
    seen = next((file for _, file in found if file.detections), found[0][1])
    detections = [replace(detection, frame=frame) for frame, file in found for detection in file.detections]
    # Every frame that was looked at has its file, with people or without.
    return replace(seen, detections=detections, step=step_of(frames.values()))


def _frame_files(folder: Path) -> list[Path]:
    place = folder / "labels" if (folder / "labels").is_dir() else folder  # Ultralytics' beside its pictures
    for ending in (".json", ".txt", ".csv"):
        files = sorted(file for file in place.glob(f"*{ending}") if not file.name.startswith("."))
        if files:
            return files
    raise DuaError(f"{folder} is a folder without .json, .txt or .csv files; known are {KNOWN}")


def _video_of(file: Path) -> str:
    """'walk_000000000012_keypoints.json' -> 'walk'."""
    return re.sub(r"[_\-. ]*\d+\D*$", "", file.stem) or file.parent.name


def _frame_of(file: Path) -> KeypointFile:
    found = _told(file, lambda: _from_text(file))
    if len({detection.frame for detection in found.detections}) > 1:
        raise DuaError(f"{file} ({found.source}) holds several frames, and is not alone in its folder; give the file itself")
    return found


def _labels(folder: Path, texts: Mapping[int, str]) -> KeypointFile:
    try:
        found = parse_labels(texts)
    except ValueError:  # words, not numbers
        found = None
    if found is None:
        raise DuaError(f"{folder}: its .txt files are no labels of Ultralytics' pose models (save_txt); known are {KNOWN}")
    return found
