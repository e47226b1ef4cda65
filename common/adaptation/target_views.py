"""Source poses that take after the target's people, as the network itself predicts these.

`--align views` turns them, by the trunks that are predicted.

Global transformation by pseudo-labels (arXiv 2504.12699). From one epoch to the next, the network as it is lifts a sample of the target's
2D. Of each predicted pose, the trunk's frame F_t (`common.geometry.torso`), the sum l_t of its bones' lengths and, by its 2D and the
camera's intrinsics, its place r_t (`common.geometry.placement`) go into a pool. A source pose X with F_s and l_s draws one of them and is
learnt as

    X' = F_t F_s^T X,    x' = K_t (X' + l_s / l_t r_t),

so that it has bones, limbs and label of its own, and is turned and stands as somebody of the target. A body l_s / l_t times as large is so
much farther away, and seen as large: what the network gets wrong of sizes, which it draws in where it is unsure, does not count. Of a
batch, half are turned.

`--target_poses` has source bodies strike the poses that are predicted, with bones as long as their own, and their trunks as they were turned
(`common.adaptation.new_poses.struck`). Who is turned and who strikes a pose, and whose, is drawn for itself: combinations are more than the
network predicted.

Nothing is read of the target but 2D joints and intrinsics.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from common.adaptation.augment import SeenAnew, Views
from common.adaptation.new_poses import struck
from common.datasets.batches import DomainBatches, StepBatches
from common.datasets.views import Scale, box_sizes, project, rays_through
from common.errors import DuaError
from common.evaluation.evaluate import predict
from common.geometry.bones import bone_lengths, bones_of
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.placement import NEAREST, place
from common.geometry.skeleton import NUM_JOINTS
from common.geometry.torso import has_trunk, torso_frames
from common.training.experiment import Experiment
from models.domain_norm import select_domain
from models.view_pool import ViewPool

SAMPLE = 4096
"""Poses of the target that the pool is made of, drawn once, by a seed that is no run's."""
_SHARE = 0.5
"""Of a batch, on average, that are turned; the others stay as they are. Where all poses were turned, what the network got wrong it was taught:
trained for 600 steps in all, it saw everybody face one way after five looks."""
_STRUCK = 0.6
"""Of a batch, on average, that strike a predicted pose. Chosen on build seed 0 of the open benchmark (docs/adaptation.md)."""
_FITTING = 0.9
"""Of the pool, the share that is drawn from: by how well the predicted pose is seen where its 2D is, the best."""
_FLATTEST = 1e-8
"""See `place`, which is asked in float64: of a person of a ten-thousandth of the focal length it knows none."""


