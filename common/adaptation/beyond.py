"""Adaptation beyond DUA's three modules: options, what they need of the target, and losses of it. The batches that they make are
`common.adaptation.training_views`, the rest of the recipe `common.adaptation.dua`."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from common.adaptation.augment import ANY
from common.adaptation.reproject import BoneLengths, Reprojection, add_reproject_arguments
from common.adaptation.target_views import add_views_arguments
from common.adaptation.teacher import Teacher, add_teacher_arguments, check_teacher
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.datasets.surreal_file import DETECTOR
from common.datasets.views import SCALES
from common.errors import DuaError
from common.evaluation.losses import DISCREPANCIES
from common.geometry.joints_in_2d import JointsIn2D
from common.training.arguments import Arguments
from common.training.experiment import Experiment


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
        "--new_poses",
        action="store_true",
        help="source poses are made anew in every batch, with arms and legs of each other's, and projected",
    )
    group.add_argument(
        "--target_poses",
        action="store_true",
        help="source bodies strike poses that the network predicts of the target's people, and are projected",
    )
    group.add_argument(
        "--target_joints",
        action="store_true",
        help="source poses are seen by the joints that the target's 2D has: projected as the converter makes them (SURREAL), or by the converter run "
        "backwards (Human3.6M)",
    )
    group.add_argument(
        "--discrepancy",
        choices=list(DISCREPANCIES),
        default=None,
        help="distance between the features of the domains, in place of the domain classifier",
    )
    group.add_argument("--discrepancy_weight", type=float, default=0.01, help="of that distance (default: %(default)s)")
    add_reproject_arguments(group)
    add_teacher_arguments(group)
    group.add_argument("--tta", action="store_true", help="tests average a pose with that of its mirrored picture")
    group.add_argument(
        "--test_bn", action="store_true", help="tests on the target take BatchNorm's statistics from the 2D that they test"
    )


_CLASSIFIERS = ("domain_weight", "domain_of", "domain_hid_dim", "grl", "grl_alpha", "grl_steps")

# Options that change nothing without another, or beside one: (option, is it of use?, why not).
_OF_USE = (
    ("views_warm_up", lambda args: asks_network(vars(args)), "is of --align views or --target_poses"),
    ("views_every", lambda args: asks_network(vars(args)), "is of --align views or --target_poses"),
    ("scale_size", lambda args: args.scale == "box", "is of --scale box"),
    ("discrepancy", lambda args: args.domain_on, "compares with target batches, which --no_domain leaves out"),
    ("discrepancy_weight", lambda args: args.discrepancy, "weighs what --discrepancy adds"),
    *(
        (name, lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is")
        for name in _CLASSIFIERS
    ),
    *(
        (name, lambda args: args.domain_on, "belongs to the domain classifier, which --no_domain leaves out")
        for name in _CLASSIFIERS
    ),
    ("grl_alpha", lambda args: args.grl == "warm", "is of --grl warm"),
    ("grl_steps", lambda args: args.grl == "warm", "is of --grl warm"),
    ("uncertainty_weight", lambda args: args.uncertainty_on, "weighs the estimator's loss, which --no_uncertainty leaves out"),
    ("reproject_weight", lambda args: args.reproject, "weighs what --reproject adds"),
    ("teacher_weight", lambda args: args.teacher, "weighs what --teacher adds"),
    ("teacher_decay", lambda args: args.teacher, "is of --teacher's running average"),
    ("teacher_warmup", lambda args: args.teacher, "is of --teacher's weight"),
    ("domain_bn", lambda args: read_of_target(vars(args)), "takes statistics of target batches, which --no_domain leaves out"),
    ("converter", lambda args: args.converter_on, "names what --no_converter leaves out"),
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
    check_teacher(args)
    if args.reproject and args.keypoints == DETECTOR:
        raise DuaError(
            f"--keypoints {DETECTOR}: --reproject would pull poses to that detector's joints, which are other points of the body than those "
            "that are learnt; leave one of them out"
        )
    if args.scale_size is not None and not 0 < args.scale_size < 10:
        raise DuaError(f"--scale_size {args.scale_size:g}: a length above 0 and below 10 is needed; a picture is 2 wide")
    if asks_network(vars(args)) and not (args.resume or args.evaluate):
        args.views_warm_up = args.views_warm_up or max(1, args.epochs // 2)
        if "views" in args.align and args.augment == ANY:
            raise DuaError(
                f"--augment {ANY} puts poses before cameras of every kind, --align views before the target's; leave one of them out"
            )
        if args.views_warm_up >= args.epochs:
            raise DuaError(
                f"--views_warm_up {args.views_warm_up} leaves none of {args.epochs} epochs to --align views or --target_poses; give fewer, or "
                "more --epochs"
            )
    if args.target_joints and not args.converter_on:
        raise DuaError("--target_joints needs the converter, which --no_converter leaves out; leave one of them out")
    if args.target_joints and source == "surreal" and sees_anew(vars(args) | {"target_joints": False}):
        raise DuaError(
            "--target_joints: --augment, --new_poses, --target_poses and --align gpa or views project SURREAL's labels as the converter made "
            "them, in the target's joints, anyway; leave it out"
        )
    if source == "h36m" and args.keypoints != "gt" and sees_anew(vars(args)):
        raise DuaError(
            f"--keypoints {args.keypoints}: --augment, --new_poses, --target_poses, --target_joints and --align gpa or views project the labels, "
            "so what is learnt from would be perfect 2D and no detector's; use --keypoints gt, or leave them out"
        )


def sees_anew(arguments: Mapping[str, Any]) -> bool:
    """Whether source poses are projected anew (`common.adaptation.augment`)."""
    drawn = any(arguments.get(name) for name in ("augment", "new_poses", "target_poses", "target_joints"))
    return drawn or bool({"gpa", "views"} & set(arguments.get("align") or ()))


def asks_network(arguments: Mapping[str, Any]) -> bool:
    """Whether source poses take after the target's, as the network predicts these (`common.adaptation.target_views`)."""
    return "views" in (arguments.get("align") or ()) or bool(arguments.get("target_poses"))


