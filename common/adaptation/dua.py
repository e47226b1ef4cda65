"""DUA, whichever data set is the source: options, networks, how two domains pass through one network, and the loss.

The two directions (`train_surreal.py`, `train_h36m_dan.py`) differ in their data and in what the converter is applied to; the
objective is one and stands here once."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.adaptation.augment import ANY
from common.adaptation.beyond import OnTarget, add_adaptation_arguments, lifts_target, needs_target, target_losses
from common.adaptation.training_views import adapted_batches, measure_size, views_of_target
from common.compute.synced import gathered
from common.datasets.poses import Poses, UnlabelledPoses, training_split
from common.datasets.streamed import Streamed, brought_into_memory
from common.datasets.surreal_file import DETECTOR
from common.errors import DuaError
from common.evaluation.evaluate import Validation, validate, validation_errors
from common.evaluation.losses import DISCREPANCIES, UNCERTAINTY_LOSSES, UNCERTAINTY_WEIGHTS, domain_loss
from common.evaluation.metrics import mpjpe
from common.evaluation.test_time import TestTime
from common.geometry.skeleton import NUM_JOINTS
from common.mocap.filming import FOCAL_SPAN
from common.training.arguments import Arguments
from common.training.checkpoint import BEST, LAST, checkpoint_file, load_checkpoint
from common.training.experiment import Experiment
from common.training.facts import ORACLE
from common.training.networks import lifter_description, uncertainty_description
from common.training.trained_range import TrainedRange
from models.domain_classifier import warm_start
from models.domain_norm import select_domain


def add_dua_arguments(parser: argparse.ArgumentParser, in_domain: bool = False) -> None:
    """Options of DUA's three modules; each switches off by itself. With `in_domain`, `--dua` and `--no_dua` as well."""
    group = parser.add_argument_group("DUA")
    if in_domain:
        which = group.add_mutually_exclusive_group()
        which.add_argument("--dua", dest="dua", action="store_true", default=None, help="adapt to the target data set")
        which.add_argument("--no_dua", dest="dua", action="store_false", default=None, help="train and test in domain")
    group.add_argument("--no_converter", dest="converter_on", action="store_false", help="without the pose converter")
    group.add_argument("--no_uncertainty", dest="uncertainty_on", action="store_false", help="without the uncertainty estimator")
    group.add_argument(
        "--no_domain", dest="domain_on", action="store_false", help="without the domain classifier and target batches"
    )
    group.add_argument(
        "--converter",
        metavar="FILE",
        help="checkpoint of conversion.py --format h36m, its run folder, or a folder of such runs for the newest; one that failed its own check "
        "is taken only if it is named (default: the newest in checkpoint/; if there is none, one is trained)",
    )
    in_words = "0.001 in DUA, 0.1 in domain" if in_domain else "0.001"
    group.add_argument("--uncertainty_weight", type=float, default=None, help=f"of the uncertainty loss (default: {in_words})")
    group.add_argument(
        "--domain_weight",
        type=float,
        default=0.001,
        help="of the domain loss; 0 is a control: target batches still shape BatchNorm's statistics (default: %(default)s)",
    )
    group.add_argument("--domain_hid_dim", type=int, default=128, help="width of the domain classifier (default: %(default)s)")
    group.add_argument(
        "--grl",
        choices=("warm", "constant"),
        default="warm",
        help="reversed gradient: warm start, or 1 throughout (default: warm)",
    )
    group.add_argument("--grl_alpha", type=float, default=1.0, help="steepness of the warm start (default: %(default)s)")
    group.add_argument("--grl_steps", type=int, default=1000, help="scale of the warm start in steps (default: %(default)s)")
    group.add_argument(
        "--domain_bn",
        action="store_true",
        help="BatchNorm statistics of each domain apart; tests on the target use the target's (default: one set, fed by both in turn)",
    )
    group.add_argument(
        "--smpl_shoulders",
        choices=("shoulder", "collar"),
        default="shoulder",
        help="SMPL joints that count as shoulders; the published code takes the collars (default: %(default)s)",
    )
    add_adaptation_arguments(parser)


