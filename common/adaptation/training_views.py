"""What an adapting run learns from and is validated on, as its options (`common.adaptation.beyond`) have poses seen."""

import argparse
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.augment import SeenAnew, Views
from common.adaptation.beyond import beside_target, needs_target, read_of_target, sees_anew
from common.adaptation.target_views import SeenAsTarget, TargetViews
from common.datasets.batches import DomainBatches, StepBatches
from common.datasets.block_batches import make_batches
from common.datasets.poses import Poses, UnlabelledPoses
from common.datasets.streamed import Streamed, brought_into_memory
from common.datasets.views import Scale, box_sizes, camera_up, canonical_rotations, screen_intrinsics, undistorted
from common.errors import DuaError
from common.evaluation.test_time import TestTime
from common.geometry.joints_in_2d import JointsIn2D, as_they_are


def measure_size(args: argparse.Namespace, train: Poses | Streamed[Poses]) -> None:
    """Put the size that `--scale box` brings pictures to into the options, unless it is there: the mean of the training poses, as they
    are filmed or in turned cameras. Checkpoints keep it with the options, and tests take it from there."""
    if args.scale == "box" and args.scale_size is None:
        shown = TestTime(canonical="canonical" in args.align).shown(brought_into_memory(train, "--scale box"))
        args.scale_size = float(box_sizes(shown.inputs_2d).double().mean())


def views_of_target(
    arguments: Mapping[str, Any],
    target: UnlabelledPoses | Streamed[UnlabelledPoses],
    networks: Mapping[str, nn.Module],
    in_2d: JointsIn2D = as_they_are,
) -> TargetViews:
    """What `--align views` and `--target_poses` draw from, in which nothing was predicted yet. `in_2d` as `adapted_batches`."""
    shown = target.thinned() if isinstance(target, Streamed) else target
    return TargetViews.of(
        networks,
        *_target_tensors(shown, arguments["align"]),
        Scale.of(arguments),
        _projected(arguments, in_2d),
        bool(arguments.get("target_poses")),
    )


def adapted_batches(
    args: argparse.Namespace,
    train: Poses | Streamed[Poses],
    validation: Poses | None,
    load_target: Callable[[], UnlabelledPoses | Streamed[UnlabelledPoses]],
    device: torch.device,
    like_target: TargetViews | None = None,
    in_2d: JointsIn2D = as_they_are,
) -> tuple[StepBatches | DomainBatches | SeenAnew, Callable[[], Poses] | None, dict[str, int]]:
    """The batches of an adapting run, its validation poses as training sees them (`validation_views`), and sizes for the log.

    Batches hold inputs_s, targets_s and what losses read of the target (`common.adaptation.beyond.read_of_target`); `--scale` leaves
    rays_t as they are filmed.

    Args:
        like_target: of `--align views` and `--target_poses`.
        in_2d: poses in the skeleton that is learnt to those joints of theirs that the target's 2D has; of use with `--target_joints`.
    """
    sizes = {"source_train": len(train), "source_validation": 0 if validation is None else len(validation)}
    anew, read = sees_anew(vars(args)), read_of_target(vars(args))
    target = load_target() if needs_target(args) else None
    shown = target if not isinstance(target, Streamed) else target.thinned() if "gpa" in args.align else None
    turned = like_target if "views" in args.align else None

    def seen_validation() -> Poses:
        assert validation is not None
        return validation_views(vars(args), validation, shown, turned, in_2d).to(device)

    # Once for all, unless they follow the network.
    chosen_on = None if validation is None else seen_validation if turned else cache(seen_validation)
    filmed = TestTime.of(vars(args))

    def source_tensors(poses: Poses) -> tuple[Tensor, ...]:
        if anew:
            return _source_tensors(poses, args.align)
        seen = filmed.shown(poses)
        return seen.inputs_2d, seen.targets_3d

    def target_tensors(poses: UnlabelledPoses) -> tuple[Tensor, ...]:
        # What is projected anew is brought to one size after that.
        tensors = _target_tensors(poses, args.align) if anew else target_inputs(vars(args), poses)
        if "rays_t" in read:
            return (*tensors, rays_of(poses))
        return tensors if anew else tensors[:1]  # what is seen anew is aligned and scaled by the target's lens

    source = make_batches(train, source_tensors, args, device)
    batches: StepBatches | DomainBatches = source
    if target is not None:
        sizes["target_train_2d"] = len(target)
        if beside_target(args):
            batches = DomainBatches(source, make_batches(target, target_tensors, args, device, stream=1))
    if not anew:
        return batches, chosen_on, sizes
    views = _views(vars(args), like_target, in_2d)
    if like_target is None:
        return SeenAnew(batches, views, args.seed), chosen_on, sizes
    followed = SeenAsTarget(batches, views, args.seed, like_target, args.views_warm_up, args.views_every)
    return followed, chosen_on, sizes


