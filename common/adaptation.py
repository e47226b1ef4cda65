"""Adaptation beyond DUA's three modules: options, and the batches that they make. The rest of the recipe is `common.dua`."""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from common.augment import SeenAnew
from common.batches import DomainBatches, ShuffledBatches
from common.discrepancy import DISCREPANCIES
from common.errors import DuaError
from common.poses import Poses, UnlabelledPoses
from common.views import camera_up, canonical, canonical_2d, canonical_rotations, screen_intrinsics


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
        action="store_true",
        help="source poses are projected anew in every batch: other limbs, headings, mirror images, cameras",
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


def check_adaptation(args: argparse.Namespace) -> None:
    """Raise a `DuaError` for options that exclude each other; puts the words of --align into one order."""
    args.align = sorted(set(args.align))
    if args.discrepancy and not args.domain_on:
        raise DuaError("--discrepancy compares with target batches, which --no_domain leaves out; leave out one of the two")


def needs_target(args: argparse.Namespace) -> bool:
    """Whether training reads the target's 2D."""
    return bool(args.domain_on or "gpa" in args.align)


def adaptation_names(arguments: dict) -> list[str]:
    """What results name beside DUA's modules."""
    names = [*(arguments.get("align") or ())]
    names += [arguments["discrepancy"]] if arguments.get("discrepancy") else []
    return names + [name for name in ("augment", "tta", "test_bn") if arguments.get(name)]


def adapted_batches(
    args: argparse.Namespace, train: Poses, validation: Poses, load_target: Callable[[], UnlabelledPoses], device: torch.device
) -> tuple[ShuffledBatches | DomainBatches | SeenAnew, Poses, dict[str, int]]:
    """The batches of an adapting run, its validation poses as training sees them, and sizes for the log.

    Batches hold inputs_s, targets_s and, if a loss compares the domains, inputs_t. Validation poses that are seen anew are so
    once, by a fixed seed: their labels are the source's, and the best epoch is chosen on views like those that are learnt.
    """
    centred = "canonical" in args.align
    sizes = {"source_train": len(train), "source_validation": len(validation)}
    target = load_target() if needs_target(args) else None
    if target is not None:
        target = (canonical_2d(target) if centred else target).to(device)
        sizes["target_train_2d"] = len(target)

    source = _source_tensors(train, centred, device) if args.augment or "gpa" in args.align else None
    validation_tensors = _source_tensors(validation, centred, device)
    if centred:
        train, validation = canonical(train), canonical(validation)
    train, validation = train.to(device), validation.to(device)

    def batches_of(tensors: tuple[Tensor, ...], target_tensors: tuple[Tensor, ...] | None) -> ShuffledBatches | DomainBatches:
        first = ShuffledBatches(*tensors, batch_size=args.batch_size, seed=args.seed)
        if target_tensors is None:
            return first
        return DomainBatches(first, ShuffledBatches(*target_tensors, batch_size=args.batch_size, seed=args.seed, stream=1))

    if source is None:
        plain = batches_of((train.inputs_2d, train.targets_3d), None if target is None else (target.inputs_2d,))
        return plain, validation, sizes
    target_tensors = None
    if target is not None:
        intrinsics_t = _intrinsics(target, centred).to(device)
        target_tensors = (target.inputs_2d, intrinsics_t)
    anew = SeenAnew(
        batches_of(source, target_tensors), args.augment, "gpa" in args.align, centred, bool(args.domain_on), args.seed
    )
    generator = torch.Generator().manual_seed(0)
    batch = validation_tensors
    if target_tensors is not None:
        rows = torch.randint(len(target_tensors[0]), (len(validation),), generator=generator).to(device)
        batch = (*batch, *(tensor[rows] for tensor in target_tensors))
    inputs, targets, *_ = anew.see(batch, generator)
    return anew, Poses(validation.name, inputs, targets, validation.sequences), sizes


def _source_tensors(poses: Poses, centred: bool, device: torch.device) -> tuple[Tensor, ...]:
    """inputs, targets, roots, up, intrinsics of source poses, for `common.augment.SeenAnew`."""
    assert poses.roots_3d is not None, "loaders of labelled poses give roots"
    up = camera_up(poses.sequences)
    intrinsics = _intrinsics(poses, centred)
    if centred:
        _, rotations = canonical_rotations(poses.inputs_2d.cpu(), poses.sequences)
        up = torch.einsum("nij,nj->ni", rotations, up)
        poses = canonical(poses)
    tensors = (poses.inputs_2d, poses.targets_3d, poses.roots_3d, up, intrinsics)
    return tuple(tensor.to(device) for tensor in tensors if tensor is not None)


def _intrinsics(poses: Poses | UnlabelledPoses, centred: bool) -> Tensor:
    intrinsics = screen_intrinsics(poses.sequences)
    if centred:
        intrinsics[:, 2:] = 0  # the root's ray is the optical axis, and lies in the middle
    return intrinsics