def dua_descriptions(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """{role: description} of the networks to train, as the options switch them on.

    Raises:
        DuaError: options that contradict each other.
    """
    lifter = lifter_description(args, args.network, domain_bn=args.domain_bn and bool(lifts_target(vars(args))))
    descriptions = {"lifter": lifter}
    if args.uncertainty_on:
        descriptions["uncertainty"] = uncertainty_description(lifter, args.uncertainty_loss)
    elif args.uncertainty_loss != "relative":
        raise DuaError(f"--uncertainty_loss {args.uncertainty_loss}: of no use with --no_uncertainty; leave one of them out")
    if args.domain_on and not args.discrepancy:
        descriptions["domain"] = {"name": "domain", "num_joints": NUM_JOINTS, "hid_dim": args.domain_hid_dim}
    return descriptions


def forward_domains(
    lifter: nn.Module, inputs_s: Tensor, inputs_t: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Lift a source and a target batch, one after the other, as the published code does.

    While training, BatchNorm thus normalises each domain by its own batch. Its running statistics, which tests use on either
    domain, take from both by turns and end up half way between; with `--domain_bn` there is a set for each domain, and a test
    on the target uses the target's (`models.domain_norm`). Without target inputs this is a plain forward pass.

    Returns:
        poses_s (B, 16, 3), features_s (B, F), and poses_t, features_t alike, or None.
    """
    select_domain(lifter, "source")
    poses_s, features_s = lifter(inputs_s)
    if inputs_t is None:
        return poses_s, features_s, None, None
    select_domain(lifter, "target")
    return poses_s, features_s, *lifter(inputs_t)


def dua_loss(
    args: argparse.Namespace,
    networks: Mapping[str, nn.Module],
    batch: tuple[Tensor, ...],
    step: int,
    on_target: Sequence[OnTarget] = (),
) -> dict[str, Tensor]:
    """DUA's objective (Manesco et al., Sensors 2023, 23(17), 7312), without any label of the target:

        MSE + 0.1 L1 of the source's poses + w_u |u_s - e_s| + w_d BCE(D(GRL(poses of both domains)))

    With `--discrepancy`, the last term is w times the distance of the two batches' features; with `--uncertainty_loss nll`, a
    Gaussian's negative log-likelihood stands in the place of |u_s - e_s|.

    Args:
        batch: inputs_s (B, 16, 2), targets_s (B, 16, 3) and, where the target is lifted, inputs_t (B, 16, 2) and what else
            `on_target` reads.
        on_target: losses of the target's predicted poses (`--reproject`, `--teacher`).

    Returns:
        Scalars for `common.training.loop.Trainer`: "loss", its terms, "mpjpe" of the source and "domain_accuracy".
    """
    inputs_s, targets_s, *target = batch
    poses_s, features_s, poses_t, features_t = forward_domains(networks["lifter"], inputs_s, *target[:1])
    pose = F.mse_loss(poses_s[:, 1:], targets_s[:, 1:]) + 0.1 * F.l1_loss(poses_s[:, 1:], targets_s[:, 1:])
    terms = {"loss": pose, "pose_loss": pose, "mpjpe": mpjpe(poses_s, targets_s).mean()}
    if args.uncertainty_on:
        weight = UNCERTAINTY_WEIGHTS["DUA"] if args.uncertainty_weight is None else args.uncertainty_weight
        estimated = networks["uncertainty"](features_s)
        terms["uncertainty_loss"] = UNCERTAINTY_LOSSES[args.uncertainty_loss](estimated, poses_s, targets_s)
        terms["loss"] = terms["loss"] + weight * terms["uncertainty_loss"]
    if args.discrepancy and features_t is not None:
        # In float32 whatever --precision says: small differences of large sums, of which bfloat16 leaves nothing.
        with torch.autocast(features_s.device.type, enabled=False):
            everything = (gathered(features.float().flatten(1)) for features in (features_s, features_t))
            terms["discrepancy"] = DISCREPANCIES[args.discrepancy](*everything)
        terms["loss"] = terms["loss"] + args.discrepancy_weight * terms["discrepancy"]
    elif args.domain_on and poses_t is not None:
        warm = warm_start(step, alpha=args.grl_alpha, max_steps=args.grl_steps)
        coefficient = 1.0 if args.grl == "constant" else warm
        terms["domain_loss"], terms["domain_accuracy"] = domain_loss(networks["domain"], poses_s, poses_t, coefficient)
        terms["loss"] = terms["loss"] + args.domain_weight * terms["domain_loss"]
    for term in on_target:
        assert poses_t is not None
        found = term(poses_t, target, step)
        terms |= found | {"loss": terms["loss"] + found["loss"]}
    return terms


_ONLY_IN_DUA = (
    "converter_on", "uncertainty_on", "domain_on", "converter", "domain_weight", "domain_hid_dim", "grl", "grl_alpha", "grl_steps",
    "domain_bn", "keypoints", "align", "augment", "discrepancy", "discrepancy_weight", "tta", "test_bn", "reproject",
    "reproject_weight", "teacher", "teacher_weight", "teacher_decay", "teacher_warmup", "views_warm_up", "views_every", "scale",
    "scale_size",
)  # fmt: skip


def decide_dua(args: Arguments) -> bool:
    """Which of its two experiments `train_surreal.py` runs; says so, and why, in the first line printed."""
    given = args.resume or args.evaluate
    if given:
        experiment = load_checkpoint(checkpoint_file(given, LAST if args.resume else BEST))["experiment"]
        if args.dua is not None and args.dua != (experiment == "surreal_dua"):
            raise DuaError(f"{given} is of experiment '{experiment}': leave out {'--dua' if args.dua else '--no_dua'}")
        args.dua, why = experiment == "surreal_dua", f"{given} is of experiment '{experiment}'"
    elif args.dua is not None:
        why = f"{'--dua' if args.dua else '--no_dua'} was given"
    else:
        folder = Path(args.checkpoint).name
        args.dua = "dua" in folder.lower()
        why = f"neither --dua nor --no_dua was given, and the checkpoint folder '{folder}' {'has' if args.dua else 'lacks'} 'dua' in its name"
    useless = [name for name in _ONLY_IN_DUA if name in args.given]
    if "keypoints" in useless and args.keypoints == DETECTOR:  # SURREAL's own files can have a detector's 2D
        useless.remove("keypoints")
    useless += ["select target"] if args.select == "target" else []
    if not args.dua and useless:
        names = ", ".join(f"--no_{name.removesuffix('_on')}" if name.endswith("_on") else f"--{name}" for name in useless)
        raise DuaError(f"{names}: of no use in domain ({why}); leave it out, or add --dua")
    print(f"experiment: {'DUA, SURREAL -> Human3.6M' if args.dua else 'in domain, SURREAL'}; {why}", flush=True)
    return args.dua


def select_validation(
    args: argparse.Namespace,
    run: Experiment,
    networks: Mapping[str, nn.Module],
    source: Callable[[], Poses] | None,
    target: Poses | Streamed[Poses],
) -> Callable[[], Validation] | None:
    """The errors that choose the best epoch: the source's validation split, with `--select target` the target's test set, or None.

    The latter is the published protocol; it is no adaptation without target labels, so the run is marked as an oracle. Its
    uncertainty is calibrated on the source all the same.
    """
    if source is None:
        return None
    if args.select == "target":
        print(f"--select target: {ORACLE}; such a result is no measure of unsupervised adaptation")
        test = brought_into_memory(target, "--select target")
        test = TestTime.of(vars(args)).shown(test)

        def by_target() -> Validation:
            calibration = validate(networks, source(), run.device, domain="source").calibration
            return Validation(validation_errors(networks, test, run.device, domain="target"), calibration)

        return by_target
    return lambda: validate(networks, source(), run.device, domain="source")


def train_adapted(
    run: Experiment,
    args: argparse.Namespace,
    poses: Poses,
    load_target: Callable[[], UnlabelledPoses],
    tests: Mapping[str, Poses],
    skeleton: str,
    target: str,
    in_2d: nn.Module | None = None,
) -> None:
    """Train on the labels of `poses` and, where an option reads them, on the 2D joints of the target.

    Args:
        poses: the source, its labels in the skeleton that is learnt.
        load_target: reads the target's 2D joints, if they are needed.
        tests: what `run.report` tests on; read here only by `--select target`.
        skeleton: whose joints the networks predict, 'h36m' or 'smpl'.
        target: the target data set's name.
        in_2d: the converter to `skeleton` from that of the target's 2D, where it is another and there is one.
    """
    train, held_out = training_split(poses, args.select)
    validation = None if held_out is None else brought_into_memory(held_out, "validation")
    measure_size(args, train)
    descriptions = dua_descriptions(args)
    networks = run.networks(**descriptions)
    load_target, like_target = cache(load_target), None
    if "views" in args.align:
        like_target = views_of_target(vars(args), load_target(), networks)
        like_target.keep_in(run)
    batches, chosen_on, sizes = adapted_batches(args, train, validation, load_target, run.device, like_target)
    print(batches.describe())
    on_target, after_step = target_losses(run, args, networks, descriptions, train, in_2d)

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        return dua_loss(args, networks, batch, step, on_target)

    def seen() -> TrainedRange:
        # Whichever of the target's poses they are, its cameras are the same; aligned with it, poses are seen by them alone.
        of_target = next(iter(tests.values())).sequences if needs_target(args) else ()
        later = () if like_target is None else (like_target.scale(like_target.inputs_2d),)
        found = TrainedRange.of(batches, (*(() if "gpa" in args.align else train.sequences), *of_target), *later)
        return replace(found, focal_length=FOCAL_SPAN) if args.augment == ANY and "gpa" not in args.align else found

    validate_epoch = select_validation(args, run, networks, source=chosen_on, target=next(iter(tests.values())))
    run.train(
        batches,
        loss,
        validate_epoch,
        skeleton=skeleton,
        source=poses.name,
        target=target,
        seen=seen,
        after_step=after_step,
        **sizes,
    )