def validation_views(
    arguments: Mapping[str, Any],
    validation: Poses,
    target: UnlabelledPoses | None,
    like_target: TargetViews | None = None,
    in_2d: JointsIn2D = as_they_are,
) -> Poses:
    """Validation poses as a run with these options sees them: in turned cameras, or projected anew.

    Those that are projected anew are so once, by a fixed seed, with poses of `target` if they are aligned with it. Those that are turned
    like the target's are so as the network predicts these now, also after epochs of warm-up, so that all epochs are judged alike. They strike
    no predicted pose (`--target_poses`): held-out people's own are what no training has seen. Their labels are the source's, so the best epoch
    and the calibration are chosen without a label of the target.
    """
    if not sees_anew(arguments):
        return TestTime.of(arguments).shown(validation)  # nobody asks for the rays
    return validation_with_rays(arguments, validation, target, like_target, in_2d)[0]


def validation_with_rays(
    arguments: Mapping[str, Any],
    validation: Poses,
    target: UnlabelledPoses | None,
    like_target: TargetViews | None = None,
    in_2d: JointsIn2D = as_they_are,
) -> tuple[Poses, Tensor]:
    """`validation_views`, and the (N, 16, 3) rays on which they are seen, in the axes of their labels."""
    if not sees_anew(arguments):
        return TestTime.of(arguments).shown(validation), turned_rays(arguments, validation)
    align = arguments.get("align") or ()
    generator = torch.Generator().manual_seed(0)
    batch = _source_tensors(validation, align)
    if "gpa" in align:
        assert target is not None
        rows = torch.randint(len(target), (len(validation),), generator=generator)
        batch = (*batch, *(tensor[rows] for tensor in _target_tensors(target, align)))
    views = _views(arguments, None if like_target is None else like_target.now(), in_2d)
    inputs, targets, rays = replace(views, posed=None).see_with_rays(batch, generator)
    return Poses(validation.name, inputs, targets, validation.sequences), rays


def _views(arguments: Mapping[str, Any], like_target: TargetViews | None, in_2d: JointsIn2D) -> Views:
    align = arguments.get("align") or ()
    turned = like_target.turned if like_target and "views" in align else None
    posed = like_target.posed if like_target and arguments.get("target_poses") else None
    return Views(
        arguments["augment"],
        "gpa" in align,
        "canonical" in align,
        read_of_target(arguments),
        Scale.of(arguments),
        turned,
        bool(arguments.get("new_poses")),
        _projected(arguments, in_2d),
        posed,
    )


def _projected(arguments: Mapping[str, Any], in_2d: JointsIn2D) -> JointsIn2D:
    """Labels to those joints of theirs that are projected: those that are learnt, unless `--target_joints` says otherwise."""
    return in_2d if arguments.get("target_joints") else as_they_are


def _source_tensors(poses: Poses, align: Collection[str]) -> tuple[Tensor, ...]:
    """inputs, targets, roots, up, intrinsics of source poses, for `common.adaptation.augment.SeenAnew`."""
    if poses.roots_3d is None:
        raise DuaError(f"the 3D of '{poses.name}' does not say where the root stands, which is needed to project poses anew")
    up, intrinsics = camera_up(poses.sequences), screen_intrinsics(poses.sequences)
    if "canonical" not in align:
        return poses.inputs_2d, poses.targets_3d, poses.roots_3d, up, intrinsics
    inputs, rotations = canonical_rotations(poses.inputs_2d, poses.sequences)
    targets = torch.einsum("nij,nkj->nki", rotations, poses.targets_3d)
    roots, up = (torch.einsum("nij,nj->ni", rotations, vectors) for vectors in (poses.roots_3d, up))
    return inputs, targets, roots, up, _centred(intrinsics)


def _target_tensors(poses: UnlabelledPoses, align: Collection[str]) -> tuple[Tensor, Tensor]:
    """inputs and intrinsics of target poses."""
    intrinsics = screen_intrinsics(poses.sequences)
    if "canonical" not in align:
        return poses.inputs_2d, intrinsics
    return canonical_rotations(poses.inputs_2d, poses.sequences)[0], _centred(intrinsics)


def target_inputs(arguments: Mapping[str, Any], poses: UnlabelledPoses) -> tuple[Tensor, Tensor]:
    """(N, 16, 2) target poses as a network with these options gets them, and (N, 4) the lens that shows them so."""
    return Scale.of(arguments).with_lens(*_target_tensors(poses, arguments.get("align") or ()))


def rays_of(poses: Poses | UnlabelledPoses) -> Tensor:
    """(N, 16, 3) x/z, y/z, 1 in the axes of the poses' own cameras, which are not turned, whatever the inputs are."""
    rays = undistorted(poses.inputs_2d, poses.sequences)
    return torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)


def turned_rays(arguments: Mapping[str, Any], poses: Poses | UnlabelledPoses) -> Tensor:
    """The rays of `rays_of` in the axes in which a network with these options predicts."""
    rays = rays_of(poses)
    if "canonical" not in (arguments.get("align") or ()):
        return rays
    return torch.einsum("nij,nkj->nki", canonical_rotations(poses.inputs_2d, poses.sequences)[1], rays)


def _centred(intrinsics: Tensor) -> Tensor:
    """Of cameras turned to the root: its ray is the optical axis, and lies in the middle."""
    return torch.cat([intrinsics[:, :2], torch.zeros_like(intrinsics[:, 2:])], dim=1)
