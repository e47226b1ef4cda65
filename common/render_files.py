"""A `Scene` as a file: .gif, .mp4, .png or .html, each written whole or not at all."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from common.errors import DuaError
from common.files import atomic_write, write_text
from common.page import page
from common.render import Renderer
from common.scene import Scene
from common.signals import watch_for_stop
from common.video import write_mp4

ENDINGS = (".gif", ".mp4", ".png", ".html")

_DPI = 100
_DPI_PRINT = 200  # of the contact sheet, which goes into papers
_SHEET_ROWS = 5
_PALETTE_FRAMES = 8
_FREQUENT_COLOURS = 32
_GIF_SHORTEST = 2  # hundredths of a second: browsers slow down what is faster


def check_output(path: str | Path) -> None:
    """Raise a `DuaError` unless a rendering can be written to `path`: before anything is computed for it."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise DuaError(f"{path}: the ending says what is made, it can be {', '.join(ENDINGS)}")
    if path.is_dir():
        raise DuaError(f"{path} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise DuaError(f"the folder {path.parent} of the output does not exist; make it, or choose another")
    if not os.access(path.parent, os.W_OK):
        raise DuaError(f"the folder {path.parent} cannot be written; choose another")


def write_scene(path: str | Path, scene: Scene, inches: float = 3.0, kilobits: int | None = None) -> None:
    """Render `scene` into `path` as its ending says; Ctrl-C or SIGTERM leaves the file that was there before, or none.

    Args:
        inches: side of a panel, at 100 pixels an inch (.png: 200).
        kilobits: a second, of an MP4; None for high quality.

    Raises:
        DuaError: see `check_output`; the video under the 2D joints is too short; the disk is full.
        KeyboardInterrupt: it was stopped.
    """
    check_output(path)
    ending = Path(path).suffix.lower()
    if ending == ".html":
        write_text(path, page(scene, inches))
        return
    renderer = Renderer(scene, inches, _DPI_PRINT if ending == ".png" else _DPI)
    indices = _spread(len(scene), _SHEET_ROWS) if ending == ".png" else list(range(len(scene)))
    with watch_for_stop() as stopped:

        def frames() -> Iterator[np.ndarray]:
            for frame in tqdm(renderer.frames(indices), Path(path).name, len(indices), unit="frame", disable=None):
                if stopped():
                    raise KeyboardInterrupt
                yield frame

        if ending == ".gif":
            sample = np.stack(list(renderer.frames(_spread(len(scene), _PALETTE_FRAMES))))
            _write_gif(path, frames(), _palette(sample, renderer.colours), _durations(len(scene), scene.fps))
        elif ending == ".mp4":
            write_mp4(path, frames(), renderer.layout.size, scene.fps, kilobits)
        else:
            _write_sheet(path, list(frames()), renderer)


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` places from the first of `count` to the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, wanted)).tolist()})


def _durations(count: int, fps: float) -> list[int]:
    """Milliseconds of each frame of a GIF, which counts in hundredths of a second: rounding where frames end, and not how
    long they are, keeps the average right."""
    ends = [max(_GIF_SHORTEST * n, round(100 * n / fps)) for n in range(count + 1)]
    return [10 * (end - start) for start, end in itertools.pairwise(ends)]


def _write_gif(path: str | Path, frames: Iterator[np.ndarray], palette: Image.Image, durations: list[int]) -> None:
    """One palette for all frames and no dithering: nothing flickers."""
    indexed = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    with atomic_write(path) as file:
        first = next(indexed)
        first.save(file, "GIF", save_all=True, append_images=indexed, duration=durations, loop=0, optimize=True)


def _palette(sample: np.ndarray, exact: np.ndarray) -> Image.Image:
    """At most 255 colours for pictures like `sample` (n, height, width, 3): the `exact` ones (k, 3) and the most frequent as
    they are, the others (smoothed edges, a video) by median cut.

    Of the others each counts once; by their pixels, the greys of the floor would take nearly all.
    """
    colours, counts = np.unique(sample.reshape(-1, 3), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    chosen = np.concatenate([exact, colours[order[:_FREQUENT_COLOURS]]])
    others = colours[order[_FREQUENT_COLOURS:]]
    if len(others):
        cut = Image.fromarray(others[None]).quantize(255 - len(chosen), Image.Quantize.MEDIANCUT).getpalette() or []
        chosen = np.concatenate([chosen, np.array(cut, np.uint8).reshape(-1, 3)[: 255 - len(chosen)]])
    palette = Image.new("P", (1, 1))
    palette.putpalette(chosen.tobytes())
    return palette


def _write_sheet(path: str | Path, frames: list[np.ndarray], renderer: Renderer) -> None:
    """The frames below each other, with titles and legend once."""
    layout = renderer.layout
    bodies = [frame[layout.top : -layout.bottom] for frame in frames]
    sheet = np.concatenate([frames[0][: layout.top], *bodies, frames[0][-layout.bottom :]])
    with atomic_write(path) as file:
        Image.fromarray(sheet).save(file, "PNG", optimize=True, dpi=(layout.dpi, layout.dpi))
