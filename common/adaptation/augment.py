"""Training poses seen anew in every batch: other limbs, another heading, another camera, the target's places and sizes.

What is drawn depends on (seed, step) alone, so a run that is taken up again sees the same poses. Everything here reads labels
of the source; of the target, 2D joints and intrinsics alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from common.adaptation.new_poses import new_poses
from common.compute.device import generator_of
from common.datasets.batches import DomainBatches, StepBatches
from common.datasets.views import AS_IT_IS, Scale, align_roots, project, rays_through, rotation_between
from common.evaluation.test_time import mirrored
from common.geometry.bones import bones_of, joints_of
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.skeleton import JOINTS_LEFT, MIRROR, NUM_JOINTS, ROOT
from common.mocap.filming import about, draw_cameras

ANY = "any"
"""`--augment any`."""

# Fixed before any test was run, and wide: what a body or a tripod can be, not what a target is.
_STATURE = 0.1
"""Standard deviation of a body's size; statures of all adults vary by 0.06 (`common.mocap.body`), children's by more."""
_LIMB = 0.05
"""Of a limb's length beside that of the body, alike on both sides."""
_PITCH_DOWN, _PITCH_UP = 25.0, 5.0
"""Degrees: a camera at the height of a hip to one that looks down from above heads; few look up."""
_ROLL = 3.0
"""Degrees, standard deviation."""
_NEARER, _FARTHER = 0.6, 1.4
"""Factors of the distance between camera and root."""
_SHIFT = 0.3
"""Screen units, standard deviation: where the root stands in the picture, beside where it stood."""


