"""Adaptation beyond DUA's three modules: options, and the batches that they make. The rest of the recipe is `common.adaptation.dua`."""

import argparse
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.augment import ANY, SeenAnew, Views
from common.adaptation.target_views import SeenAsTarget, TargetViews, add_views_arguments
from common.datasets.batches import DomainBatches, StepBatches
from common.datasets.block_batches import make_batches
from common.datasets.poses import Poses, UnlabelledPoses
from common.datasets.streamed import Streamed, brought_into_memory
from common.datasets.views import SCALES, Scale, box_sizes, camera_up, canonical_rotations, screen_intrinsics
from common.errors import DuaError
from common.evaluation.losses import DISCREPANCIES
from common.evaluation.test_time import TestTime
from common.training.arguments import Arguments


def add_adaptation_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of methods that go beyond DUA; each works alone and with it."""
    group = parser.add_argument_group("beyond DUA")
    group.add_argument(
        "--align",
        nargs="+",
        choices=("gpa", "canonical", "views"),
        default=[],
        help="gpa: source poses are seen where target poses stand, as large as they; canonical: cameras are turned to the root; views: source "
        "poses are turned as the network predicts the target's, and seen by its cameras",
    )
    add_views_arguments(group)
    group.add_argument(
        "--scale",
        choices=SCALES,
        default="none",
        help="pictures are brought to one size, in training and in tests. box: the diagonal of a person's box to its mean in training; spread: "
        "the joints' distance from their middle to a fixed one (default: %(default)s)",
    )
    group.add_argument(
        "--scale_size",
        type=float,
        default=None,
        metavar="UNITS",
        help="of --scale box: to this diagonal, in screen coordinates (default: the mean of the source's training poses)",
    )
    group.add_argument(
        "--augment",
        nargs="?",
        const=True,
        default=False,
        choices=(True, ANY),
        metavar=ANY,
        help="source poses are projected anew in every batch: other limbs, headings, mirror images, cameras on tripods; any: cameras of "
        "every kind, rolled, from below and above, of other lenses",
    )
    group.add_argument(
        "--discrepancy",
        choices=list(DISCREPANCIES),
        default=None,
        help="distance between the features of the domains, in place of the domain classifier",
    )
    group.add_argument("--discrepancy_weight", type=float, default=0.01, help="of that distance (default: %(default)s)")
    group.add_argument("--tta", action="store_true", help="tests average a pose with that of its mirrored picture")
    group.add_argument(
        "--test_bn", action="store_true", help="tests on the target take BatchNorm's statistics from the 2D that they test"
    )


# Options that change nothing without another, or beside one: (option, is it of use?, why not).
_OF_USE = (
    ("views_warm_up", lambda args: "views" in args.align, "is of --align views"),
    ("views_every", lambda args: "views" in args.align, "is of --align views"),
    ("scale_size", lambda args: args.scale == "box", "is of --scale box"),
    ("discrepancy", lambda args: args.domain_on, "compares with target batches, which --no_domain leaves out"),
    ("discrepancy_weight", lambda args: args.discrepancy, "weighs what --discrepancy adds"),
    ("domain_weight", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("domain_hid_dim", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("grl", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("domain_bn", lambda args: args.domain_on, "takes statistics of target batches, which --no_domain leaves out"),
)


def check_adaptation(args: Arguments, source: str) -> None:
    """Raise a `DuaError` for options that exclude each other or have no effect; puts the words of --align into one order.

    Args:
        source: 'h36m' or 'surreal'; Human3.6M's 2D can be a detector's.
    """
    args.align = sorted(set(args.align))
    if not (args.resume or args.evaluate):  # a checkpoint's options were checked when it was made
        for name, of_use, why in _OF_USE:
            if name in args.given and not of_use(args):
                raise DuaError(f"--{name} {why}; leave it out")
    if args.scale_size is not None and not 0 < args.scale_size < 10:
        raise DuaError(f"--scale_size {args.scale_size:g}: a length above 0 and below 10 is needed; a picture is 2 wide")
    if "views" in args.align and not (args.resume or args.evaluate):
        args.views_warm_up = args.views_warm_up or max(1, args.epochs // 2)
        if args.augment == ANY:
            raise DuaError(
                f"--augment {ANY} puts poses before cameras of every kind, --align views before the target's; leave one of them out"
            )
        if args.views_warm_up >= args.epochs:
            raise DuaError(
                f"--views_warm_up {args.views_warm_up} leaves none of {args.epochs} epochs to --align views; give fewer, or more --epochs"
            )
    if source == "h36m" and args.keypoints != "gt" and sees_anew(vars(args)):
        raise DuaError(
            f"--keypoints {args.keypoints}: --augment and --align gpa or views project the labels, so what is learnt from would be perfect 2D and no "
            "detector's; use --keypoints gt, or leave them out"
        )


def sees_anew(arguments: Mapping[str, Any]) -> bool:
    """Whether source poses are projected anew (`common.adaptation.augment`)."""
    return bool(arguments.get("augment") or {"gpa", "views"} & set(arguments.get("align") or ()))


def needs_target(args: argparse.Namespace) -> bool:
    """Whether training reads the target's 2D."""
    return _beside_target(args) or "views" in args.align


