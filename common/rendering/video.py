"""Videos as pictures, by the ffmpeg that the `imageio-ffmpeg` wheel brings along: nothing has to be installed beside it."""

import math
from collections.abc import Generator, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from common.errors import DuaError
from common.files.arrays import require_file


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
