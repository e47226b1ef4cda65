"""Frames into files that move: GIFs whose colours stand still (one palette for all frames, exact where it matters, and no dithering),
and MP4s, by the ffmpeg that the `imageio-ffmpeg` wheel brings along."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from common.errors import DuaError
from common.files.writing import atomic_write

_COLOURS = 255  # of GIF's 256; the writer needs one for what does not change
_FREQUENT = 32
_LONGEST = 655_350  # milliseconds: GIF counts hundredths in 16 bits
_SHORTEST = 2  # hundredths of a second: browsers slow down what is faster


@dataclass(frozen=True)
class Film:
    """What an encoder has to know of the frames before it sees them.

    Attributes:
        size: (width, height) in pixels; even, for an MP4.
        sample: makes a few frames (n, height, width, 3), of which a GIF takes its palette.
        colours: (k, 3) uint8 that a GIF must show as they are.
        kilobits: a second, of an MP4; None for what a high quality takes.
    """

    count: int
    fps: float
    size: tuple[int, int]
    sample: Callable[[], np.ndarray]
    colours: np.ndarray
    kilobits: int | None = None


def write_film(path: str | Path, frames: Iterator[np.ndarray], film: Film) -> None:
    """Frames (height, width, 3) uint8 as what the ending of `path` says, .gif or .mp4, whole or not at all.

    Raises:
        DuaError: the encoder stopped, or the disk is full.
    """
    if Path(path).suffix.lower() == ".gif":
        write_gif(path, frames, Palette(film.sample(), film.colours), film.count, film.fps)
    else:
        write_mp4(path, frames, film.size, film.fps, film.kilobits)


class Palette:
    """At most 255 colours for pictures like `sample`, and each pixel's nearest among them.

    The `exact` colours and the most frequent are in it as they are, the others (smoothed edges, a video) by median cut. Of
    the others each counts once: by their pixels, the greys of the floor would take nearly all.

    Shape:
        sample (n, height, width, 3), exact (k, 3), both uint8.
    """

    def __init__(self, sample: np.ndarray, exact: np.ndarray) -> None:
        from scipy.spatial import cKDTree  # here, not above: scripts that do without it need not wait

        height, width = sample.shape[0] * sample.shape[1], sample.shape[2]
        counted = Image.fromarray(sample.reshape(height, width, 3)).getcolors(height * width) or []
        counted.sort(key=lambda pair: (-pair[0], pair[1]))
        colours = np.array([colour for _, colour in counted], np.uint8)
        chosen, others = np.concatenate([exact, colours[:_FREQUENT]]), colours[_FREQUENT:]
        if len(others):
            cut = Image.fromarray(others[None]).quantize(_COLOURS - len(chosen), Image.Quantize.MEDIANCUT).getpalette() or []
            chosen = np.concatenate([chosen, np.array(cut, np.uint8).reshape(-1, 3)])[:_COLOURS]
        self.colours = chosen
        # Pillow's own search rounds colours to multiples of four, which turns white into grey. Here every colour is looked up
        # once in a tree and then kept, by its 24 bits.
        self._tree = cKDTree(chosen.astype(np.float64))
        self._place = np.full(2**24, -1, np.int16)

    def index(self, picture: np.ndarray) -> Image.Image:
        """(height, width, 3) uint8 as an image of palette indices."""
        wide = picture.astype(np.uint32)
        codes = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        places = self._place[codes]
        new = np.unique(codes[places < 0])
        if len(new):
            self._place[new] = self._tree.query(np.stack([new >> 16, (new >> 8) & 255, new & 255], axis=1))[1]
            places = self._place[codes]
        image = Image.fromarray(places.astype(np.uint8))
        image.putpalette(self.colours.tobytes())
        return image


def write_gif(path: str | Path, frames: Iterator[np.ndarray], palette: Palette, count: int, fps: float) -> None:
    """`count` frames that repeat for ever, whole or not at all; where `fps` is above 50, at 50."""
    images = map(palette.index, frames)
    with atomic_write(path) as file:
        first = next(images)
        first.save(file, "GIF", save_all=True, append_images=images, duration=_durations(count, fps), loop=0, optimize=True)


def _durations(count: int, fps: float) -> list[int]:
    """Milliseconds of each frame, whole hundredths of a second as GIF counts them: rounding where frames end, and not how long
    they are, keeps the average right."""
    ends = [max(_SHORTEST * n, round(100 * n / fps)) for n in range(count + 1)]
    return [min(10 * (end - start), _LONGEST) for start, end in itertools.pairwise(ends)]


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
