"""A `Scene` as pictures, fast: what stands still is drawn once by matplotlib, the bodies frame by frame by Pillow.

Redrawing matplotlib's 3D axes takes most of the time of other renderers. Here the view is fixed, so a frame is a copy of the
background with bodies drawn over it, `SUPERSAMPLE` times larger and averaged, which smooths the edges. A pixel that no body
covers is the same in every frame.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import matplotlib
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageColor, ImageDraw, ImageFont

from common.geometry.skeleton import BONES, JOINT_NAMES, NUM_JOINTS
from common.rendering.backdrop import backdrop
from common.rendering.layout import Layout
from common.rendering.scene import COLOUR_MAP, SIDES, Scene

SUPERSAMPLE = 3
_SHADOW, _INK, _WHITE = (220, 220, 220), (38, 38, 38), (255, 255, 255)
HEAD = JOINT_NAMES.index("Head")
_PEN = tuple(ImageColor.getrgb(colour) for colour in SIDES)


class Renderer:
    """Pictures of one scene.

    Args:
        inches: side of a panel.
        dpi: pixels an inch.
    """

    def __init__(self, scene: Scene, inches: float = 3.0, dpi: int = 100) -> None:
        self.scene = scene
        self.layout = Layout(scene, inches, dpi)
        x, y, width = self.layout.region
        left, top, side = self.layout.inset, self.layout.top, self.layout.side
        seen = scene.by_person(scene.joints_2d)
        self._joints_2d = (seen - (x, y)) * (self.layout.inner / width) + (left, top + left)  # (T, P, 16, 2) pixels
        places = [np.array([(i + 1) * side, top]) for i in range(len(scene.panels))]
        self._joints = [self.layout.fit(plane) + place for (plane, _), place in zip(self.layout.bodies, places)]
        self._shadows = [self.layout.fit(plane) + place for plane, place in zip(self.layout.shadows, places)]
        self._font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), max(6, round(10 * self.layout.unit)))
        colours = matplotlib.colormaps[COLOUR_MAP](np.linspace(0, 1, 256))[:, :3]
        self._tints = [tuple(round(255 * value) for value in colour) for colour in colours.tolist()]

    @cached_property
    def background(self) -> Image.Image:
        """Everything that stands still."""
        return backdrop(self.scene, self.layout)

    @property
    def colours(self) -> np.ndarray:
        """(n, 3) uint8 colours that mean something, which a file of few colours must not change; of the tints every sixth."""
        return np.array([*dict.fromkeys(_PEN), _SHADOW, _INK, _WHITE, *self._tints[::6]], np.uint8)

    def frames(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """(height, width, 3) uint8 pictures of the frames `indices`, increasing, or of all.

        Raises:
            DuaError: the video under the 2D joints ends too early or is damaged.
        """
        wanted = range(len(self.scene)) if indices is None else indices
        images = iter(self.scene.images) if self.scene.images is not None else None
        at = -1
        for index in wanted:
            image = None
            while images is not None and at < index:
                image, at = next(images), at + 1
            yield np.asarray(self._frame(index, image))

    def _frame(self, index: int, image: np.ndarray | None) -> Image.Image:
        picture = self.background.copy()
        layout = self.layout
        if image is not None:
            shown = cut(image, self.scene.resolution, layout.region, round(layout.inner))
            picture.paste(shown, (round(layout.inset), round(layout.top + layout.inset)))
        flat = np.zeros(self._joints_2d.shape[1:3])
        self._people(picture, self._joints_2d[index], flat, None, None)
        for panel, joints, shadows, (_, depths) in zip(
            self.scene.panels, self._joints, self._shadows, layout.bodies, strict=True
        ):
            tints = None if panel.uncertainty is None else self.scene.by_person(panel.uncertainty)[index]
            self._people(picture, joints[index], depths[index], tints, shadows[index])
        self._count(picture, index)
        return picture

    def _people(
        self, picture: Image.Image, joints: np.ndarray, depths: np.ndarray, tints: np.ndarray | None, shadows: np.ndarray | None
    ) -> None:
        """Everybody who is in a frame, (P, 16, ...) each, the furthest first; of several, with what they are called."""
        there = np.flatnonzero(np.isfinite(joints).all(axis=(1, 2)))
        for person in there[np.argsort(-depths[there].mean(axis=1), kind="stable")]:
            fills = _PEN if tints is None else self._tinted(tints[person])
            self._draw(picture, joints[person], depths[person], fills, None if shadows is None else shadows[person])
            if len(self.scene.people) > 1:
                x, y = joints[person, HEAD]
                self._write(picture, (x, y - 9 * self.layout.unit), self.scene.people[person], "ms", round(2 * self.layout.unit))

    def _tinted(self, uncertainty: np.ndarray) -> list[tuple[int, ...]]:
        assert self.scene.uncertainty_range is not None
        low, high = self.scene.uncertainty_range
        places = np.clip((uncertainty - low) / (high - low) * 255, 0, 255).astype(int)
        return [self._tints[place] for place in places]

    def _draw(
        self,
        picture: Image.Image,
        joints: np.ndarray,
        depth: np.ndarray,
        fills: Sequence[tuple[int, ...]],
        shadow: np.ndarray | None = None,
    ) -> None:
        """A body from its furthest part to its nearest, each bone on a white edge that parts it from what it crosses.

        Only the box around it is enlarged. `reduce` averages, so what was copied to every pixel of a block comes back as it was.
        """
        points = joints if shadow is None else np.concatenate([joints, shadow])
        reach = 6 * self.layout.unit
        left, top = np.floor(points.min(axis=0) - reach).astype(int).tolist()
        right, bottom = np.ceil(points.max(axis=0) + reach).astype(int).tolist()
        size = ((right - left) * SUPERSAMPLE, (bottom - top) * SUPERSAMPLE)
        large = picture.crop((left, top, right, bottom)).resize(size, Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(large)
        at = [tuple(point) for point in ((points - (left, top)) * SUPERSAMPLE).tolist()]
        pixel = self.layout.unit * SUPERSAMPLE
        if shadow is not None:
            for parent, child in BONES:
                draw.line((at[NUM_JOINTS + parent], at[NUM_JOINTS + child]), _SHADOW, round(4 * pixel))
        bone, edge, radius, rim = round(4.2 * pixel), round(6.6 * pixel), 3.6 * pixel, 4.6 * pixel
        for joint, child in _far_to_near(depth.tolist()):
            if child >= 0:
                draw.line((at[joint], at[child]), _WHITE, edge)
                draw.line((at[joint], at[child]), _PEN[child], bone)
            else:
                x, y = at[joint]
                draw.ellipse((x - rim, y - rim, x + rim, y + rim), _INK)
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fills[joint])
        picture.paste(large.reduce(SUPERSAMPLE), (left, top))

    def _count(self, picture: Image.Image, index: int) -> None:
        text = f"frame {self.scene.first + index * self.scene.step}"
        place = self.layout.inset + 5 * self.layout.unit
        where = (place, self.layout.top + self.layout.side - place)
        # Only a video needs the white rim, which takes as long to draw as a body.
        rim = round(self.layout.unit) if self.scene.images is not None else 0
        self._write(picture, where, text, "ls", rim)

    def _write(self, picture: Image.Image, where: tuple[float, float], text: str, anchor: str, rim: int) -> None:
        ImageDraw.Draw(picture).text(where, text, _INK, self._font, anchor, stroke_width=rim, stroke_fill=_WHITE)


def _far_to_near(depth: list[float]) -> list[tuple[int, int]]:
    """(parent, child) of each bone and (joint, -1) of each joint, in the order to draw them."""
    bones = [((depth[parent] + depth[child]) / 2, parent, child) for parent, child in BONES]
    nearest = depth.copy()
    for middle, parent, child in bones:
        nearest[parent], nearest[child] = min(nearest[parent], middle), min(nearest[child], middle)
    # A joint lies before the bones that meet in it.
    parts = bones + [(near - 1e-6, joint, -1) for joint, near in enumerate(nearest)]
    return [(joint, child) for _, joint, child in sorted(parts, key=lambda part: -part[0])]


def cut(image: np.ndarray, resolution: tuple[int, int], region: tuple[float, float, float], side: int) -> Image.Image:
    """A square region of a video frame as `side` x `side` pixels, black beyond the frame's edges.

    Args:
        image: (height, width, 3) uint8; its resolution may be another than the camera's.
        resolution: width and height that `region`, (x, y, side), is given in.
    """
    x, y, width = region
    across, down = image.shape[1] / resolution[0], image.shape[0] / resolution[1]
    box = (round(x * across), round(y * down), round((x + width) * across), round((y + width) * down))
    return Image.fromarray(image).crop(box).resize((side, side), Image.Resampling.BILINEAR)
