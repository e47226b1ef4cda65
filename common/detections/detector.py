"""2D joints of the person in a video, by a detector that is installed beside the project and runs in its own process.

Looked for in this order: the Python that `DUA_DETECTOR` names, `.detector` in the project's folder, the Python that runs.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from common.detections.detection import KeypointFile
from common.detections.files import read_keypoints
from common.detections.people import LANDMARKS
from common.errors import DuaError, MissingProgram
from common.files.video import VideoFile, last_words, pictures
from common.files.writing import atomic_write, write_text

TESTED = "0.10.14"
"""MediaPipe's version: its wheel holds the weights, and later ones drop this API (`mediapipe.solutions`)."""
VARIABLE = "DUA_DETECTOR"

_ROOT = Path(__file__).resolve().parents[2]
_WORKER = Path(__file__).with_name("mediapipe_worker.py")
ENDINGS = (".json", ".npz")


def find_detector() -> str:
    """The Python that has the detector.

    Raises:
        MissingProgram: there is none.
        DuaError: `DUA_DETECTOR` names no file.
    """
    if given := os.environ.get(VARIABLE):
        if not Path(given).is_file():
            raise DuaError(f"{VARIABLE}={given} does not exist; it names the Python of the environment with MediaPipe")
        return given
    for place in (_ROOT / ".detector" / "bin" / "python", _ROOT / ".detector" / "Scripts" / "python.exe"):
        if place.is_file():
            return str(place)
    if importlib.util.find_spec("mediapipe"):
        return sys.executable
    folder = ".detector" if Path.cwd() == _ROOT else f"{_ROOT / '.detector'}"
    raise MissingProgram(
        f"videos need a detector, and none is installed; MediaPipe is, by: python3 -m venv {folder}",
        f"{folder}/bin/pip install mediapipe=={TESTED}",
    )


def detect(video: VideoFile) -> tuple[dict[str, Any], list[str]]:
    """Find the person in each frame, with a progress bar.

    Returns:
        what `write_joints` writes: detector, video, image_size, fps, skeleton, frames [{"frame", "pose_landmarks"}], the latter 33 rows
        x, y, z in pixels and visibility, or none where nobody was found; and lines for a person.

    Raises:
        MissingProgram: no detector is installed.
        DuaError: it does not work, or dies; the video cannot be decoded to its end; nobody is in it.
    """
    python = find_detector()
    with _started(python, video) as (answers, name, version):
        bar = tqdm(pictures(video), video.path.name, video.frames, unit="frame", disable=None if sys.stderr else True)
        frames = [{"frame": frame, "pose_landmarks": answers(picture) or []} for frame, picture in enumerate(bar)]
    notes = [
        f"{name} {version}: a person in {sum(bool(frame['pose_landmarks']) for frame in frames):,d} of {len(frames):,d} frames"
    ]
    if version != TESTED:
        notes.append(f"{name} {version} is another version than the tested {TESTED}; look whether the 2D joints are good")
    if not any(frame["pose_landmarks"] for frame in frames):
        raise DuaError(f"{video.path}: {name} finds no person in any of its {len(frames):,d} frames")
    content = {
        "detector": f"{name} {version}",
        "video": video.path.name,
        "image_size": list(video.size),
        "fps": video.fps,
        "skeleton": "blazepose",
        "frames": frames,
    }
    return content, notes


def check_joints_file(path: str | Path) -> Path:
    """Raise a `DuaError` unless joints can be written to `path`: before any work is done."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise DuaError(f"{path}: 2D joints are written as {' or '.join(ENDINGS)}, which the ending says")
    if path.is_dir():
        raise DuaError(f"{path} is a folder, the name of a file was expected")
    if not path.parent.is_dir():
        raise DuaError(f"{path}: the folder {path.parent} does not exist; make it first, or write elsewhere")
    return path


def write_joints(path: Path, content: dict[str, Any]) -> None:
    """What `detect` returns, whole or not at all, as JSON or as .npz with `keypoints` (T, 33, 4), NaN where nobody was found."""
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(content, separators=(",", ":")))
        return
    nobody = np.full((len(LANDMARKS), 4), np.nan)
    keypoints = np.array([frame["pose_landmarks"] or nobody for frame in content["frames"]], dtype=np.float32)
    rest = {name: np.array(content[name]) for name in ("detector", "video", "image_size", "fps", "skeleton")}
    with atomic_write(path) as file:
        np.savez_compressed(file, keypoints=keypoints, **rest)  # type: ignore[arg-type]


def keypoints_of(video: VideoFile, keep: Path | None) -> KeypointFile:
    """What `common.detections.files.read_keypoints` returns, of a video: detected, or of an earlier detection; says which.

    Args:
        keep: the file in which joints are kept; if it is there already, nothing is detected.

    Raises:
        DuaError: as `detect` and `read_keypoints`; `keep` is another video's.
    """
    print(*video.notes(), sep="\n", flush=True)
    if keep is not None and keep.exists():
        print(f"{keep}: 2D joints of an earlier detection are taken; delete the file to detect anew")
        file = read_keypoints(keep)
        last = int(file.in_video(np.array([detection.frame for detection in file.detections])).max())
        other_rate = file.fps is not None and not math.isclose(file.fps, video.fps, rel_tol=0.01)
        if file.image_size not in (None, video.size) or last >= video.frames or other_rate:
            rate = f" at {file.fps:g} a second" if file.fps else ""
            raise DuaError(
                f"{keep} is not of {video.path}: it has {last + 1:,d} frames of {file.image_size}{rate}; name another file"
            )
        return file
    content, notes = detect(video)
    print(*notes, sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "joints.json"
        write_joints(path, content)
        print(
            f"{keep}: the 2D joints" if keep else "the 2D joints are kept in no file; --joints FILE keeps them for the next time"
        )
        return read_keypoints(path)


@contextmanager
def _started(python: str, video: VideoFile) -> Iterator[tuple[Any, str, str]]:
    """The worker as a function from a picture to its landmarks, and what the detector calls itself; it ends with this block."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [python, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        except OSError as error:
            raise DuaError(f"the detector's Python {python} does not start: {error.strerror or error}") from error
        assert process.stdin is not None
        try:
            hello = _answer(process, errors, python, "before its first frame")
            if not isinstance(hello, dict) or "error" in hello:
                said = hello.get("error") if isinstance(hello, dict) else hello
                raise DuaError(
                    f"MediaPipe of {python} cannot be used ({str(said)[:200]}); install the tested version: "
                    f"{python} -m pip install mediapipe=={TESTED}"
                )
            process.stdin.write(json.dumps(dict(zip(("width", "height"), video.size))).encode() + b"\n")
            frame = 0

            def landmarks(picture: np.ndarray) -> Any:
                nonlocal frame
                assert process.stdin is not None
                try:
                    process.stdin.write(picture.data)
                    process.stdin.flush()
                except BrokenPipeError:
                    pass  # its last words are in `errors`
                frame += 1
                return _answer(process, errors, python, f"at frame {frame - 1}")

            yield landmarks, str(hello.get("name")), str(hello.get("version"))
        finally:
            process.kill()
            process.communicate()


def _answer(process: subprocess.Popen, errors: IO[bytes], python: str, when: str) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        code = process.wait()
        ended = f"by signal {-code}" if code < 0 else f"with code {code}"
        raise DuaError(f"the detector ({python}) ended {ended} {when}: {last_words(errors) or 'it said nothing'}")
    try:
        return json.loads(line)
    except ValueError as error:
        said = ascii(line[:60].decode(errors="replace"))
        raise DuaError(f"the detector ({python}) says {said} {when}, where landmarks were expected") from error
