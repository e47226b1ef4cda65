"""The notebooks' figures, as pictures that a notebook shows: no state of matplotlib is touched."""

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from common.evaluation.calibration import Calibration
from common.geometry.skeleton import BONES, JOINT_NAMES
from common.rendering.layout import project
from common.rendering.outputs import contact_sheet
from common.rendering.renderer import Renderer
from common.rendering.scene import LEFT, RIGHT, SIDES, Scene

DOMAINS = {"surreal": ("SURREAL", "#E69F00", "o", "-"), "h36m": ("H3.6M", "#009E73", "^", "--")}
"""Name, colour (of Okabe and Ito's set, neither a side's), marker and line of each domain."""

_DPI = 130
_GREY = "0.45"
_VISIBLE = 0.012
"""Metres: closer joints are drawn without a line between them."""


def picture(figure: Figure) -> Image.Image:
    """A figure in 256 colours, which keeps notebooks small."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_fontsize(8.5)
        axes.yaxis.label.set_fontsize(8.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png")
    return Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def frames_of(scene: Scene, frames: Sequence[int], inches: float = 3.0) -> Image.Image:
    """Some frames of a scene, below each other."""
    renderer = Renderer(scene, inches, _DPI)
    sheet = contact_sheet(list(renderer.frames(sorted(frames))), renderer.layout)
    return sheet.quantize(256, dither=Image.Dither.NONE)


def errors_figure(errors_mm: np.ndarray, expected_mm: np.ndarray, missing: np.ndarray | None = None) -> Image.Image:
    """True and expected errors (T, 16), as means of joints and of frames; frames with missing joints are shaded."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    by_joint, by_frame = figure.subplots(1, 2, width_ratios=(1, 1.25))
    at = np.arange(1, len(JOINT_NAMES))
    by_joint.hlines(at, errors_mm.mean(0)[1:], expected_mm.mean(0)[1:], color="0.75", linewidth=1.5, zorder=1)
    by_joint.scatter(errors_mm.mean(0)[1:], at, s=26, color=[SIDES[j] for j in at], zorder=2)
    by_joint.scatter(expected_mm.mean(0)[1:], at, s=26, facecolor="white", edgecolor=[SIDES[j] for j in at], zorder=2)
    by_joint.set_yticks(at, [JOINT_NAMES[j] for j in at])
    by_joint.set(xlabel="mean error over the clip, mm", xlim=(0, None), ylim=(len(JOINT_NAMES) - 0.5, 0.5))
    _full_and_open(by_joint, "true", "expected")
    by_frame.plot(errors_mm.mean(1), color="black", linewidth=1.4, label="true (MPJPE)")
    by_frame.plot(expected_mm.mean(1), color=_GREY, linewidth=1.4, linestyle="--", label="expected (uncertainty_mm)")
    if missing is not None and missing.any():
        shaded = np.asarray(missing.any(axis=1))
        by_frame.fill_between(np.arange(len(errors_mm)), 0, 1, shaded, transform=by_frame.get_xaxis_transform(), color="0.9")
    by_frame.set(xlabel="frame", ylabel="mean of 16 joints, mm", ylim=(0, None), xlim=(0, len(errors_mm) - 1))
    by_frame.legend(frameon=False, fontsize=8)
    return picture(figure)


