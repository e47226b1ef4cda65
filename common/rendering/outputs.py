"""A `Scene` as a file: .gif, .mp4, .png or .html, each written whole or not at all."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from common.compute.signals import watch_for_stop
from common.errors import DuaError
from common.files.writing import atomic_write, write_text
from common.rendering.encoders import Film, write_film
from common.rendering.layout import Layout
from common.rendering.scene import Scene

ENDINGS = (".gif", ".mp4", ".png", ".html")

_DPI = 100
_DPI_PRINT = 200  # of the contact sheet, which goes into papers
_SHEET_ROWS = 5
_PALETTE_FRAMES = 8


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
    # What draws with matplotlib is imported here, not above: who only checks a name of a file need not wait for it.
    if ending == ".html":
        from common.rendering.page import page

        write_text(path, page(scene, inches))
        return
    from common.rendering.renderer import Renderer

    renderer = Renderer(scene, inches, _DPI_PRINT if ending == ".png" else _DPI)
    indices = _spread(len(scene), _SHEET_ROWS) if ending == ".png" else list(range(len(scene)))
    with watch_for_stop() as stopped:

        def frames() -> Iterator[np.ndarray]:
            for frame in tqdm(
                renderer.frames(indices), Path(path).name, len(indices), unit="frame", disable=None if sys.stderr else True
            ):
                if stopped():
                    raise KeyboardInterrupt
                yield frame

        def sample() -> np.ndarray:
            return np.stack(list(renderer.frames(_spread(len(scene), _PALETTE_FRAMES))))

        if ending != ".png":
            film = Film(len(scene), scene.fps, renderer.layout.size, sample, renderer.colours, kilobits)
            write_film(path, frames(), film)
        else:
            dpi = renderer.layout.dpi
            sheet = contact_sheet(list(frames()), renderer.layout)
            with atomic_write(path) as file:
                sheet.save(file, "PNG", optimize=True, dpi=(dpi, dpi))


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` places from the first of `count` to the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, wanted)).tolist()})


def contact_sheet(frames: Sequence[np.ndarray], layout: Layout) -> Image.Image:
    """Frames of one rendering below each other, with titles and legend once."""
    bodies = [frame[layout.top : -layout.bottom] for frame in frames]
    return Image.fromarray(np.concatenate([frames[0][: layout.top], *bodies, frames[0][-layout.bottom :]]))