def read_of_target(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors of a target batch that losses read, in its order; none if the target is not lifted in training.

    `intrinsics_t` (B, 4) are of the lens that shows `inputs_t` (B, 16, 2); `rays_t` (B, 16, 3) are as the target is filmed."""
    if arguments.get("reproject") or arguments.get("teacher"):
        return "inputs_t", "intrinsics_t", "rays_t"
    return ("inputs_t",) if arguments["domain_on"] else ()


def needs_target(args: argparse.Namespace) -> bool:
    """Whether training reads the target's 2D."""
    return beside_target(args) or asks_network(vars(args))


def beside_target(args: argparse.Namespace) -> bool:
    """Whether every batch has poses of the target beside the source's."""
    return bool(read_of_target(vars(args)) or "gpa" in args.align)


OnTarget = Callable[[Tensor, Tensor, Sequence[Tensor], int], dict[str, Tensor]]
"""(poses_t, features_t, target's tensors of the batch, step) -> {"loss": what is added to the objective, and its terms}."""


def target_losses(
    run: Experiment,
    args: argparse.Namespace,
    networks: Mapping[str, nn.Module],
    descriptions: Mapping[str, dict[str, Any]],
    train: Poses | Streamed[Poses],
    in_2d: JointsIn2D,
) -> tuple[list[OnTarget], Callable[[int], None] | None]:
    """Losses of the target's predicted poses, as the options switch them on, and what is to be done after each step."""
    losses: list[OnTarget] = []
    if args.reproject:
        losses.append(Reprojection(args.reproject_weight, BoneLengths.of(train, run.device), "canonical" in args.align, in_2d))
    if not args.teacher:
        return losses, None
    teacher = Teacher.of(run, args, networks, descriptions)
    return [*losses, teacher], teacher.follow
