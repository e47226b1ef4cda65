"""Small videos in which a red box is the person, and a stand-in for MediaPipe that finds it."""

import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np

_MEDIAPIPE = """
import os, signal, sys
from types import SimpleNamespace as Part

print("a library that talks")  # on stdout, where only answers belong
_kind, _, _detail = os.environ.get("STAND_IN", "").partition(":")
__version__ = _detail if _kind == "version" else "0.10.14"

class Pose:
    def __init__(self, model_complexity):
        assert model_complexity == 1
        self.frame = 0

    def process(self, image):
        if (_kind, _detail) == ("dies", str(self.frame)):
            print("first words", "the graph has no packets", sep="\\n", file=sys.stderr, flush=True)
            os._exit(3)
        if (_kind, _detail) == ("killed", str(self.frame)):
            os.kill(os.getpid(), signal.SIGKILL)
        self.frame += 1
        colours = image.astype(int)
        rows, columns = ((colours[..., 0] > 150) & (colours[..., 1:].max(axis=-1) < 90)).nonzero()
        if len(rows) < 50:
            return Part(pose_landmarks=None)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        shares = BODY
        height, width = image.shape[:2]
        return Part(pose_landmarks=Part(landmark=[
            Part(x=(left + x * (right - left)) / width, y=(top + y * (bottom - top)) / height, z=0.1, visibility=0.9)
            for x, y in shares]))

if _kind != "other_api":
    solutions = Part(pose=Part(Pose=Pose))
if _kind == "no_library":
    raise ImportError("libGL.so.1: cannot open shared object file")
"""

BODY = np.random.default_rng(0).uniform(size=(33, 2)).round(3)
"""The landmarks in shares of the box: of these..."""
BODY[:4] = (0, 0), (1, 0), (0, 1), (1, 1)
"""...the first four are its corners."""


def stand_in(folder: Path) -> Path:
    """A Python that has a `mediapipe`, as `DUA_DETECTOR` names it. The variable STAND_IN says what is wrong with that."""
    (folder / "mediapipe").mkdir()
    (folder / "mediapipe" / "__init__.py").write_text(_MEDIAPIPE.replace("BODY", repr(BODY.tolist())))
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def ffmpeg(*options):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, options)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def film(path, boxes, size=(160, 120), fps=25):
    """A video of a grey room with a red box (left, top, width, height) in each frame, or nobody where that is None."""
    width, height = size
    frames = np.full((len(boxes), height, width, 3), 110, np.uint8)
    for frame, box in zip(frames, boxes, strict=True):
        if box is not None:
            left, top, wide, high = box
            frame[top : top + high, left : left + wide] = (230, 10, 10)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    # Colours as they are: other players' formats have a pixel of colour for four of brightness.
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *raw, "-qp", "10", "-pix_fmt", "yuv444p", os.fspath(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return path
