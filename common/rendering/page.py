"""A `Scene` as one HTML page, `scene.html` filled: skeletons to turn with the mouse and to scrub in time, offline."""

import base64
import html
import io
import json
import math
import re
from pathlib import Path

import matplotlib
import numpy as np

from common.geometry.skeleton import BONES, JOINT_NAMES
from common.rendering.layout import AZIMUTH, ELEVATION, HEIGHT, Layout
from common.rendering.renderer import cut
from common.rendering.scene import COLOUR_MAP, GRID, SIDES, Scene

_TEMPLATE = Path(__file__).with_name("scene.html")
_DPI = 96  # of an inch in a browser
_IMAGE_SIDE = 480  # pixels of a video frame in the page


def page(scene: Scene, inches: float) -> str:
    """The page's text. It loads nothing from anywhere, and what it shows of names is escaped.

    Raises:
        DuaError: the video under the 2D joints ends too early or is damaged.
    """
    layout = Layout(scene, inches, _DPI)
    x, y, side = layout.region
    data = {
        "panels": [
            {
                "title": panel.title,
                "subtitle": panel.subtitle,
                "poses": _integers(scene.standing(panel) * 1000),
                "uncertainty": None if panel.uncertainty is None else _integers(panel.uncertainty * 10),
            }
            for panel in scene.panels
        ],
        "input": {
            "title": scene.title,
            "subtitle": scene.subtitle,
            "joints": _rows(np.round((scene.joints_2d - (x, y)) / side, 4)),
            "images": _images(scene, layout.region) if scene.images is not None else None,
        },
        "range": scene.uncertainty_range,
        "label": scene.uncertainty_label,
        "colours": [matplotlib.colors.to_hex(c) for c in matplotlib.colormaps[COLOUR_MAP](np.linspace(0, 1, 64))],
        "people": scene.people,
        "head": JOINT_NAMES.index("Head"),
        "bones": BONES,
        "sides": SIDES,
        "fps": scene.fps,
        "step": scene.step,
        "first": scene.first,
        "grid": GRID,
        "floor": layout.floor,
        "side": layout.side,
        "view": {"azimuth": AZIMUTH, "elevation": ELEVATION, "distance": layout.distance, "height": HEIGHT},
    }
    # No '<' in the data, so that no name can end the script element or begin another.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    title = html.escape(" - ".join(filter(None, (scene.subtitle, scene.title))))
    # ASCII alone: a name of a file may hold what no encoding does.
    fields = {"title": title.encode("ascii", "xmlcharrefreplace").decode(), "data": text}
    return re.sub(r"{{(\w+)}}", lambda match: fields[match[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _integers(values: np.ndarray) -> list[list[int | None]]:
    """(T, ...) as rows of whole numbers, which keeps the page small."""
    return [[None if value is None else int(value) for value in row] for row in _rows(np.round(values))]


def _rows(values: np.ndarray) -> list[list[float | None]]:
    """(T, ...) as rows, None for NaN, which JSON does not know: of somebody who is not there."""
    flat = values.reshape(len(values), -1)
    return [[None if math.isnan(value) else value for value in row] for row in flat.tolist()]


def _images(scene: Scene, region: tuple[float, float, float]) -> list[str]:
    """The shown region of each video frame, a JPEG in a data address."""
    assert scene.images is not None
    return [_jpeg(image, scene.resolution, region) for image in scene.images]


def _jpeg(image: np.ndarray, resolution: tuple[int, int], region: tuple[float, float, float]) -> str:
    buffer = io.BytesIO()
    cut(image, resolution, region, _IMAGE_SIDE).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
