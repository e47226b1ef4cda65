"""Adaptation beyond DUA's three modules: options, and the batches that they make. The rest of the recipe is `common.adaptation.dua`."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.augment import ANY, SeenAnew, Views
from common.adaptation.reproject import BoneLengths, Reprojection, add_reproject_arguments
from common.adaptation.teacher import Teacher, add_teacher_arguments, check_teacher
from common.datasets.batches import DomainBatches, StepBatches
from common.datasets.block_batches import make_batches
from common.datasets.poses import Poses, UnlabelledPoses
from common.datasets.streamed import Streamed
from common.datasets.surreal_file import DETECTOR
from common.datasets.views import camera_up, canonical, canonical_rotations, screen_intrinsics, undistorted
from common.errors import DuaError
from common.evaluation.losses import DISCREPANCIES
from common.training.arguments import Arguments
from common.training.experiment import Experiment


def add_adaptation_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of methods that go beyond DUA; each works alone and with it."""
    group = parser.add_argument_group("beyond DUA")
    group.add_argument(
        "--align",
        nargs="+",
        choices=("gpa", "canonical"),
        default=[],
        help="gpa: source poses are seen where target poses stand, as large as they; canonical: cameras are turned to the root",
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
    add_reproject_arguments(group)
    add_teacher_arguments(group)
    group.add_argument("--tta", action="store_true", help="tests average a pose with that of its mirrored picture")
    group.add_argument(
        "--test_bn", action="store_true", help="tests on the target take BatchNorm's statistics from the 2D that they test"
    )


# Options that change nothing without another, or beside one: (option, is it of use?, why not).
_OF_USE = (
    ("discrepancy", lambda args: args.domain_on, "compares with target batches, which --no_domain leaves out"),
    ("discrepancy_weight", lambda args: args.discrepancy, "weighs what --discrepancy adds"),
    ("domain_weight", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("domain_hid_dim", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("grl", lambda args: not args.discrepancy, "belongs to the domain classifier, in whose place --discrepancy is"),
    ("reproject_weight", lambda args: args.reproject, "weighs what --reproject adds"),
    ("teacher_weight", lambda args: args.teacher, "weighs what --teacher adds"),
    ("teacher_decay", lambda args: args.teacher, "is of --teacher's running average"),
    ("teacher_warmup", lambda args: args.teacher, "is of --teacher's weight"),
    ("domain_bn", lambda args: lifts_target(vars(args)), "takes statistics of target batches, which --no_domain leaves out"),
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
    if source == "h36m" and args.keypoints != "gt" and sees_anew(vars(args)):
        raise DuaError(
            f"--keypoints {args.keypoints}: --augment and --align gpa project the labels, so what is learnt from would be perfect 2D and no "
            "detector's; use --keypoints gt, or leave them out"
        )


def sees_anew(arguments: Mapping[str, Any]) -> bool:
    """Whether source poses are projected anew (`common.adaptation.augment`)."""
    return bool(arguments.get("augment") or "gpa" in (arguments.get("align") or ()))


def lifts_target(arguments: Mapping[str, Any]) -> int:
    """How many tensors of a target batch a loss reads (inputs, intrinsics, rays), 0 if the target is not lifted in training."""
    return 3 if arguments.get("reproject") or arguments.get("teacher") else int(arguments["domain_on"])


def needs_target(args: argparse.Namespace) -> bool:
    """Whether training reads the target's 2D."""
    return bool(lifts_target(vars(args)) or "gpa" in args.align)


def adapted_batches(
    args: argparse.Namespace,
    train: Poses | Streamed[Poses],
    validation: Poses | None,
    load_target: Callable[[], UnlabelledPoses | Streamed[UnlabelledPoses]],
    device: torch.device,
) -> tuple[StepBatches | DomainBatches | SeenAnew, Poses | None, dict[str, int]]:
    """The batches of an adapting run, its validation poses as training sees them (`validation_views`), and sizes for the log.

    Batches hold inputs_s, targets_s and, if a loss compares the domains, inputs_t; for `--reproject` and `--teacher` also
    intrinsics_t (B, 4) and rays_t (B, 16, 3) of it.
    """
    sizes = {"source_train": len(train), "source_validation": 0 if validation is None else len(validation)}
    anew, read = sees_anew(vars(args)), lifts_target(vars(args))
    target = load_target() if needs_target(args) else None
    shown = target if not isinstance(target, Streamed) else target.thinned() if "gpa" in args.align else None
    views = None if validation is None else validation_views(vars(args), validation, shown).to(device)

    def source_tensors(poses: Poses) -> tuple[Tensor, ...]:
        if anew:
            return _source_tensors(poses, args.align)
        seen = _as_filmed(poses, args.align)
        return seen.inputs_2d, seen.targets_3d

    def target_tensors(poses: UnlabelledPoses) -> tuple[Tensor, ...]:
        tensors = _target_tensors(poses, args.align)
        return (*tensors, _rays(poses)) if read == 3 else tensors[: 2 if anew else 1]

    source = make_batches(train, source_tensors, args, device)
    batches: StepBatches | DomainBatches = source
    if target is not None:
        sizes["target_train_2d"] = len(target)
        batches = DomainBatches(source, make_batches(target, target_tensors, args, device, stream=1))
    return SeenAnew(batches, _views(vars(args)), args.seed) if anew else batches, views, sizes


OnTarget = Callable[[Tensor, Sequence[Tensor], int], dict[str, Tensor]]
"""(poses_t, target's tensors of the batch, step) -> {"loss": what is added to the objective, and its terms}."""


def target_losses(
    run: Experiment,
    args: argparse.Namespace,
    networks: Mapping[str, nn.Module],
    descriptions: Mapping[str, dict[str, Any]],
    train: Poses | Streamed[Poses],
    in_2d: nn.Module | None,
) -> tuple[list[OnTarget], Callable[[int], None] | None]:
    """Losses of the target's predicted poses, as the options switch them on, and what is to be done after each step."""
    losses: list[OnTarget] = []
    if args.reproject:
        losses.append(Reprojection(args.reproject_weight, BoneLengths.of(train, run.device), "canonical" in args.align, in_2d))
    if not args.teacher:
        return losses, None
    teacher = Teacher.of(run, args, networks, descriptions)
    return [*losses, teacher], teacher.follow


def validation_views(arguments: Mapping[str, Any], validation: Poses, target: UnlabelledPoses | None) -> Poses:
    """Validation poses as a run with these options sees them: in turned cameras, or projected anew.

    Those that are projected anew are so once, by a fixed seed, with poses of `target` if they are aligned with it. Their labels are
    the source's, so the best epoch and the calibration are chosen without a label of the target.
    """
    align = arguments.get("align") or ()
    if not sees_anew(arguments):
        return _as_filmed(validation, align)
    generator = torch.Generator().manual_seed(0)
    batch = _source_tensors(validation, align)
    if "gpa" in align:
        assert target is not None
        rows = torch.randint(len(target), (len(validation),), generator=generator)
        batch = (*batch, *(tensor[rows] for tensor in _target_tensors(target, align)))
    inputs, targets, *_ = _views(arguments).see(batch, generator)
    return Poses(validation.name, inputs, targets, validation.sequences)


def _as_filmed(poses: Poses, align: Collection[str]) -> Poses:
    """Labelled poses that are not projected anew: as they are, or in turned cameras."""
    return canonical(poses) if "canonical" in align else poses


def _views(arguments: Mapping[str, Any]) -> Views:
    align = arguments.get("align") or ()
    return Views(arguments["augment"], "gpa" in align, "canonical" in align, compare=lifts_target(arguments))


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


def _rays(poses: UnlabelledPoses) -> Tensor:
    """(N, 16, 3) x/z, y/z, 1 in the axes of the poses' own cameras, which are not turned, whatever the inputs are."""
    rays = undistorted(poses.inputs_2d, poses.sequences)
    return torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)


def _centred(intrinsics: Tensor) -> Tensor:
    """Of cameras turned to the root: its ray is the optical axis, and lies in the middle."""
    return torch.cat([intrinsics[:, :2], torch.zeros_like(intrinsics[:, 2:])], dim=1)
