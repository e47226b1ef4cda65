"""The picture of `benchmarks/real_people.py`: a network's poses over the reference, as each camera sees them and from the side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.lines import Line2D

from benchmarks.real_clip import JOINTS, Clip, compared
from common.evaluation.metrics import p_mpjpe
from common.figures import COLOURS, PAPER, WIDTHS, printable, save, subplots
from common.geometry.camera import Camera, camera_to_world, project_to_2d

_LIMBS = (("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist"))
_MARGIN = 1.12


@dataclass(frozen=True)
class _Style:
    """Of a body: colours of left, right and middle, and how lines are drawn."""

    colours: tuple[str, str, str]
    shape: dict[str, Any]


_REFERENCE = _Style(("#a9d0ea", "#f3c09a", "#cccccc"), {"linewidth": 5.0})
_OURS = _Style((COLOURS[0], COLOURS[1], "#222222"), {"linewidth": 1.3, "marker": "o", "markersize": 2.4})
"""Pale tints of the same colours beneath, so that sides are told apart in both; widths tell them in print in grey."""


def draw(stem: Path, clip: Clip, poses_3d: np.ndarray, name: str, errors_mm: Sequence[float]) -> None:
    """Write `stem`.png and .pdf: of one frame, a column for each camera; above the picture that it saw, below the same from the side.

    Ours stands where the reference's hip is. The frame is the one whose P-MPJPE, mean of the cameras, is the median of those with all joints.

    Args:
        poses_3d: (C, T, 13, 3) metres in the cameras' axes.
        name: whose they are.
        errors_mm: P-MPJPE before each camera, of the whole clip.
    """
    frame, here = typical_frame(clip, poses_3d)
    seen, sides = [], []
    for i, camera in enumerate(clip.cameras):
        truth = clip.before(i)[frame]
        bodies = truth, poses_3d[i, frame] - poses_3d[i, frame, 0] + truth[0]
        seen.append([project_to_2d(body, camera) * (1, -1) for body in bodies])  # drawn with y up
        sides.append([_from_the_side(camera_to_world(body, camera), camera) for body in bodies])
    windows = [_windows(row, one_height) for row, one_height in ((seen, False), (sides, True))]
    across = (WIDTHS["page"] - 0.5) / len(clip.cameras)
    tall = [across * np.ptp(y) / np.ptp(x) for (x, y), *_ in windows]  # inches
    with matplotlib.rc_context(PAPER):
        figure, grid = subplots(2, len(clip.cameras), (WIDTHS["page"], sum(tall) + 1.3), height_ratios=tall)
        for axes, row, frames in zip(grid, (seen, sides), windows, strict=True):
            for axis, (reference, ours), (x, y) in zip(axes, row, frames, strict=True):
                _body(axis, reference, _REFERENCE)
                _body(axis, ours, _OURS)
                axis.set(xlim=x, ylim=y, aspect="equal")
        for i, (above, below) in enumerate(grid.T):
            above.set_title(f"camera {i + 1}: {here[i]:.0f} mm\n({errors_mm[i]:.0f} mm in the whole clip)")
            above.set(xticks=[], yticks=[])
            above.spines[:].set(visible=True, color="#999999")
            below.set_xlabel("away from the camera, m")
            below.grid(color="#e8e8e8", linewidth=0.5)
            below.set_axisbelow(True)
            below.tick_params(labelleft=i == 0)
        grid[0][0].set_ylabel("what the camera sees")
        grid[1][0].set_ylabel("from the side: height, m")
        figure.suptitle(printable(f"{name}: P-MPJPE in frame {frame} of {len(clip.frames)}", 110), fontsize=8)
        styles = {"reference": _REFERENCE, "lifted": _OURS}
        sides_of = [(f"{whose}, {side}", style, i) for whose, style in styles.items() for i, side in enumerate(("left", "right"))]
        handles = [Line2D([], [], color=style.colours[i], **style.shape) for _, style, i in sides_of]
        names = [name for name, _, _ in sides_of]
        figure.legend(handles, names, loc="outside lower center", ncols=4)
        save(figure, stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf"), dpi=200)


def typical_frame(clip: Clip, poses_3d: np.ndarray) -> tuple[int, list[float]]:
    """The number of the frame that is shown, and P-MPJPE of the pose before each camera there, in millimetres."""
    errors = np.stack([1000 * p_mpjpe(*compared(clip, camera, poses)).numpy() for camera, poses in enumerate(poses_3d)])  # (C, F)
    whole = np.flatnonzero(clip.counted[clip.frames].all(axis=1))
    order = whole[np.argsort(errors[:, whole].mean(axis=0), kind="stable")]
    typical = order[len(order) // 2]
    return int(np.flatnonzero(clip.frames)[typical]), errors[:, typical].tolist()


def _from_the_side(body: np.ndarray, camera: Camera) -> np.ndarray:
    """(13, 3) in the world to (13, 2): metres from the hip along what is level of the camera's axis, and height."""
    away = camera.rotation()[:2, 2]
    return np.column_stack([(body - body[0])[:, :2] @ (away / np.linalg.norm(away)), body[:, 2]])


def _body(axis: Any, places: np.ndarray, style: _Style) -> None:
    """A skeleton of (13, 2) places."""
    joint = dict(zip(JOINTS, places, strict=True))
    neck = (joint["LShoulder"] + joint["RShoulder"]) / 2
    left, right, middle = style.colours
    lines = [
        ([joint["LHip"], joint["RHip"]], middle),
        ([joint["Hip"], neck], middle),
        ([joint["LShoulder"], joint["RShoulder"]], middle),
    ]
    lines += [([joint[side + part] for part in limb], colour) for side, colour in (("R", right), ("L", left)) for limb in _LIMBS]
    for line, colour in lines:
        axis.plot(*np.transpose(line), color=colour, solid_capstyle="round", solid_joinstyle="round", **style.shape)


def _windows(row: Sequence[Sequence[np.ndarray]], one_height: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Limits in x and y for each pair of bodies: of one size, around the middle of the pair, or at one height for all."""
    low, high = (np.stack([of(np.concatenate(pair), axis=0) for pair in row]) for of in (np.min, np.max))
    if one_height:
        low[:, 1], high[:, 1] = low[:, 1].min(), high[:, 1].max()
    middle, half = (low + high) / 2, _MARGIN * (high - low).max(axis=0) / 2
    return [(np.array([x - half[0], x + half[0]]), np.array([y - half[1], y + half[1]])) for x, y in middle]
