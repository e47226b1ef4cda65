"""How long a frame takes to render: matplotlib's 3D axes drawn anew for each, as VideoPose3D does, against `common.rendering.renderer`.

    python benchmarks/render_speed.py --data_dir data/demo

Both show the same clip at the same size: 2D input, a prediction (the label with noise; nothing is trained here), ground truth.
The first way moves the artists of a figure with 3D axes and draws the whole figure once a frame (VideoPose3D, Pavllo et al.,
CVPR 2019); FuncAnimation, which drives it there, does no less. Blocks of both take turns, so that a busy machine slows both.
Encoding is left out: it is the same work for both.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.datasets.clips import load_h36m_clip
from common.geometry.camera import image_coordinates
from common.geometry.skeleton import BONES
from common.mocap.demo import build_demo_if_missing
from common.rendering.layout import AZIMUTH, ELEVATION
from common.rendering.renderer import Renderer
from common.rendering.scene import SIDES, Panel, Scene, upright

DPI = 100
BLOCK = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/demo", help="folder with Human3.6M's files (default: %(default)s)")
    parser.add_argument("--action", default="DanceA", help="of S11 (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--viz_size", type=float, default=3, help="inches of a panel (default: %(default)s)")
    args = parser.parse_args()
    build_demo_if_missing(args.data_dir)
    scene = example(args)

    started = time.perf_counter()
    renderer = Renderer(scene, args.viz_size, DPI)
    next(renderer.frames([0]))
    setup_ours = time.perf_counter() - started
    started = time.perf_counter()
    draw_figure = redrawn_figure(scene, renderer.layout.size)
    setup_theirs = time.perf_counter() - started

    def ours(indices: range) -> None:
        for picture in renderer.frames(indices):
            assert picture.shape[1::-1] == renderer.layout.size

    def theirs(indices: range) -> None:
        for index in indices:
            assert draw_figure(index).shape[1::-1] == renderer.layout.size

    blocks = [range(start, min(start + BLOCK, args.frames)) for start in range(0, args.frames, BLOCK)]
    seconds: dict[str, list[float]] = {"matplotlib redrawn": [], "our renderer": []}
    for indices in blocks:
        for name, way in (("matplotlib redrawn", theirs), ("our renderer", ours)):
            started = time.perf_counter()
            way(indices)
            seconds[name].append((time.perf_counter() - started) / len(indices))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    width, height = renderer.layout.size
    print(f"{args.frames} frames of {width} x {height}, median of {len(blocks)} blocks of {BLOCK}")
    for (name, median), setup in zip(medians.items(), (setup_theirs, setup_ours), strict=True):
        print(f"{name:<20}{median * 1000:8.2f} ms a frame   {setup * 1000:6.0f} ms once")
    slow, fast = medians.values()
    whole = (setup_theirs + args.frames * slow) / (setup_ours + args.frames * fast)
    print(f"ratio {slow / fast:.1f}, with what is done once {whole:.1f}")


def example(args: argparse.Namespace) -> Scene:
    """A clip, repeated until it is long enough, its label and the label with noise."""
    clip = load_h36m_clip(args.data_dir, "S11", args.action)
    rows = np.resize(np.arange(len(clip.poses)), args.frames)
    truth = upright(clip.poses.targets_3d.double().numpy(), clip.camera)[rows]
    noise = np.random.default_rng(0).normal(0, 0.05, truth.shape)
    error = np.linalg.norm(noise, axis=-1) * 100
    (sequence,) = clip.poses.sequences
    joints_2d = image_coordinates(clip.poses.inputs_2d.double().numpy(), *sequence.resolution)[rows]
    panels = Panel("Prediction", truth + noise, uncertainty=error), Panel("Ground truth", truth, truth=True)
    return Scene("2D input", joints_2d, sequence.resolution, panels, clip.fps, clip.name)


def redrawn_figure(scene: Scene, size: tuple[int, int]) -> Callable[[int], np.ndarray]:
    """A function that moves the artists of a figure to a frame and draws all of it: (height, width, 3)."""
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    columns = 1 + len(scene.panels)
    flat = figure.add_subplot(1, columns, 1)
    flat.set(
        title=scene.title, xlim=(0, scene.resolution[0]), ylim=(scene.resolution[1], 0), aspect="equal", xticks=[], yticks=[]
    )
    lines_2d = [flat.plot([], [], color=SIDES[child])[0] for _, child in BONES]
    points = flat.scatter(*scene.joints_2d[0].T, 10, color=SIDES, edgecolors="white", zorder=10)
    solids = []
    for i, panel in enumerate(scene.panels):
        solid = figure.add_subplot(1, columns, i + 2, projection="3d")
        solid.view_init(elev=ELEVATION, azim=AZIMUTH - 90)
        solid.set(title=panel.title, xlim3d=(-0.9, 0.9), ylim3d=(-0.9, 0.9), zlim3d=(0, 1.8), box_aspect=(1, 1, 1))
        solid.set(xticklabels=[], yticklabels=[], zticklabels=[])
        solids.append(
            (scene.standing(panel)[:, 0], [solid.plot([0, 0], [0, 0], [0, 0], color=SIDES[child])[0] for _, child in BONES])
        )

    def draw(index: int) -> np.ndarray:
        joints = scene.joints_2d[index]
        points.set_offsets(joints)
        for line, bone in zip(lines_2d, BONES, strict=True):
            line.set_data(*joints[list(bone)].T)
        for poses, lines in solids:
            for line, bone in zip(lines, BONES, strict=True):
                line.set_data_3d(*poses[index, list(bone)].T)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3]

    return draw


if __name__ == "__main__":
    run_script(main)
