"""DUA, whichever data set is the source: networks, how two domains pass through one network, and the loss.

The two directions (`train_surreal.py`, `train_h36m_dan.py`) differ in their data and in what the converter is applied to; the
objective is one and stands here once."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from common.adaptation.augment import ANY
from common.adaptation.beyond import OnTarget, asks_network, beside_target, read_of_target, target_losses
from common.adaptation.training_views import adapted_batches, measure_size, views_of_target
from common.compute.device import full_precision
from common.compute.synced import gathered
from common.datasets.poses import Poses, UnlabelledPoses, training_split
from common.datasets.streamed import Streamed, brought_into_memory
from common.errors import DuaError
from common.evaluation.evaluate import Validation, validate, validation_errors
from common.evaluation.losses import DISCREPANCIES, UNCERTAINTY_LOSSES, UNCERTAINTY_WEIGHTS, domain_loss
from common.evaluation.metrics import mpjpe
from common.evaluation.test_time import TestTime
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.skeleton import NUM_JOINTS
from common.mocap.filming import focal_span_of
from common.training.experiment import Experiment
from common.training.facts import ORACLE
from common.training.networks import feature_size, lifter_description, uncertainty_description
from common.training.trained_range import TrainedRange, focal_span
from models.domain_classifier import warm_start
from models.domain_norm import select_domain


def dua_descriptions(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """{role: description} of the networks to train, as the options switch them on.

    Raises:
        DuaError: options that contradict each other.
    """
    lifter = lifter_description(args, args.network, domain_bn=args.domain_bn and bool(read_of_target(vars(args))))
    descriptions = {"lifter": lifter}
    if args.uncertainty_on:
        descriptions["uncertainty"] = uncertainty_description(lifter, args.uncertainty_loss)
    elif args.uncertainty_loss != "relative":
        raise DuaError(f"--uncertainty_loss {args.uncertainty_loss}: of no use with --no_uncertainty; leave one of them out")
    if args.domain_on and not args.discrepancy:
        of_features = {"feature_size": feature_size(lifter)} if args.domain_of == "features" else {}
        descriptions["domain"] = {"name": "domain", "num_joints": NUM_JOINTS, "hid_dim": args.domain_hid_dim, **of_features}
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

    With `--domain_of features` D is given features. With `--discrepancy`, the last term is w times the distance of the two batches'
    features; with `--uncertainty_loss nll`, a Gaussian's negative log-likelihood stands in the place of |u_s - e_s|.

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
        with full_precision(features_s.device):  # of distances of large sums fewer bits leave nothing
            everything = (gathered(features.float().flatten(1)) for features in (features_s, features_t))
            terms["discrepancy"] = DISCREPANCIES[args.discrepancy](*everything)
        terms["loss"] = terms["loss"] + args.discrepancy_weight * terms["discrepancy"]
    elif args.domain_on and poses_t is not None and features_t is not None:
        warm = warm_start(step, alpha=args.grl_alpha, max_steps=args.grl_steps)
        coefficient = 1.0 if args.grl == "constant" else warm
        told_apart = (features_s, features_t) if args.domain_of == "features" else (poses_s, poses_t)
        terms["domain_loss"], terms["domain_accuracy"] = domain_loss(networks["domain"], *told_apart, coefficient)
        terms["loss"] = terms["loss"] + args.domain_weight * terms["domain_loss"]
    for term in on_target:
        assert poses_t is not None and features_t is not None  # noqa: PT018
        found = term(poses_t, features_t, target, step)
        terms |= found | {"loss": terms["loss"] + found["loss"]}
    return terms


def select_validation(
    args: argparse.Namespace,
    run: Experiment,
    networks: Mapping[str, nn.Module],
    source: Callable[[], Poses] | None,
    target: Poses | Streamed[Poses] | None,
) -> Callable[[], Validation] | None:
    """The errors that choose the best epoch: the source's validation split, with `--select target` the target's test set, or None.

    The latter is the published protocol; it is no adaptation without target labels, so the run is marked as an oracle. Its
    uncertainty is calibrated on the source all the same.
    """
    if source is None:
        return None
    if args.select == "target":
        assert target is not None
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
    oracle_test: Poses | Streamed[Poses] | None,
    skeleton: str,
    target: str,
    in_2d: JointsIn2D = as_they_are,
) -> None:
    """Train on the labels of `poses` and, where an option reads them, on the 2D joints of the target.

    Args:
        poses: the source, its labels in the skeleton that is learnt.
        load_target: reads the target's 2D joints, if they are needed.
        oracle_test: the target's labelled test, for `--select target` alone; None otherwise, so that no label of the target is in reach.
        skeleton: whose joints the networks predict, 'h36m' or 'smpl'.
        target: the target data set's name.
        in_2d: poses in `skeleton` to those joints of theirs that the target's 2D has.
    """
    train, held_out = training_split(poses, args.select)
    validation = None if held_out is None else brought_into_memory(held_out, "validation")
    measure_size(args, train)
    descriptions = dua_descriptions(args)
    networks = run.networks(**descriptions)
    load_target, like_target = cache(load_target), None
    if asks_network(vars(args)):
        like_target = views_of_target(vars(args), load_target(), networks, in_2d)
        like_target.keep_in(run)
    batches, chosen_on, sizes = adapted_batches(args, train, validation, load_target, run.device, like_target, in_2d)
    print(batches.describe())
    on_target, after_step = target_losses(run, args, networks, descriptions, train, in_2d)

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        return dua_loss(args, networks, batch, step, on_target)

    def seen() -> TrainedRange:
        # Aligned with the target, poses are seen by its cameras alone.
        turned = like_target if "views" in args.align else None
        of_target = load_target().sequences if beside_target(args) or turned else ()
        later = (turned.scale(turned.inputs_2d),) if turned else ()
        if args.augment == ANY and "gpa" not in args.align:
            return TrainedRange.of(batches, focal_span_of("any"), *later)
        return TrainedRange.of(batches, focal_span((*(() if "gpa" in args.align else train.sequences), *of_target)), *later)

    validate_epoch = select_validation(args, run, networks, source=chosen_on, target=oracle_test)
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
