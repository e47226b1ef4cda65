"""`--reproject`: a target's predicted pose, put where its 2D says that it stands, has to be seen where that 2D is, with limbs as the
source's people have them. No label of the target is read: only its 2D and its cameras."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from common.compute.device import full_precision
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.datasets.views import rotation_between
from common.geometry.bones import bone_lengths
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.placement import NEAREST, seen_where_placed
from common.geometry.skeleton import BONES, JOINTS_LEFT, MIRROR, ROOT

_KNEE = 0.01
"""Rays x/z, y/z: beyond it errors count by their size and no more by their square; 5 cm at 5 m."""
_BONES = 0.2
"""Weight of a metre of bone beside the rays: as it is seen from 5 m."""


def add_reproject_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--reproject",
        action="store_true",
        help="predicted poses of the target have to be seen where its 2D is, with bones alike on both sides and as long as the source's",
    )
    group.add_argument("--reproject_weight", type=float, default=0.1, help="of that loss (default: %(default)s)")


@dataclass(frozen=True)
class BoneLengths:
    """Of the source's people: mean and standard deviation over its training labels of the (15,) bones, in metres."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, poses: Poses | Streamed[Poses], device: torch.device | str = "cpu") -> "BoneLengths":
        sums, squares = torch.zeros(2, len(BONES), dtype=torch.float64)
        for chunk in poses.chunks() if isinstance(poses, Streamed) else (poses,):
            lengths = bone_lengths(chunk.targets_3d.cpu().double())
            sums += lengths.sum(0)
            squares += lengths.square().sum(0)
        mean = sums / len(poses)
        deviation = (squares / len(poses) - mean.square()).clamp_min(0).sqrt()
        return cls(mean.float().to(device), deviation.float().to(device))

    def loss(self, poses_3d: Tensor) -> Tensor:
        """Metres, a mean over bones: how much the left ones differ from the right ones, and how much further than a standard deviation
        bones are from the source's mean.

        Shape:
            (N, 16, 3) -> scalar.
        """
        lengths = bone_lengths(poses_3d)
        left, right = both_sides(lengths)
        mean, deviation = self.mean.to(lengths), self.deviation.to(lengths)
        return (left - right).abs().mean() + F.relu((lengths - mean).abs() - deviation).mean()


def both_sides(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Of (..., 15) bones those of the left side and, in the same order, those of the right."""
    left = [joint - 1 for joint in JOINTS_LEFT]  # the bones that end there
    return lengths[..., left], lengths[..., [MIRROR[joint] - 1 for joint in JOINTS_LEFT]]


def reprojection_loss(poses_3d: Tensor, rays: Tensor) -> Tensor:
    """Huber's loss of where poses are seen that stand where least squares put them, over its knee so that far errors have slope 1,
    and how far joints are behind, or nearer to the camera than half a metre.

    A pose and its image in the camera's centre lie on the same lines: what keeps poses before the camera is the second part, and that
    projections take no depth below half a metre. Poses whose 2D does not say how far away they are do not count.

    Shape:
        poses_3d (N, 16, 3) metres from the hip, camera axes; rays (N, 16, 3), x/z, y/z, 1 of the given 2D -> scalar.
    """
    points, seen, known = seen_where_placed(poses_3d, rays)
    error = F.smooth_l1_loss(seen, rays[..., :2], beta=_KNEE, reduction="none").mean((1, 2))
    behind = F.relu(NEAREST - points[..., 2]).mean(1)
    return torch.where(known, error + behind, torch.zeros_like(error)).mean()


class Reprojection:
    """The loss of a target batch: W (reprojection + 0.2 bones).

    Args:
        weight: W.
        bones: of the source, in the skeleton that is learnt.
        canonical: inputs were turned to the root; what is predicted is in the axes of the turned camera.
        in_2d: predicted poses to those joints of theirs that the target's 2D has.
    """

    def __init__(self, weight: float, bones: BoneLengths, canonical: bool, in_2d: JointsIn2D = as_they_are) -> None:
        self.weight = weight
        self.bones = bones
        self.canonical = canonical
        self._in_2d = in_2d

    def __call__(self, poses_t: Tensor, features_t: Tensor, target: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """Terms for `common.adaptation.dua.dua_loss`, of predicted poses (B, 16, 3) and inputs, intrinsics and rays of the target."""
        rays = target[2]
        with full_precision(rays.device):
            poses = poses_t.to(rays)
            reprojection, bones = reprojection_loss(self.in_camera(poses, rays), rays), self.bones.loss(poses)
            return {
                "loss": self.weight * (reprojection + _BONES * bones),
                "reprojection_loss": reprojection,
                "bone_loss": bones,
            }

    def in_camera(self, poses_3d: Tensor, rays: Tensor) -> Tensor:
        """Predicted poses in the axes of the target's own camera, and as its 2D means them."""
        if self.canonical:
            rotations = rotation_between(rays[:, ROOT], (0.0, 0.0, 1.0))
            poses_3d = torch.einsum("nji,nkj->nki", rotations, poses_3d)
        return self._in_2d(poses_3d)
