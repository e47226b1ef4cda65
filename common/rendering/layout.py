"""Where things stand in a rendering: the fixed camera of the 3D panels, and the layout of a picture in pixels."""

import math
from dataclasses import dataclass

import numpy as np

from common.rendering.scene import Scene

AZIMUTH, ELEVATION = 28.0, 14.0
"""Degrees: beside and above the camera of the input, since from its own place errors in depth cannot be seen."""
DISTANCE, HEIGHT = 6.0, 0.9
"""Metres: from the viewer to the body, and the height that is looked at."""
_STEP_BACK = 1.5
"""Metres further that the viewer stands for each that somebody is away from the middle."""
FLOOR = 1.8
"""Metres from a hip at which the floor's grid has faded away."""


def project(
    points: np.ndarray, azimuth: float = AZIMUTH, elevation: float = ELEVATION, distance: float = DISTANCE
) -> tuple[np.ndarray, np.ndarray]:
    """(..., 3) points (x right, y away, z up from the floor) to (..., 2) on the picture plane, x right and y *down*, in
    metres at the body's distance, and (...) depth, larger further away."""
    a, e = math.radians(azimuth), math.radians(elevation)
    x, y, z = points[..., 0], points[..., 1], points[..., 2] - HEIGHT
    right = x * math.cos(a) + y * math.sin(a)
    away = y * math.cos(a) - x * math.sin(a)
    up = z * math.cos(e) + away * math.sin(e)
    depth = away * math.cos(e) - z * math.sin(e)
    # A pose that is far off must not come behind the viewer.
    scale = distance / np.maximum(distance + depth, distance / 4)
    return np.stack([right * scale, -up * scale], axis=-1), depth


@dataclass(frozen=True)
class Fit:
    """Picture plane to pixels of a panel: `scale` pixels a metre, the same along both axes, then `offset`."""

    scale: float
    offset: tuple[float, float]

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        return plane * self.scale + np.array(self.offset)


def fit(plane: np.ndarray, side: float, margin: float) -> Fit:
    """The largest `Fit` that keeps all points (..., 2) in a square of `side` pixels, `margin` away from its edges."""
    low, high = np.nanmin(plane.reshape(-1, 2), axis=0), np.nanmax(plane.reshape(-1, 2), axis=0)
    scale = (side - 2 * margin) / max(float((high - low).max()), 1e-6)
    x, y = side / 2 - scale * (low + high) / 2
    return Fit(scale, (float(x), float(y)))


def square_around(points: np.ndarray, margin: float) -> tuple[float, float, float]:
    """(x, y, side) of the square around all points (..., 2), with a share `margin` of its side left free at each edge."""
    low, high = np.nanmin(points.reshape(-1, 2), axis=0), np.nanmax(points.reshape(-1, 2), axis=0)
    side = max(float((high - low).max()), 1e-6) / (1 - 2 * margin)
    x, y = (low + high) / 2 - side / 2
    return float(x), float(y), side


class Layout:
    """Places and sizes in the pictures of a scene: a strip of titles, the panels side by side, a strip with the legend.

    Args:
        inches: side of a panel.
        dpi: pixels an inch.

    Attributes:
        side: of a panel in pixels; even, as video encoders want it.
        unit: pixels for each of the 300 that sizes are given for.
        top, bottom: heights of the two strips.
        size: width and height of a picture.
        inset, inner: place and side of the input picture in its panel.
        region: square of the input that is shown, (x, y, side) in its pixels.
        distance: metres from the viewer to the middle.
        floor: metres from the middle at which the floor's grid has faded away.
        bodies: (T, P, 16, 2) on the picture plane and (T, P, 16) depths of each 3D panel.
        shadows: (T, P, 16, 2) on the picture plane.
        fit: picture plane to pixels, one for all 3D panels and frames, with room for every limb.
    """

    def __init__(self, scene: Scene, inches: float, dpi: int) -> None:
        self.dpi = dpi
        self.side = _even(inches * dpi)
        self.unit = self.side / 300
        self.top, self.bottom = _even(42 * self.unit), _even(40 * self.unit)
        self.size = self.side * (1 + len(scene.panels)), self.top + self.side + self.bottom
        self.inset = 8 * self.unit
        self.inner = self.side - 2 * self.inset
        self.region = square_around(scene.joints_2d, margin=0.12)
        self.distance, self.floor = DISTANCE + _STEP_BACK * scene.spread, FLOOR + scene.spread
        self.bodies = [self.project(scene.standing(panel)) for panel in scene.panels]
        self.shadows = [self.project(scene.standing(panel) * np.array([1.0, 1.0, 0.0]))[0] for panel in scene.panels]
        everything = np.concatenate([plane for plane, _ in self.bodies] + self.shadows)
        self.fit = fit(everything, self.side, margin=14 * self.unit)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`project`, from where the scene is looked at."""
        return project(points, distance=self.distance)

    def points(self, size: float) -> float:
        """A size in units as points, matplotlib's measure of text and lines."""
        return size * self.unit * 72 / self.dpi


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)
