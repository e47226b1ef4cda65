"""What can be said of an adapted network without a label of its target, and a rule that picks one of several by it.

The scores are of the target's training 2D, and the smaller the better:

    uncovered     how far the target's pictures are from the nearest that the network learnt from, as its options had them seen; a share of a
                  person's size, %
    reprojection  how far predicted poses, put where their 2D says that they stand, are seen from it; a share of a person's size, %
    bones         how much a bone's length varies within a clip, and differs from left to right; a share of its length, %
    agreement     how far the poses of the mirrored and of the rolled picture, brought back, are from that of the picture, mm
    expected      the estimator's calibrated mean error, mm, where there is an estimator; no part of the rule

`pick` adds up logarithms, so that only ratios of a score count and no unit does. That the source shows what the target does not is no score: a
network that has seen more than it needs is none the worse for it (what was tried: docs/results.md).
"""

import argparse
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.beyond import asks_network
from common.adaptation.reproject import BoneLengths, Reprojection, both_sides
from common.adaptation.teacher import Teacher
from common.adaptation.training_views import adapted_batches, rays_of, target_inputs, views_of_target
from common.datasets.poses import Poses, UnlabelledPoses, training_split
from common.datasets.views import Scale
from common.evaluation.calibration import Calibration
from common.evaluation.evaluate import predict
from common.evaluation.metrics import joint_errors
from common.geometry.bones import bone_lengths
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.placement import NEAREST, seen_where_placed
from common.geometry.skeleton import ROOT
from models.domain_norm import select_domain

WEIGHTS = {"uncovered": 1.0, "reprojection": 1.0, "bones": 1.0, "agreement": 1.0}
"""Of the logarithms."""
_SEEN, _ASKED = 6000, 2000
"""Pictures of the source among which the nearest is looked for, and of the target."""


@torch.no_grad()
def label_free_scores(
    networks: Mapping[str, nn.Module],
    arguments: Mapping[str, Any],
    calibration: Calibration | None,
    source: Poses,
    target: UnlabelledPoses,
    in_2d: JointsIn2D = as_they_are,
) -> dict[str, float]:
    """{score: value} of a trained network.

    Args:
        networks: of its checkpoint.
        arguments: the options that it was trained with.
        calibration: of its estimator.
        source: training poses whose labels it learnt, in the skeleton that it learnt.
        target: training poses of the target.
        in_2d: poses in that skeleton to those joints of theirs that the target's 2D has.
    """
    cpu = torch.device("cpu")
    select_domain(networks["lifter"], "target")
    inputs, intrinsics = target_inputs(arguments, target)
    poses, uncertainty = predict(networks, inputs, cpu)
    rays = rays_of(target)
    reprojection = Reprojection(1.0, BoneLengths.of(source), "canonical" in (arguments.get("align") or ()), in_2d)
    lifters = {role: network for role, network in networks.items() if role in ("lifter", "uncertainty")}
    twin = Teacher(lifters, lifters, weight=0, decay=0, warm_up=0, seed=0, scale=Scale.of(arguments))
    turned, _ = twin.predict(inputs, intrinsics, twin.angles(len(inputs), 0))
    scores = {
        "uncovered": 100 * uncovered(*pictures(networks, arguments, source, target, in_2d)),
        "reprojection": 100 * reprojection_error(reprojection.in_camera(poses, rays), rays),
        "bones": 100 * bone_variation(poses, target),
        "agreement": 1000 * float(joint_errors(turned, poses)[:, ROOT + 1 :].mean()),
    }
    if uncertainty is not None and calibration is not None:
        scores["expected"] = float(calibration.millimetres(uncertainty, poses)[:, ROOT + 1 :].mean())
    return scores


def pictures(
    networks: Mapping[str, nn.Module],
    arguments: Mapping[str, Any],
    source: Poses,
    target: UnlabelledPoses,
    in_2d: JointsIn2D = as_they_are,
) -> tuple[Tensor, Tensor]:
    """Inputs of the source, as training with these options has them seen, and of the target as it is lifted; (N, 16, 2) each."""
    train, _ = training_split(source, "source")
    size = min(_SEEN, len(train), len(target))
    alone = {"domain_on": True, "discrepancy": None, "reproject": False, "teacher": False, "batch_size": size, "seed": 0}
    options = argparse.Namespace(**{**arguments, **alone})
    like = views_of_target(vars(options), target, networks, in_2d) if asks_network(vars(options)) else None
    batches, *_ = adapted_batches(options, train, None, lambda: target, torch.device("cpu"), like, in_2d)
    inputs_s, _, inputs_t, *_ = next(iter(batches.epoch(arguments.get("views_warm_up") or 0)))
    return inputs_s, inputs_t


def uncovered(inputs_s: Tensor, inputs_t: Tensor) -> float:
    """Mean distance of the target's pictures from the nearest of the source's: the root of a joint's mean square distance, where a person's is 1
    from the middle.

    Shape:
        inputs_s (N, 16, 2), inputs_t (M, 16, 2), of which the first are asked.
    """
    distances = torch.cdist(shapes(inputs_t[:_ASKED]), shapes(inputs_s))
    return float(distances.amin(1).double().mean()) / math.sqrt(inputs_t.shape[1])


def shapes(inputs_2d: Tensor) -> Tensor:
    """(N, 16, 2) pictures to (N, 32), about their middle and of one size, so that candidates whose cameras differ compare."""
    centred = inputs_2d - inputs_2d.mean(1, keepdim=True)
    return (centred / centred.square().sum(-1, keepdim=True).mean(1, keepdim=True).sqrt().clamp_min(1e-6)).flatten(1)


def reprojection_error(poses_3d: Tensor, rays: Tensor) -> float:
    """Mean distance of joints from where their 2D has them, over the 2D's spread about its middle; poses that stand where least squares
    put them. Those of whom the 2D does not say where count as wholly wrong, as do joints behind the camera.

    Shape:
        poses_3d (N, 16, 3) metres, axes of the target's own camera; rays (N, 16, 3), x/z, y/z, 1.
    """
    points, seen, known = seen_where_placed(poses_3d, rays)
    missed = torch.linalg.vector_norm(seen - rays[..., :2], dim=-1)
    middle = rays[..., :2].mean(1, keepdim=True)
    spread = torch.linalg.vector_norm(rays[..., :2] - middle, dim=-1).square().mean(1).sqrt().clamp_min(1e-6)
    shares = (missed / spread[:, None]).where(known[:, None] & (points[..., 2] > NEAREST), torch.ones(()))
    return float(shares.clamp_max(1).double().mean())


def bone_variation(poses_3d: Tensor, target: UnlabelledPoses) -> float:
    """Mean over bones of their standard deviation within a clip, and of the difference between left and right, over their mean length."""
    lengths = bone_lengths(poses_3d).double()
    mean = lengths.mean(0)
    within = torch.cat([lengths[of.start : of.stop] - lengths[of.start : of.stop].mean(0) for of in target.sequences])
    left, right = both_sides(lengths)
    sides = (left - right).abs().mean(0) / sum(both_sides(mean)) * 2
    return float((within.square().mean(0).sqrt() / mean).mean() + sides.mean())


def pick(scores: Mapping[str, Mapping[str, float]]) -> str:
    """The candidate with the least weighted sum of its scores' logarithms; of equals the first.

    Args:
        scores: {candidate: `label_free_scores`}.
    """
    return min(scores, key=lambda name: total(scores[name]))


def total(scores: Mapping[str, float]) -> float:
    return sum(weight * math.log(max(scores[name], 1e-6)) for name, weight in WEIGHTS.items())
