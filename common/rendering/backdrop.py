"""What stands still in a rendering, drawn once by matplotlib: titles, the input's frame, floors, legend, colour bar."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from common.figures import cut
from common.rendering.layout import Layout
from common.rendering.scene import COLOUR_MAP, GRID, LEFT, RIGHT, Scene

_INK, _SOFT = "#262626", "#6E6E6E"


def backdrop(scene: Scene, layout: Layout) -> Image.Image:
    """The picture without bodies. One unit of its axes is one pixel, y downwards."""
    width, height = layout.size
    figure = Figure(figsize=(width / layout.dpi, height / layout.dpi), dpi=layout.dpi, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    side = layout.side

    titles = [(scene.title, scene.subtitle)] + [(panel.title, panel.subtitle) for panel in scene.panels]
    above, below = zip(*titles, strict=True)
    for i, (title, subtitle) in enumerate(titles):
        middle = (i + 0.5) * side
        _text(axes, layout, middle, 14, title, 11.5, "bold", _INK, others=above)
        _text(axes, layout, middle, 31, subtitle, 10, "normal", _SOFT, others=below)
    place, inner = layout.inset, layout.inner
    axes.add_patch(Rectangle((place, layout.top + place), inner, inner, facecolor="#F7F7F7", edgecolor="#C8C8C8", linewidth=0.8))
    for i in range(len(scene.panels)):
        _floor(axes, layout, (i + 1) * side)
    _legend(axes, scene, layout)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _text(
    axes: Axes,
    layout: Layout,
    x: float,
    y: float,
    text: str,
    size: float,
    weight: str,
    colour: str,
    align: str = "center",
    others: Sequence[str] = (),
) -> None:
    """A line of text of `size` pixels at height `y`, both for a panel of 300; made smaller, then cut where it is as the `others`
    beside it, to fit the panel."""
    points = layout.points(size)
    # parse_math off: an action with a dollar sign is no formula.
    drawn = axes.text(
        x, y * layout.unit, text, fontsize=points, fontweight=weight, color=colour, ha=align, va="center", parse_math=False
    )
    room = layout.side - 12 * layout.unit
    wide = drawn.get_window_extent().width
    if wide > room:
        drawn.set_fontsize(points * max(0.75, room / wide))

    def fits(shown: str) -> bool:
        drawn.set_text(shown)
        return drawn.get_window_extent().width <= room

    cut(text, others, fits)  # the last that it tries


def _floor(axes: Axes, layout: Layout, left: float) -> None:
    """The floor's grid in the panel at `left`, fading outwards."""
    count = int(np.ceil(layout.floor / GRID))
    reach = np.arange(-count, count + 1) * GRID
    fine = np.arange(-layout.floor, layout.floor + 0.05, 0.05)
    segments, colours = [], []
    for fixed in reach:
        for along in range(2):
            line = np.zeros((len(fine), 3))
            line[:, along], line[:, 1 - along] = fine, fixed
            pixels = layout.fit(layout.project(line)[0]) + np.array([left, layout.top])
            middle = (line[1:] + line[:-1]) / 2
            fade = np.clip(1 - np.linalg.norm(middle[:, :2], axis=1) / layout.floor, 0, 1)
            segments += list(np.stack([pixels[:-1], pixels[1:]], axis=1))
            colours += [(0.55, 0.55, 0.55, float(alpha)) for alpha in fade]
    lines = LineCollection(segments, colors=colours, linewidths=layout.points(0.9))
    panel = Rectangle((left, layout.top), layout.side, layout.side, transform=axes.transData)
    axes.add_collection(lines, autolim=False)
    lines.set_clip_path(panel)  # after adding, which sets the axes' own


def _legend(axes: Axes, scene: Scene, layout: Layout) -> None:
    """The strip at the bottom: sides at the left, the colour bar at the right."""
    unit = layout.unit
    line = (layout.top + layout.side) / unit + 18
    x = layout.inset
    for colour, name in ((LEFT, "left"), (RIGHT, "right")):
        axes.plot([x, x + 18 * unit], [line * unit] * 2, color=colour, linewidth=layout.points(4.2), solid_capstyle="round")
        _text(axes, layout, x + 26 * unit, line, name, 10, "normal", _INK, "left")
        x += 72 * unit
    _text(axes, layout, x, line, f"floor: {GRID} m squares", 10, "normal", _SOFT, "left")
    if scene.uncertainty_range is None:
        return
    low, high = scene.uncertainty_range
    right = layout.size[0] - 24 * unit
    left, bar, tall = right - 150 * unit, (line - 11) * unit, 9 * unit
    ramp = np.linspace(0, 1, 256)[None]
    axes.imshow(ramp, cmap=matplotlib.colormaps[COLOUR_MAP], extent=(left, right, bar + tall, bar), aspect="auto", zorder=2)
    axes.add_patch(Rectangle((left, bar), right - left, tall, fill=False, edgecolor=_SOFT, linewidth=0.6, zorder=3))
    axes.set(xlim=(0, layout.size[0]), ylim=(layout.size[1], 0))  # imshow has set them to its picture
    for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high):
        if low <= tick <= high:
            x = left + (tick - low) / (high - low) * (right - left)
            axes.plot([x, x], [bar + tall, bar + tall + 3 * unit], color=_SOFT, linewidth=0.6)
            _text(axes, layout, x, line + 8, f"{tick:g}", 9, "normal", _SOFT)
    _text(axes, layout, left - 8 * unit, (bar + tall / 2) / unit, scene.uncertainty_label, 10, "normal", _INK, "right")