@dataclass(frozen=True)
class Views:
    """How source poses are seen anew.

    Attributes:
        augment: bodies and cameras are drawn; 'any': cameras of every kind (`common.mocap.filming.draw_cameras`), no tripods.
        align: each source pose is put where a target pose stands (`common.datasets.views.align_roots`).
        centred: views have the root on the optical axis (`common.datasets.views.canonical`).
        read: names of the target's tensors that losses read, which are handed on (`common.adaptation.beyond.read_of_target`).
        scale: what is done to 2D before a network sees it.
        turned: turns some poses as the target's are, once that is known (`common.adaptation.target_views.TargetViews.turned`).
        new_poses: poses are made of each other's limbs first (`common.adaptation.new_poses`).
        posed: has some bodies strike the target's poses, once these are known (`common.adaptation.target_views.TargetViews.posed`).
        in_2d: poses to those joints of theirs that are projected, if they are others than are learnt (`--target_joints`).
    """

    augment: bool | str
    align: bool
    centred: bool
    read: tuple[str, ...]
    scale: Scale = AS_IT_IS
    turned: Callable[[Tensor, torch.Generator], tuple[Tensor, ...] | None] | None = None
    new_poses: bool = False
    in_2d: JointsIn2D = as_they_are
    posed: Callable[[Tensor, torch.Generator], Tensor] | None = None

    def describe(self) -> str:
        """What a log says."""
        drawn = "before any camera" if self.augment == ANY else "drawn"
        ways = (
            ("with limbs of each other's", self.new_poses),
            ("some of them posed like the target's", self.posed),
            (drawn, self.augment),
            ("aligned with the target's", self.align),
            ("half of them turned like the target's", self.turned),
            ("by the target's joints", self.in_2d is not as_they_are),
        )
        how = [name for name, on in ways if on] or ["as their labels are"]
        return f"source poses are seen anew: {' and '.join(how)}"

    def see(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """inputs_s, targets_s[, inputs_t, ...] of one batch, what is random drawn from `generator` (on the CPU).

        Args:
            batch: inputs_s (B, 16, 2), targets_s (B, 16, 3), roots_s (B, 3), up_s (B, 3), intrinsics_s (B, 4) and, with a
                target, inputs_t (B, 16, 2), intrinsics_t (B, 4) and what follows them.
        """
        poses, shown, roots, intrinsics = self.placed(batch, generator)
        inputs = self.scale(project(shown, roots, intrinsics))
        if not self.read:
            return inputs, poses
        inputs_t, lenses_t, *others = batch[5:]
        return inputs, poses, *(*self.scale.with_lens(inputs_t, lenses_t), *others)[: len(self.read)]

    def see_with_rays(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """inputs_s and targets_s of `see`, and the (B, 16, 3) rays x/z, y/z, 1 on which inputs_s are seen."""
        poses, shown, roots, intrinsics = self.placed(batch, generator)
        seen = project(shown, roots, intrinsics)
        return self.scale(seen), poses, rays_through(seen, intrinsics)

    def placed(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """targets_s, those of their joints that are projected, roots and intrinsics of a batch of `see`."""
        _, poses, roots, up, intrinsics, *target = batch
        if self.new_poses:
            poses = new_poses(poses, generator)
        if self.posed:
            poses = self.posed(poses, generator)
        if self.augment:
            poses = stretch_limbs(poses, generator)
            poses, ups = mirror_some(poses, up[:, None], (0,), generator)
            up = ups[:, 0]
            if self.augment == ANY:
                poses, roots, intrinsics = before_any_camera(poses, up, generator, self.centred)
            else:
                poses = turn(poses, up, generator)
                roots = move(roots, intrinsics, generator, self.centred)
        aim = target
        if self.turned and (like_target := self.turned(poses, generator)):
            chosen, *turned, inputs_t, lenses = like_target
            poses, roots, intrinsics = _chosen(chosen, (*turned, lenses), (poses, roots, intrinsics))
            aim = _chosen(chosen, (inputs_t, lenses), target[:2]) if self.align else target
        shown = self.in_2d(poses)
        if self.align:
            inputs_t, intrinsics, *_ = aim
            roots = align_roots(shown, inputs_t, intrinsics)
        return poses, shown, roots, intrinsics


def _chosen(rows: Tensor, first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    """Of each pair of tensors (B, ...) the rows (B,) of the first, elsewhere the second's."""
    return [a.where(rows.view(-1, *[1] * (a.ndim - 1)), b) for a, b in zip(first, second, strict=True)]


class SeesAnew(Protocol):
    """What makes a batch to learn from of one that is kept: `Views`, `common.adaptation.any_camera.AnyCamera`."""

    def see(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]: ...

    def describe(self) -> str: ...


class SeenAnew:
    """Batches whose source poses are seen anew, each time otherwise; `seed` is the run's."""

    def __init__(self, batches: StepBatches | DomainBatches, views: SeesAnew, seed: int) -> None:
        self.batches = batches
        self.views = views
        self.batch_size, self.steps = batches.batch_size, batches.steps
        self._seed = seed

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... of an epoch."""
        for step, batch in enumerate(self.batches.epoch(epoch, start), epoch * self.steps + start):
            generator = generator_of((self._seed * 1_000_003 + step) * 2 + 1)
            yield self.views.see(batch, generator)

    def describe(self) -> str:
        """What a log says."""
        return f"{self.batches.describe()}; {self.views.describe()}"


def limb_factors(count: int, generator: torch.Generator) -> Tensor:
    """(N, 16) lengths of the bones that end in each joint: of bodies larger or smaller, the same left and right."""
    factors = torch.exp(_LIMB * torch.randn(count, NUM_JOINTS, generator=generator))
    factors[:, list(JOINTS_LEFT)] = factors[:, [MIRROR[joint] for joint in JOINTS_LEFT]]
    return factors * torch.exp(_STATURE * torch.randn(count, 1, generator=generator))


def stretched(poses_3d: Tensor, factors: Tensor) -> Tensor:
    """(N, 16, 3) poses whose bones are longer by (N, 16) factors."""
    return joints_of(poses_3d[:, ROOT], bones_of(poses_3d) * factors[:, :, None])


def stretch_limbs(poses_3d: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 16, 3) poses of bodies that are larger or smaller, with longer or shorter limbs, the same left and right."""
    return stretched(poses_3d, limb_factors(len(poses_3d), generator).to(poses_3d.device))


def mirror_some(poses_3d: Tensor, points_3d: Tensor, mirror: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(N, 16, 3) poses and (N, J, 3) points of the same bodies, or directions, every other one on average its mirror image; `mirror` has for each
    point that of the other side."""
    chosen = (torch.rand(len(poses_3d), 1, 1, generator=generator) < 0.5).to(poses_3d.device)
    across = points_3d[:, list(mirror)] * points_3d.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(chosen, mirrored(poses_3d), poses_3d), torch.where(chosen, across, points_3d)


def turn(poses_3d: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 16, 3) poses turned about the world's vertical to any heading, before cameras of another pitch and roll.

    Shape:
        up (N, 3): the vertical in camera axes.
    """
    count, device = len(poses_3d), poses_3d.device
    yaw = 2 * torch.pi * torch.rand(count, generator=generator)
    pitch = torch.deg2rad(_PITCH_DOWN - (_PITCH_DOWN + _PITCH_UP) * torch.rand(count, generator=generator))
    roll = torch.deg2rad(_ROLL * torch.randn(count, generator=generator))
    level = rotation_between(up.cpu(), (0.0, -1.0, 0.0))
    seen = about(2, roll) @ about(0, pitch) @ about(1, yaw) @ level
    return torch.einsum("nij,nkj->nki", seen.to(device), poses_3d)


def before_any_camera(poses_3d: Tensor, up: Tensor, generator: torch.Generator, centred: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Poses, roots and intrinsics of (N, 16, 3) poses with verticals (N, 3), before cameras of every kind; with `centred` turned to the
    root."""
    cameras = draw_cameras(torch.ones(len(poses_3d)), generator)
    to_world = rotation_between(up.cpu(), (0.0, 0.0, 1.0))
    rotations, roots, intrinsics = cameras.rotations @ to_world, cameras.roots_3d, cameras.intrinsics
    if centred:
        turned = rotation_between(roots, (0.0, 0.0, 1.0))
        rotations, roots = turned @ rotations, torch.einsum("nij,nj->ni", turned, roots)
    poses = torch.einsum("nij,nkj->nki", rotations.to(poses_3d.device), poses_3d)
    return poses, roots.to(poses_3d.device), intrinsics.to(poses_3d.device)


def move(roots_3d: Tensor, intrinsics: Tensor, generator: torch.Generator, centred: bool) -> Tensor:
    """(N, 3) roots nearer or farther and, unless they are to stay on the optical axis, elsewhere in the picture."""
    count, device = len(roots_3d), roots_3d.device
    factor = _NEARER + (_FARTHER - _NEARER) * torch.rand(count, 1, generator=generator)
    shift = _SHIFT * torch.randn(count, 2, generator=generator) * (0.0 if centred else 1.0)
    depth = roots_3d[:, 2:] * factor.to(device)
    place = roots_3d[:, :2] / roots_3d[:, 2:] + shift.to(device) / intrinsics[:, :2]
    return torch.cat([place * depth, depth], dim=1)
