"""Frames of a video under the 2D joints."""

import math
from collections.abc import Iterator

import numpy as np

from common.errors import DuaError
from common.files.video import VideoFile, pictures


class Video:
    """`count` frames of a video: every `step`-th after the first `skip`.

    Iterating decodes from the start and yields (height, width, 3) uint8 pictures.

    Raises:
        DuaError: the video has too few frames; on iterating also: it cannot be decoded.
    """

    def __init__(self, file: VideoFile, count: int, skip: int = 0, step: int = 1) -> None:
        self.file = file
        self.count, self.skip, self.step = count, skip, step
        if file.frames < self._needed:
            raise self._too_short(file.frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        there = 0
        for there, picture in enumerate(pictures(self.file), start=1):
            place, rest = divmod(there - 1 - self.skip, self.step)
            if place >= 0 and not rest:
                yield picture
            if there >= self._needed:
                return
        raise self._too_short(there)

    @property
    def _needed(self) -> int:
        return self.skip + (self.count - 1) * self.step + 1

    def _too_short(self, there: int) -> DuaError:
        fitting = math.ceil(max(0, there - self.skip) / self.step)
        remedy = f"--viz_limit {fitting}" if fitting else "a smaller --viz_skip"
        return DuaError(
            f"{self.file.path} has {there} frames, {self._needed} are needed for {self.count} poses (--viz_skip {self.skip}, "
            f"--viz_downsample {self.step}); take {remedy}"
        )
