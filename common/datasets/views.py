"""Cameras as a network knows them, and poses seen anew: projection, turning onto the optical axis, and global alignment.

A view is described by `intrinsics` (N, 4): focal lengths and principal point of each pose's camera in screen coordinates
(`common.geometry.camera.normalize_screen_coordinates`), so that x_screen = fx X / Z + cx. Lens distortion is left out of what is
projected here: within Human3.6M's pictures it moves a joint by a percent.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from common.datasets.poses import Poses, Sequence
from common.datasets.surreal_file import SURREAL_CAMERA
from common.errors import DuaError
from common.geometry.camera import Camera
from common.geometry.h36m_cameras import CALIBRATED_SUBJECTS, h36m_cameras
from common.geometry.placement import NEAREST
from common.geometry.skeleton import ROOT

_UNDISTORTIONS = 5
"""Fixed-point iterations; Human3.6M's lenses are undone to 1e-4 of the picture's width after four."""


def camera_of(sequence: Sequence) -> Camera:
    """The calibrated camera that filmed a sequence of Human3.6M or SURREAL, or that comes with it."""
    if sequence.view is not None:
        return sequence.view
    if sequence.camera == SURREAL_CAMERA.name:
        return SURREAL_CAMERA
    return _h36m_camera(sequence.subject, sequence.camera)


@cache
def _h36m_camera(subject: str, name: str) -> Camera:
    if subject not in CALIBRATED_SUBJECTS:
        raise DuaError(
            f"no calibration of the cameras of subject '{subject}' is known; choose from {', '.join(CALIBRATED_SUBJECTS)}"
        )
    return next(camera for camera in h36m_cameras(subject) if camera.name == name)


def screen_lens(camera: Camera) -> Tensor:
    """(4,) fx, fy, cx, cy of a camera in screen coordinates."""
    width, height = camera.resolution
    (fx, fy), (cx, cy) = camera.focal_length, camera.center
    return torch.tensor([2 * fx / width, 2 * fy / width, 2 * cx / width - 1, (2 * cy - height) / width])


def screen_intrinsics(sequences: Iterable[Sequence]) -> Tensor:
    """(N, 4) fx, fy, cx, cy in screen coordinates, of each pose of some sequences."""
    rows = []
    for sequence in sequences:
        rows.append(screen_lens(camera_of(sequence)).expand(sequence.stop - sequence.start, 4))
    return torch.cat(rows)


def camera_up(sequences: Iterable[Sequence]) -> Tensor:
    """(N, 3) the world's vertical in camera axes, of each pose of some sequences. SURREAL's camera is level."""
    rows = []
    for sequence in sequences:
        camera = camera_of(sequence)
        up = (0.0, -1.0, 0.0) if camera is SURREAL_CAMERA else camera.rotation().T[:, 2].tolist()
        rows.append(torch.tensor(up, dtype=torch.float32).expand(sequence.stop - sequence.start, 3))
    return torch.cat(rows)


def project(poses_3d: Tensor, roots_3d: Tensor, intrinsics: Tensor) -> Tensor:
    """Screen coordinates of poses whose root stands at `roots_3d`.

    Shape:
        poses_3d (N, 16, 3) metres from the root, camera axes; roots_3d (N, 3) metres; intrinsics (N, 4) -> (N, 16, 2).
    """
    points = poses_3d + roots_3d[:, None]
    depth = points[..., 2:].clamp_min(NEAREST)
    return points[..., :2] / depth * intrinsics[:, None, :2] + intrinsics[:, None, 2:]


def rays_through(inputs_2d: Tensor, intrinsics: Tensor) -> Tensor:
    """(N, 16, 3) x/z, y/z, 1 of what a lens without distortion shows at screen coordinates (N, 16, 2), as `project` has it; intrinsics (N, 4)."""
    rays = (inputs_2d - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
    return torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)


def align_roots(poses_3d: Tensor, inputs_t: Tensor, intrinsics_t: Tensor) -> Tensor:
    """Where poses must stand to be seen in the place and the size of target poses: global position alignment
    (Chai et al., "Global Adaptation meets Local Generalization", PoseDA, ICCV 2023).

    The depth is (fx dx + fy dy) / (w + h), with dx, dy the sides of the 3D box and w, h those of the target's 2D box; the root
    lies at that depth behind the target's 2D root.

    Shape:
        poses_3d (N, 16, 3), inputs_t (N, 16, 2), intrinsics_t (N, 4) -> (N, 3) metres, camera axes of the target.
    """
    box_3d = (poses_3d.amax(1) - poses_3d.amin(1))[:, :2]
    box_2d = inputs_t.amax(1) - inputs_t.amin(1)
    depth = (intrinsics_t[:, :2] * box_3d).sum(1) / box_2d.sum(1).clamp_min(1e-3)
    rays = (inputs_t[:, ROOT] - intrinsics_t[:, 2:]) / intrinsics_t[:, :2]
    return torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1) * depth[:, None]


def rotation_between(vectors: Tensor, axis: tuple[float, float, float]) -> Tensor:
    """The shortest rotation that turns each vector onto `axis`, of length 1 (Rodrigues' formula).

    Shape:
        vectors (N, 3), of any length, none of them opposite to `axis` -> (N, 3, 3).
    """
    a = torch.nn.functional.normalize(vectors, dim=-1)
    b = a.new_tensor(axis).expand_as(a)
    x, y, z = torch.linalg.cross(a, b).unbind(-1)
    nought = torch.zeros_like(x)
    rows = ((nought, -z, y), (z, nought, -x), (-y, x, nought))
    skew = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return torch.eye(3).to(a) + skew + skew @ skew / (1 + (a * b).sum(-1))[:, None, None]


def undistorted(inputs_2d: Tensor, sequences: Iterable[Sequence]) -> Tensor:
    """(N, 16, 2) screen coordinates to rays x/z, y/z of each joint, with the lens distortion of the cameras undone."""
    rays = torch.empty_like(inputs_2d)
    intrinsics = screen_intrinsics(sequences).to(inputs_2d)
    for sequence in sequences:
        rows = slice(sequence.start, sequence.stop)
        camera = camera_of(sequence)
        seen = (inputs_2d[rows] - intrinsics[rows, None, 2:]) / intrinsics[rows, None, :2]
        radial = [float(value) for value in camera.radial_distortion]
        tangential = torch.tensor(camera.tangential_distortion).to(seen)
        ray = seen
        for _ in range(_UNDISTORTIONS if any(radial) else 0):  # the inverse of `common.geometry.camera.project_to_2d`
            r2 = (ray**2).sum(-1, keepdim=True)
            scale = 1 + r2 * (radial[0] + r2 * (radial[1] + r2 * radial[2])) + (tangential * ray).sum(-1, keepdim=True)
            ray = (seen - tangential * r2) / scale
        rays[rows] = ray
    return rays


def turn_to_root(rays: Tensor, focal: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures that cameras take when they are turned to the root (canonicalisation through known intrinsics, arXiv 2501.16146).

    Shape:
        rays (N, 16, 2) x/z, y/z of each joint; focal (N, 2) or (1, 2) focal lengths in screen coordinates ->
        (N, 16, 2) screen coordinates with the root in the middle, and the (N, 3, 3) rotations that turned the cameras' axes.
    """
    rays = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    rotations = rotation_between(rays[:, ROOT], (0.0, 0.0, 1.0))  # onto the optical axis
    turned = torch.einsum("nij,nkj->nki", rotations, rays)
    return turned[..., :2] / turned[..., 2:].clamp_min(0.1) * focal[:, None], rotations


def canonical_rotations(inputs_2d: Tensor, sequences: Iterable[Sequence]) -> tuple[Tensor, Tensor]:
    """`turn_to_root` of (N, 16, 2) inputs, seen by the calibrated cameras of their sequences."""
    sequences = tuple(sequences)
    focal = screen_intrinsics(sequences).to(inputs_2d)[:, :2]
    return turn_to_root(undistorted(inputs_2d, sequences), focal)


def canonical(poses: Poses) -> Poses:
    """Labelled poses with their camera turned so that the root is on the optical axis: inputs, targets and roots.

    What is learnt in turned axes is turned back by the transposed rotations (`common.evaluation.evaluate.lift`).
    """
    inputs, rotations = canonical_rotations(poses.inputs_2d, poses.sequences)
    targets = torch.einsum("nij,nkj->nki", rotations, poses.targets_3d)
    roots = None if poses.roots_3d is None else torch.einsum("nij,nj->ni", rotations, poses.roots_3d)
    return Poses(poses.name, inputs, targets, poses.sequences, roots)


SPREAD = 0.5
"""Screen units: root mean square distance of a person's joints from their middle, once pictures are brought to one size."""
_SMALLEST = 1e-6


def spreads(inputs_2d: Tensor) -> Tensor:
    """(N,) root mean square distances of the joints of (N, 16, 2) from their middle."""
    return torch.sqrt((inputs_2d - inputs_2d.mean(1, keepdim=True)).square().sum(-1).mean(-1))


def box_sizes(inputs_2d: Tensor) -> Tensor:
    """(N,) diagonals of the boxes round (N, 16, 2).

    Not heights, which of somebody who lies or crouches say how they lie and not how near they are, and come close to nothing.
    """
    return torch.linalg.vector_norm(inputs_2d.amax(1) - inputs_2d.amin(1), dim=-1)


_SIZES = {"spread": spreads, "box": box_sizes}
SCALES = ("none", *_SIZES)


@dataclass(frozen=True)
class Scale:
    """`--scale`: pictures are enlarged or reduced, as by another lens, so that all people are as large; what their size tells of lens and
    distance is given up.

    Attributes:
        kind: 'none'; 'spread', of the joints about their middle; 'box', the diagonal round them (`box_sizes`; arXiv 2508.07112).
        size: screen units that this is brought to: `SPREAD`; the mean of the training's poses.
    """

    kind: str = "none"
    size: float = SPREAD

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Scale":
        """As the options of a run say, in which `scale_size` is what training measured; runs without such options have none."""
        kind, size = arguments.get("scale") or "none", SPREAD
        if kind == "box":
            size = arguments.get("scale_size") or math.nan
        if kind not in SCALES or not isinstance(size, float | int) or not 0 < size < math.inf:
            raise DuaError(
                f"--scale {kind} to a size of {size} is none that this project knows; give another checkpoint of the run"
            )
        return cls(kind, float(size))

    def __call__(self, inputs_2d: Tensor) -> Tensor:
        """(N, 16, 2) screen coordinates, by a factor for each pose."""
        return inputs_2d if self.kind == "none" else inputs_2d * self._factors(inputs_2d)[:, None, None]

    def with_lens(self, inputs_2d: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the intrinsics (N, 4) of the lens that shows people so large: rays stay what they are."""
        if self.kind == "none":
            return inputs_2d, intrinsics
        factors = self._factors(inputs_2d)
        return inputs_2d * factors[:, None, None], intrinsics * factors[:, None]

    def _factors(self, inputs_2d: Tensor) -> Tensor:
        return self.size / _SIZES[self.kind](inputs_2d).clamp_min(_SMALLEST)


AS_IT_IS = Scale()

FIELD = 55.0
"""Degrees of view along a picture's longer side, where a camera's are not known."""


def assumed_focal(aspects: Tensor) -> Tensor:
    """(N,) height over width of pictures to (N,) focal lengths in screen coordinates."""
    return aspects.clamp_min(1.0) / math.tan(math.radians(FIELD) / 2)
