"""Videos in and out, by the ffmpeg that the `imageio-ffmpeg` wheel brings along: nothing has to be installed beside it."""

import math
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from common.errors import DuaError
from common.files.arrays import require_file
from common.files.writing import atomic_write


class Video:
    """`count` frames of a video file: every `step`-th after the first `skip`.

    Iterating decodes from the start and yields (height, width, 3) uint8 pictures.

    Raises:
        DuaError: the file is missing, cannot be decoded, or has too few frames.
    """

    def __init__(self, path: str | Path, count: int, skip: int = 0, step: int = 1) -> None:
        self.path = Path(path)
        self.count, self.skip, self.step = count, skip, step
        require_file(self.path)
        frames = self._decode()
        try:
            _ = next(frames)["size"]  # sound alone has none
            next(frames)
            there, _ = imageio_ffmpeg.count_frames_and_secs(str(self.path.resolve()))
        except (OSError, RuntimeError, StopIteration, KeyError, IndexError, ValueError, UnboundLocalError) as error:
            raise DuaError(f"{self.path} cannot be decoded as a video; give one that a player shows, such as an MP4") from error
        finally:
            frames.close()
        if there < self._needed:
            raise self._too_short(there)

    def __iter__(self) -> Iterator[np.ndarray]:
        frames = self._decode()
        width, height = next(frames)["size"]
        number = 0
        try:
            for number, frame in enumerate(frames):
                place, rest = divmod(number - self.skip, self.step)
                if place >= self.count:
                    return
                if place >= 0 and not rest:
                    yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
        except RuntimeError as error:
            raise DuaError(
                f"{self.path} is damaged at frame {number + 1}; get it anew, or stop before with --viz_limit"
            ) from error
        finally:
            frames.close()
        if number + 1 < self._needed:
            raise self._too_short(number + 1)

    @property
    def _needed(self) -> int:
        return self.skip + (self.count - 1) * self.step + 1

    def _decode(self) -> Generator:
        # An absolute path: ffmpeg takes 'a:b.mp4' for a protocol and '-x.mp4' for an option.
        return imageio_ffmpeg.read_frames(str(self.path.resolve()))

    def _too_short(self, there: int) -> DuaError:
        fitting = math.ceil(max(0, there - self.skip) / self.step)
        remedy = f"--viz_limit {fitting}" if fitting else "a smaller --viz_skip"
        return DuaError(
            f"{self.path} has {there} frames, {self._needed} are needed for {self.count} poses (--viz_skip {self.skip}, "
            f"--viz_downsample {self.step}); take {remedy}"
        )


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], size: tuple[int, int], fps: float, kilobits: int | None) -> None:
    """H.264 that every player shows, whole or not at all.

    Args:
        frames: (height, width, 3) uint8, even sides.
        kilobits: a second; None for what a high quality takes.

    Raises:
        DuaError: the encoder stopped, or the disk is full.
    """
    rate = {"bitrate": f"{kilobits}k"} if kilobits else {"quality": None}
    options = ["-movflags", "+faststart", *([] if kilobits else ["-crf", "18"])]
    # ffmpeg writes an MP4's head last, so it needs a file to go back in; `atomic_write` then puts it where it is wanted.
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.mp4")
        writer = imageio_ffmpeg.write_frames(
            made, size, fps=fps, codec="libx264", macro_block_size=2, ffmpeg_log_level="error", output_params=options, **rate
        )
        writer.send(None)
        sent = 0
        try:
            for frame in frames:
                try:
                    writer.send(np.ascontiguousarray(frame))
                    sent += 1
                except OSError as error:
                    raise DuaError(f"cannot write {path}: the video encoder stopped; is {folder} full?") from error
        finally:
            writer.close()
        if _frames_in(made) != sent:  # a full disk shows in nothing else that the encoder says
            raise DuaError(f"cannot write {path}: the video encoder left no whole video; is {folder} full?")
        with open(made, "rb") as source, atomic_write(path) as file:
            shutil.copyfileobj(source, file)


def _frames_in(path: str) -> int:
    """How many frames a video has; 0 if it cannot be read."""
    try:
        return int(imageio_ffmpeg.count_frames_and_secs(path)[0])
    except (OSError, RuntimeError, ValueError):
        return 0