def calibration_figure(calibrations: Mapping[str, Calibration]) -> Image.Image:
    """{unit of the uncertainty: calibration}: from what a head says to the error that its validation split had."""
    figure = Figure(figsize=(4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    heads = {"relative": ("relative head", "#0072B2", "o"), "metres": ("nll head", "#D55E00", "s")}
    top = 0.0
    for unit, calibration in calibrations.items():
        name, colour, marker = heads[unit]
        axes.plot(calibration.raw_mm, calibration.error_mm, color=colour, marker=marker, markersize=3, linewidth=1.2, label=name)
        top = max(top, *calibration.raw_mm, *calibration.error_mm)
        # A standard deviation along an axis is not a length yet: the mean length of a Gaussian vector in 3D is 1.6 times as much.
        slope = 1.0 if unit == "relative" else math.sqrt(8 / math.pi)
        axes.axline((0, 0), slope=slope, color=colour, linewidth=0.9, linestyle="--", zorder=0)
    axes.set(xlim=(0, 1.04 * top), ylim=(0, 1.04 * top), aspect="equal")
    axes.set(xlabel="raw output of the head, mm", ylabel="error in validation, mm")
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    return picture(figure)


def skeletons_figure(h36m: np.ndarray, smpl: np.ndarray, converted: np.ndarray) -> Image.Image:
    """One body in Human3.6M's joints, and in SMPL's as they are and converted; (16, 3) each, axes of `common.rendering.scene.upright`."""
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = ("as labelled", "as labelled, from the side", "SMPL's through the converter")
    everything = np.stack([h36m, smpl])
    for axes, title, other, azimuth in zip(panels, titles, (smpl, smpl, converted), (20.0, 110.0, 20.0)):
        (a, b), _ = project(np.stack([h36m, other]), azimuth, 8.0)
        _skeleton(axes, a, filled=True)
        _skeleton(axes, b, filled=False)
        apart = np.linalg.norm(a - b, axis=-1) > _VISIBLE
        axes.plot(*np.stack([a, b], axis=-1)[apart].transpose(1, 2, 0), color="black", linewidth=1.2, zorder=6)
        planes = project(everything, azimuth, 8.0)[0].reshape(-1, 2)
        middle, reach = (planes.min(0) + planes.max(0)) / 2, np.ptp(planes[:, 1]) / 2 + 0.14
        axes.set(xlim=(middle[0] - 0.62 * reach, middle[0] + 0.62 * reach), ylim=(middle[1] + reach, middle[1] - reach))
        axes.set(aspect="equal")
        # Not a title, which the layout would push out of a picture of axes that are off.
        axes.text(0.5, 1, title, transform=axes.transAxes, ha="center", va="top", fontsize=9.5)
        axes.set_axis_off()
    handles = [
        panels[0].plot([], [], color=_GREY, marker="o", markerfacecolor=_GREY, linewidth=2.2)[0],
        panels[0].plot([], [], color=_GREY, marker="o", markerfacecolor="white", linewidth=1.2, linestyle="--")[0],
        panels[0].plot([], [], color="black", linewidth=1.2)[0],
        panels[0].plot([], [], color=LEFT, linewidth=3)[0],
        panels[0].plot([], [], color=RIGHT, linewidth=3)[0],
    ]
    names = ["Human3.6M's joints", "SMPL's joints", "from one to the other", "left", "right"]
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return picture(figure)


def _full_and_open(axes: Axes, full: str, open_: str) -> None:
    """A legend above the axes for full and open circles, whose colours are the sides'."""
    circles = {full: _GREY, open_: "white"}
    handles = [axes.scatter([], [], s=28, facecolor=face, edgecolor=_GREY) for face in circles.values()]
    axes.legend(handles, list(circles), frameon=False, fontsize=8.5, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def _skeleton(axes: Axes, plane: np.ndarray, filled: bool) -> None:
    for parent, child in BONES:
        style = {"linewidth": 2.6, "alpha": 0.55} if filled else {"linewidth": 1.3, "linestyle": "--"}
        axes.plot(*plane[[parent, child]].T, color=SIDES[child], zorder=3 if filled else 4, **style)
    axes.scatter(
        plane[:, 0], plane[:, 1], s=30, color=list(SIDES) if filled else "white", edgecolor=list(SIDES), linewidth=1.2, zorder=5
    )


def misalignment_figure(before_mm: np.ndarray, after_mm: np.ndarray) -> Image.Image:
    """(16,) mean distances between the skeletons' joints, before and after the converter."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    at = np.arange(1, len(JOINT_NAMES))
    axes.hlines(at, after_mm[1:], before_mm[1:], color="0.75", linewidth=1.5, zorder=1)
    axes.scatter(before_mm[1:], at, s=30, color=[SIDES[j] for j in at], zorder=2)
    axes.scatter(after_mm[1:], at, s=30, facecolor="white", edgecolor=[SIDES[j] for j in at], zorder=2, clip_on=False)
    axes.set_yticks(at, [JOINT_NAMES[j] for j in at])
    axes.set(
        xlabel="mean distance between the two skeletons, hips aligned, mm", xlim=(0, None), ylim=(len(JOINT_NAMES) - 0.5, 0.5)
    )
    _full_and_open(axes, "as labelled", "through the converter")
    return picture(figure)


def distributions_figure(values: Mapping[str, Mapping[str, np.ndarray]]) -> Image.Image:
    """{domain: `common.adaptation.domain_gap.quantities`}: where roots are seen, and how large bodies are, how far away, how tilted cameras are."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    ((roots, height), (depth, thigh)) = figure.subplots(2, 2)
    for domain, of in values.items():
        name, colour, marker, _ = DOMAINS[domain]
        x, y = of["2D root, x"], of["2D root, y"]
        roots.scatter(x, y, s=7, color=colour, marker=marker, alpha=0.35, linewidth=0, label=name)
    roots.set(xlabel="2D root, x", ylabel="2D root, y", xlim=(-1, 1), ylim=(0.7, -0.7))
    roots.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    roots.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    for handle in roots.legend(frameon=False, fontsize=8.5, markerscale=2, loc="upper right").legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    for axes, quantity in ((height, "2D height of the body"), (depth, "root depth, m"), (thigh, "thigh, mm")):
        both = np.concatenate([of[quantity] for of in values.values()])
        low, high = np.percentile(both, (0.2, 99.8))
        edges = np.linspace(low, high, 41)
        for domain, of in values.items():
            name, colour, _, line = DOMAINS[domain]
            counts, _ = np.histogram(of[quantity], edges)
            share = 100 * counts / len(of[quantity])
            axes.stairs(share, edges, color=colour, linewidth=1.8, linestyle=line, label=name)
            axes.stairs(share, edges, color=colour, alpha=0.15, fill=True)
        axes.set(xlabel=quantity, ylabel="poses, %", ylim=(0, None), xlim=(edges[0], edges[-1]))
    height.legend(frameon=False, fontsize=8.5)
    return picture(figure)


def planes_figure(planes: Mapping[str, tuple[Mapping[str, np.ndarray], str]]) -> Image.Image:
    """{title: ({domain: (N, 2)}, subtitle)}: a scatter plot each, two in a row, each scaled by itself; the outermost points may lie outside."""
    rows = (len(planes) + 1) // 2
    figure = Figure(figsize=(8.4, 3.1 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, (title, (points, subtitle)) in zip(grid, planes.items()):
        both = np.concatenate(list(points.values()))
        # Interleaved, or the domain that is drawn last would cover the other.
        order = np.random.default_rng(0).permutation(len(both))
        colours = np.concatenate([[DOMAINS[domain][1]] * len(of) for domain, of in points.items()])
        low, high = np.percentile(both, 0.5, axis=0), np.percentile(both, 99.5, axis=0)
        axes.scatter(*both[order].T, s=9, c=colours[order], alpha=0.6, linewidth=0)
        for domain, of in points.items():
            name, colour, marker, _ = DOMAINS[domain]
            axes.scatter(*of.mean(0), s=110, color=colour, marker=marker, edgecolor="black", linewidth=1.3, zorder=3, label=name)
        room = 0.06 * (high - low)
        axes.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]), xticks=[], yticks=[])
        axes.set(xlabel="first principal axis", ylabel="second")
        axes.set_title(f"{title}\n{subtitle}", fontsize=9)
    for axes in grid[len(planes) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles, [f"{label}, large: mean" for label in labels], loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return picture(figure)