def add_views_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of `--align views` and `--target_poses`."""
    group.add_argument(
        "--views_warm_up",
        type=int,
        default=None,
        metavar="EPOCHS",
        help="with --align views or --target_poses: so long, poses are as they are, the network being too young to be asked (default: half of "
        "--epochs)",
    )
    group.add_argument(
        "--views_every",
        type=int,
        default=1,
        metavar="EPOCHS",
        help="with --align views or --target_poses: after so many the network is asked again (default: %(default)s)",
    )


@dataclass
class TargetViews:
    """The target's people as the network predicts them, and source poses turned and posed like them.

    Attributes:
        networks: that are trained; "lifter" is asked.
        inputs_2d: (M, 16, 2) of the target, in screen coordinates, as its cameras see them.
        intrinsics: (M, 4) of those cameras.
        scale: what is done to 2D before a network sees it.
        pool: what was predicted of them when it was last asked; it holds poses if any are to be struck.
        in_2d: predicted poses to those joints of theirs that the target's 2D has (`--target_joints`).
    """

    networks: Mapping[str, nn.Module]
    inputs_2d: Tensor
    intrinsics: Tensor
    scale: Scale
    pool: ViewPool
    in_2d: JointsIn2D = as_they_are

    @classmethod
    def of(
        cls,
        networks: Mapping[str, nn.Module],
        inputs_2d: Tensor,
        intrinsics: Tensor,
        scale: Scale,
        in_2d: JointsIn2D = as_they_are,
        poses: bool = False,
    ) -> Self:
        """Of a sample of a target's poses (N, 16, 2) and intrinsics (N, 4); it was not asked yet."""
        rows = torch.randperm(len(inputs_2d), generator=torch.Generator().manual_seed(0))[:SAMPLE].sort().values
        return cls(
            networks, inputs_2d[rows].cpu(), intrinsics[rows].cpu(), scale, ViewPool(len(rows), NUM_JOINTS if poses else 0), in_2d
        )

    def keep_in(self, run: Experiment) -> None:
        """Let the run's checkpoints hold the pool, so that a run that is killed within an epoch goes on with it.

        Raises:
            DuaError: the run that goes on had another target.
        """
        description = self.pool.description()
        pool, kept = run.stored("view_pool") or (self.pool, description)
        if not isinstance(pool, ViewPool) or pool.size != self.pool.size:
            raise DuaError("the checkpoint's pool of predicted poses (view_pool) is of another target; give the run's own data")
        self.pool = pool
        run.freeze("view_pool", pool, kept)

    def look(self) -> None:
        """Fill the pool with what the network predicts now. If none of it can be used, the pool stays as it was."""
        rotations, roots, bones, kept = self._predicted()
        if kept.any():
            self.pool.fill(rotations, roots, bones, kept)

    def now(self) -> Self:
        """The same with a pool of this moment, which no training draws from: for validation, after any epoch."""
        views = replace(self, pool=ViewPool(self.pool.size, self.pool.num_joints).to(self.pool.roots.device))
        views.look()
        return views

    def turned(self, poses_3d: Tensor, generator: torch.Generator) -> tuple[Tensor, ...] | None:
        """Which of the poses (B, 16, 3) are to be turned (B,), of those whose trunk says how they stand; all of them turned, their roots
        (B, 3), the 2D (B, 16, 2) of those whom they take after and the intrinsics (B, 4) of their cameras. None while the pool is empty."""
        rows = self.pool.draw(len(poses_3d), generator)
        if not len(rows):
            return None
        chosen = torch.rand(len(poses_3d), generator=generator) < _SHARE
        device, on_cpu = poses_3d.device, rows.cpu()
        trunks = torso_frames(poses_3d)
        chosen = chosen.to(device) & has_trunk(trunks)
        turn = self.pool.rotations[rows].to(device) @ trunks.mT
        found = torch.einsum("nij,nkj->nki", turn, poses_3d), self.pool.roots[rows].to(device) * _size(poses_3d)[:, None]
        return tuple(tensor.to(device) for tensor in (chosen, *found, self.inputs_2d[on_cpu], self.intrinsics[on_cpu]))

    def posed(self, poses_3d: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 16, 3) poses of the same bodies, some of which strike a predicted pose; all as they were while the pool is empty."""
        rows = self.pool.draw(len(poses_3d), generator)
        if not len(rows):
            return poses_3d
        assert self.pool.bones is not None
        chosen = torch.rand(len(poses_3d), generator=generator) < _STRUCK
        return struck(poses_3d, self.pool.bones[rows].to(poses_3d.device), chosen.to(poses_3d.device))

    @torch.no_grad()
    def _predicted(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames (M, 3, 3), places (M, 3) and bones (M, 16, 3) of the sample, as `ViewPool` has them, and which of them are to be trusted (M,)."""
        lifter = self.networks["lifter"]
        training, device = lifter.training, next(lifter.parameters()).device
        select_domain(lifter.eval(), "target")
        poses, _ = predict({"lifter": lifter}, self.scale(self.inputs_2d), device)
        select_domain(lifter.train(training), "source")
        frames = torso_frames(poses)
        rays = rays_through(self.inputs_2d, self.intrinsics).double()
        finite = torch.isfinite(poses).flatten(1).all(1)
        shown = self.in_2d(poses)
        told = shown.where(finite[:, None, None], 0.0).double()
        roots, known = place(told, rays, flattest=_FLATTEST)
        roots = roots.float()
        missed = torch.linalg.vector_norm(project(shown, roots, self.intrinsics) - self.inputs_2d, dim=-1).mean(1)
        missed = missed / box_sizes(self.inputs_2d).clamp_min(1e-6)
        kept = finite & known & has_trunk(frames) & (roots[:, 2] > NEAREST)
        if kept.any():
            kept &= missed <= torch.quantile(missed[kept], _FITTING)
        places, bones, rows = roots / _size(poses)[:, None], bones_of(poses) @ frames, kept[:, None, None]
        return frames.where(rows, 0.0), places.where(kept[:, None], 0.0), bones.where(rows, 0.0), kept


def _size(poses_3d: Tensor) -> Tensor:
    """(N,) sums of the bones' lengths of (N, 16, 3)."""
    return bone_lengths(poses_3d).sum(1)


class SeenAsTarget(SeenAnew):
    """`SeenAnew` whose views take after the target; at the start of an epoch the network may be asked.

    Args:
        warm_up: epochs in which it is not.
        every: epochs from one look to the next.
    """

    def __init__(
        self, batches: StepBatches | DomainBatches, views: Views, seed: int, target: TargetViews, warm_up: int, every: int
    ) -> None:
        super().__init__(batches, views, seed)
        self._target = target
        self._warm_up, self._every = warm_up, every

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... of an epoch. One that is entered in its middle goes on with the pool of its start."""
        since = epoch - self._warm_up
        if start == 0 and since >= 0 and since % self._every == 0:
            self._target.look()
        yield from super().epoch(epoch, start)