def _beside_target(args: argparse.Namespace) -> bool:
    """Whether every batch has poses of the target beside the source's."""
    return bool(args.domain_on or "gpa" in args.align)


def measure_size(args: argparse.Namespace, train: Poses | Streamed[Poses]) -> None:
    """Put the size that `--scale box` brings pictures to into the options, unless it is there: the mean of the training poses, as they
    are filmed or in turned cameras. Checkpoints keep it with the options, and tests take it from there."""
    if args.scale == "box" and args.scale_size is None:
        shown = TestTime(canonical="canonical" in args.align).shown(brought_into_memory(train, "--scale box"))
        args.scale_size = float(box_sizes(shown.inputs_2d).double().mean())


def views_of_target(
    arguments: Mapping[str, Any], target: UnlabelledPoses | Streamed[UnlabelledPoses], networks: Mapping[str, nn.Module]
) -> TargetViews:
    """What `--align views` draws from, in which nothing was predicted yet."""
    shown = target.thinned() if isinstance(target, Streamed) else target
    return TargetViews.of(networks, *_target_tensors(shown, arguments["align"]), Scale.of(arguments))


def adapted_batches(
    args: argparse.Namespace,
    train: Poses | Streamed[Poses],
    validation: Poses | None,
    load_target: Callable[[], UnlabelledPoses | Streamed[UnlabelledPoses]],
    device: torch.device,
    like_target: TargetViews | None = None,
) -> tuple[StepBatches | DomainBatches | SeenAnew, Callable[[], Poses] | None, dict[str, int]]:
    """The batches of an adapting run, its validation poses as training sees them (`validation_views`), and sizes for the log.

    Batches hold inputs_s, targets_s and, if a loss compares the domains, inputs_t.

    Args:
        like_target: of `--align views`.
    """
    sizes = {"source_train": len(train), "source_validation": 0 if validation is None else len(validation)}
    anew = sees_anew(vars(args))
    target = load_target() if needs_target(args) else None
    shown = target if not isinstance(target, Streamed) else target.thinned() if "gpa" in args.align else None

    def seen_validation() -> Poses:
        assert validation is not None
        return validation_views(vars(args), validation, shown, like_target).to(device)

    # Once for all, unless they follow the network.
    chosen_on = None if validation is None else seen_validation if like_target else cache(seen_validation)
    filmed, scale = TestTime.of(vars(args)), Scale.of(vars(args))

    def source_tensors(poses: Poses) -> tuple[Tensor, ...]:
        if anew:
            return _source_tensors(poses, args.align)
        seen = filmed.shown(poses)
        return seen.inputs_2d, seen.targets_3d

    def target_tensors(poses: UnlabelledPoses) -> tuple[Tensor, ...]:
        inputs, intrinsics = _target_tensors(poses, args.align)
        return (inputs, intrinsics) if anew else (scale(inputs),)

    source = make_batches(train, source_tensors, args, device)
    batches: StepBatches | DomainBatches = source
    if target is not None:
        sizes["target_train_2d"] = len(target)
        if _beside_target(args):
            batches = DomainBatches(source, make_batches(target, target_tensors, args, device, stream=1))
    if not anew:
        return batches, chosen_on, sizes
    views = _views(vars(args), like_target)
    if like_target is None:
        return SeenAnew(batches, views, args.seed), chosen_on, sizes
    followed = SeenAsTarget(batches, views, args.seed, like_target, args.views_warm_up, args.views_every)
    return followed, chosen_on, sizes


def validation_views(
    arguments: Mapping[str, Any],
    validation: Poses,
    target: UnlabelledPoses | None,
    like_target: TargetViews | None = None,
) -> Poses:
    """Validation poses as a run with these options sees them: in turned cameras, or projected anew.

    Those that are projected anew are so once, by a fixed seed, with poses of `target` if they are aligned with it. Those that are turned
    like the target's are so as the network predicts these now, also after epochs of warm-up, so that all epochs are judged alike. Their
    labels are the source's, so the best epoch and the calibration are chosen without a label of the target.
    """
    align = arguments.get("align") or ()
    if not sees_anew(arguments):
        return TestTime.of(arguments).shown(validation)
    generator = torch.Generator().manual_seed(0)
    batch = _source_tensors(validation, align)
    if "gpa" in align:
        assert target is not None
        rows = torch.randint(len(target), (len(validation),), generator=generator)
        batch = (*batch, *(tensor[rows] for tensor in _target_tensors(target, align)))
    views = _views(arguments, None if like_target is None else like_target.now())
    inputs, targets, *_ = replace(views, compare=False).see(batch, generator)
    return Poses(validation.name, inputs, targets, validation.sequences)


def _views(arguments: Mapping[str, Any], like_target: TargetViews | None) -> Views:
    align = arguments.get("align") or ()
    turned = None if like_target is None else like_target.turned
    return Views(
        arguments["augment"], "gpa" in align, "canonical" in align, bool(arguments["domain_on"]), Scale.of(arguments), turned
    )


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


def _centred(intrinsics: Tensor) -> Tensor:
    """Of cameras turned to the root: its ray is the optical axis, and lies in the middle."""
    return torch.cat([intrinsics[:, :2], torch.zeros_like(intrinsics[:, 2:])], dim=1)
