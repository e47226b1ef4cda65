"""What a rendering shows, free of how it is drawn: 2D input, 3D panels, colours, titles. Scripts fill a `Scene` and hand it on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from common.geometry.camera import Camera
from common.geometry.skeleton import JOINTS_LEFT, JOINTS_RIGHT, NUM_JOINTS, ROOT

# Blue and vermillion of Okabe and Ito's set, which colour-blind readers tell apart; the trunk is neither.
LEFT, RIGHT, MIDDLE = "#0072B2", "#D55E00", "#4A4A4A"
SIDES = tuple(LEFT if j in JOINTS_LEFT else RIGHT if j in JOINTS_RIGHT else MIDDLE for j in range(NUM_JOINTS))
"""Colour of each joint, and of the bone that ends in it."""
COLOUR_MAP = "RdPu"
"""Of the uncertainty: from pale to dark, so that it reads without colour, and none of its colours is a side's."""

GRID = 0.5
"""Metres between two lines of the floor."""
_SETTLE = 0.05  # seconds over which the hip's height is smoothed


class Images(Protocol):
    """Pictures that lie under the 2D joints, frame by frame (`common.rendering.video.Video`)."""

    def __iter__(self) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Panel:
    """One 3D skeleton over time, or those of several people.

    Shape:
        poses_3d (T, 16, 3), or (T, P, 16, 3) of P people, NaN in frames that somebody is not in: metres in the axes of `upright`,
        hips at height 0 and, of one who does not walk, at the origin; uncertainty (T, 16) or (T, P, 16) in the scene's `unit`, or None.
    """

    title: str
    poses_3d: np.ndarray
    subtitle: str = ""
    uncertainty: np.ndarray | None = None
    truth: bool = False
    """Whether it is a label: where there is one, it says how high above the floor everybody's hip is."""


@dataclass(frozen=True)
class Scene:
    """A clip: the 2D input at the left, then the panels.

    Shape:
        joints_2d (T, 16, 2) or (T, P, 16, 2) pixels in an image of `resolution` (width, height).
    """

    title: str
    joints_2d: np.ndarray
    resolution: tuple[int, int]
    panels: tuple[Panel, ...]
    fps: float
    subtitle: str = ""
    unit: str = "%"
    """Of the uncertainty: '%' of relative error, or 'mm'."""
    step: int = 1
    """Frames of the recording from one of the T to the next, so that the counter shows the recording's."""
    first: int = 0
    """The recording's frame that is the first of the T."""
    images: Images | None = None
    people: tuple[str, ...] = ("",)
    """What each of the P people is called; written above heads where there are several."""

    def __post_init__(self) -> None:
        for panel in self.panels:
            assert panel.poses_3d.shape == (*self.joints_2d.shape[:-1], 3), panel.poses_3d.shape
            assert panel.uncertainty is None or panel.uncertainty.shape == self.joints_2d.shape[:-1], panel.title
        assert self.joints_2d[0].size == len(self.people) * NUM_JOINTS * 2, self.joints_2d.shape

    def __len__(self) -> int:
        return len(self.joints_2d)

    def by_person(self, values: np.ndarray) -> np.ndarray:
        """(T, 16, ...) or (T, P, 16, ...) as (T, P, 16, ...)."""
        return values.reshape(len(self), len(self.people), NUM_JOINTS, *values.shape[self.joints_2d.ndim - 1 :])

    @cached_property
    def hip_heights(self) -> np.ndarray:
        """(T, P) metres of the hip above the floor, the same in all panels, so that skeletons stay aligned at the hip.

        Networks do not predict where the hip is. The lowest joint stands on the floor: the label's, or without a label the
        median prediction's. Smoothed a little, or the noise of a predicted foot would shake the whole body.
        """
        from scipy.ndimage import gaussian_filter1d  # here, not above: scripts that do without it need not wait

        chosen = [panel for panel in self.panels if panel.truth] or list(self.panels)
        lowest = np.median([self.by_person(panel.poses_3d)[..., 2].min(axis=2) for panel in chosen], axis=0).astype(np.float64)
        for person in lowest.T:
            there = np.isfinite(person)
            person[there] = gaussian_filter1d(person[there], sigma=_SETTLE * self.fps, mode="nearest")
        return -lowest

    def standing(self, panel: Panel) -> np.ndarray:
        """(T, P, 16, 3) of a panel with the floor at z = 0."""
        return self.by_person(panel.poses_3d) + self.hip_heights[..., None, None] * np.array([0.0, 0.0, 1.0])

    @cached_property
    def spread(self) -> float:
        """Metres from the origin to the hip that is farthest from it: 0 where nobody walks."""
        hips = [self.by_person(panel.poses_3d)[:, :, ROOT, :2] for panel in self.panels]
        return float(np.nanmax(np.linalg.norm(hips, axis=-1))) if hips else 0.0

    @cached_property
    def uncertainty_range(self) -> tuple[float, float] | None:
        """Ends of the colour bar, round numbers, or None without an uncertainty. One joint in twenty may lie above or below."""
        values = [np.delete(p.uncertainty, ROOT, axis=-1).ravel() for p in self.panels if p.uncertainty is not None]
        if not values:
            return None
        low, high = np.nanpercentile(np.concatenate(values), (5, 95))
        step = 10 ** math.floor(math.log10(max(high - low, 1e-3)))
        step = step / 2 if (high - low) / step < 3 else step
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        return low, max(high, low + step)

    @property
    def uncertainty_label(self) -> str:
        return "predicted relative error, %" if self.unit == "%" else f"predicted error, {self.unit}"


def upright(poses_3d: np.ndarray, camera: Camera | None = None) -> np.ndarray:
    """Camera axes (x right, y down, z forward) to x right, y away from the camera, z up, by the camera's orientation.

    Args:
        poses_3d: (..., 3) metres from the hip.
        camera: with its orientation in a world whose z points up (Human3.6M's); None for a camera held level (SURREAL's).
    """
    if camera is None:
        level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
        return poses_3d @ level.T
    rotation = camera.rotation()
    forward = rotation @ np.array([0.0, 0.0, 1.0])
    y = np.array([forward[0], forward[1], 0.0]) / math.hypot(forward[0], forward[1])
    x = np.array([y[1], -y[0], 0.0])
    return poses_3d @ (np.stack([x, y, [0.0, 0.0, 1.0]]) @ rotation).T
