"""What `evaluate.py --uncertainty` judges and prints: every uncertainty that a checkpoint has, on every test set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.converter import labels_for
from common.datasets.poses import Poses
from common.errors import DuaError
from common.evaluation.calibration import UNITS, Calibration, stored_calibration
from common.evaluation.evaluate import predict, uncertainty_unit, validate
from common.training.facts import describe, domain_of
from common.uncertainty.consistency import inconsistency
from common.uncertainty.mc_dropout import spread_under_dropout
from common.uncertainty.scores import BINS, Scores, score
from common.uncertainty.shown import Shown, shown_test, source_validation
from models.domain_norm import select_domain

HEADS = dict(zip(UNITS, ("relative head", "nll head"), strict=True))
CONSTANT, CONSISTENCY = "constant", "consistency"
RAW_LABELS = "raw"
"""Of a data set, in a skeleton that the network does not predict."""
COLUMNS = (
    "source",
    "target",
    "network",
    "modules",
    "selection",
    "seed",
    "2D",
    "method",
    "test",
    "domain",
    "labels",
    "MPJPE",
    "AUSE pose",
    "AUSE joint",
    "ENCE",
    "rank corr. pose",
    "rank corr. joint",
    "coverage 90 %",
    "radius 90 %",
    "weighted coverage",
    "weighted radius",
)
LEGEND = f"""\
relative head, nll head: the estimator in the checkpoint; MC-dropout: spread of stochastic passes; consistency: distance from the
mirrored picture's pose, and of the pose from its own picture; constant: the same for all joints, with radii if the consistency is judged.
All are read through conformal quantiles of the source's validation split, heads and MC-dropout through isotonic curves as well; all of a
checkpoint are judged on the same predictions, made without dropout.
AUSE: area between sparsification curve and oracle, both divided by the error of all; of poses by MPJPE, and of single joints.
ENCE: mean over {BINS} groups of |expected - true| / expected error of a joint. Rank correlation: Spearman's, with the true error.
coverage: % of joints within the radius that holds 90 % of the source's validation; MPJPE and radius (its mean) in mm, of plain
predictions, means over poses. Weighted: radii of 90 % in which poses of that split count by how much they are like those of the clip, told
by a classifier of their 2D.
labels: those in the skeleton that the network predicts; where no converter brings them there, the data set's own, marked 'raw'."""

DEFINITIONS = {
    "ause": "mean over k of (error left without the k most uncertain - without the k worst) / error of all; 0 is perfect",
    "ence": f"mean over {BINS} groups of equal size of |mean expected - mean true error| / mean expected error, of joints",
    "joints": "all but the hip; 'pose' means the mean of 16 joints",
    "radius_mm": "mean radius around a joint that held this share of joints of the source's validation split",
    "spearman": "rank correlation of expected and true error",
}


Estimate = Callable[[Shown, Tensor], Tensor]
"""Shown poses and what is predicted of them (N, 16, 3) to (N, 16), in metres or as the estimator has it."""


@dataclass(frozen=True)
class Judged:
    """One row: an uncertainty on a test set.

    Attributes:
        facts: of the checkpoint (`common.training.facts.describe`) and "checkpoint", its file.
        method: one of `HEADS`, 'MC-dropout (N)', `CONSISTENCY` or `CONSTANT`.
        domain: 'in domain' or 'across'.
        labels: the skeleton they are in, and how they came there.
    """

    facts: dict[str, Any]
    method: str
    test: str
    keypoints: str
    domain: str
    labels: str
    scores: Scores

    def row(self) -> tuple[str, ...]:
        s = self.scores
        return (
            self.facts["source"], self.facts["target"] or "-", self.facts["network"],
            "+".join(self.facts["modules"]) or "-", self.facts["selection"], str(self.facts["seed"]), self.keypoints,
            self.method, self.test, self.domain, self.labels, f"{s.mpjpe_mm:.1f}", f"{s.ause_pose:.3f}", f"{s.ause_joint:.3f}",
            *("-" if value is None else f"{value:.3f}" for value in (s.ence, s.spearman_pose, s.spearman_joint)),
            "-" if s.coverage is None else f"{100 * s.coverage['90%']:.1f}",
            "-" if s.radius_mm is None else f"{s.radius_mm['90%']:.1f}",
            "-" if s.weighted_coverage is None else f"{100 * s.weighted_coverage:.1f}",
            "-" if s.weighted_radius_mm is None else f"{s.weighted_radius_mm:.1f}",
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        named = ("method", "test", "keypoints", "domain", "labels")
        return self.facts | {name: getattr(self, name) for name in named} | self.scores.to_dict()


def judge(
    file: Path,
    checkpoint: Mapping[str, Any],
    networks: Mapping[str, nn.Module],
    tests: Sequence[tuple[Poses, str]],
    device: torch.device,
    data_dir: str,
    downsample: int,
    passes: int | None = None,
    consistency: bool = False,
) -> list[Judged]:
    """Every uncertainty of a checkpoint on every test set, and on each a constant one for reference.

    Plain predictions are judged, without `--tta` and `--test_bn`: it is them that the calibration was fitted to.

    Args:
        tests: (poses, where their 2D came from).
        data_dir: where the source's training data are, for what was not calibrated in training.
        passes: of MC-dropout; None for none.
        consistency: whether it is judged how consistent poses are with their pictures and these mirrored; the constant then has radii too.

    Raises:
        DuaError: the checkpoint has no uncertainty, its calibration is damaged, the source's data are needed and missing, or its converter
            is needed and cannot be run backwards.
    """
    if "published" in checkpoint:
        raise DuaError(
            f"{file} holds another project's weights: no uncertainty estimator, and no word of the poses that one could be calibrated on; "
            "leave --uncertainty out"
        )
    methods: dict[str, tuple[Estimate, Calibration]] = {}

    @cache
    def validation() -> Shown:
        return source_validation(file, checkpoint, networks, data_dir, downsample)

    @cache
    def predicted_validation() -> Tensor:
        return predict(networks, validation().poses.inputs_2d, device)[0]

    def calibrated(estimate: Estimate, proportional: bool = False) -> Calibration:
        poses = validation().poses
        select_domain(networks["lifter"], "source")  # after the views, for which the network may be asked about the target
        predicted = predicted_validation()
        uncertainty = estimate(validation(), predicted)
        return Calibration.fit(uncertainty, predicted, poses.targets_3d, "metres", poses.inputs_2d, proportional)

    def estimated(shown: Shown, predicted: Tensor) -> Tensor:
        uncertainty = predict(networks, shown.poses.inputs_2d, device)[1]
        assert uncertainty is not None
        return uncertainty

    if "uncertainty" in networks:
        # Older checkpoints, and those of a run that was stopped in an epoch, have none yet.
        calibration = stored_calibration(checkpoint, file) or validate(networks, validation().poses, device).calibration
        assert calibration is not None
        methods[HEADS[uncertainty_unit(networks)]] = estimated, calibration
    if passes:

        def spread(shown: Shown, predicted: Tensor) -> Tensor:
            try:
                return spread_under_dropout(networks, shown.poses.inputs_2d, device, passes)
            except DuaError as error:
                raise DuaError(f"{file}: {error}") from error

        methods[f"MC-dropout ({passes})"] = spread, calibrated(spread)
    if consistency:

        def inconsistent(shown: Shown, predicted: Tensor) -> Tensor:
            try:
                in_2d = shown.in_2d(networks)
            except DuaError as error:
                raise DuaError(
                    f"{file}: its converter is of an older conversion.py and cannot be run backwards, which tells where SURREAL's 2D has the joints "
                    "that are predicted; leave --consistency out, or train it anew with a converter of today's"
                ) from error
            return inconsistency(networks, shown.poses.inputs_2d, shown.rays, device, predicted, in_2d)

        def constant(shown: Shown, predicted: Tensor) -> Tensor:
            return torch.ones_like(predicted[..., 0])

        methods[CONSISTENCY] = inconsistent, calibrated(inconsistent, proportional=True)
        methods[CONSTANT] = constant, calibrated(constant, proportional=True)
    if not methods:
        raise DuaError(
            f"{file} has no uncertainty estimator; add --consistency or --mc_dropout to judge the network's own spread, or leave --uncertainty out"
        )

    plain = checkpoint["arguments"] | {"tta": False, "test_bn": False}
    facts = describe({**checkpoint, "arguments": plain}) | {"checkpoint": str(file)}
    rows = []
    for raw, keypoints in tests:
        labelled = labels_for(checkpoint, networks, raw)
        shown = shown_test(checkpoint, raw if labelled is None else labelled)
        poses = shown.poses  # in turned axes, if it is so: uncertainties are the same
        skeleton = checkpoint["skeleton"]["definition"]
        labels = RAW_LABELS if labelled is None else skeleton if labelled is raw else f"{skeleton}, converted"
        across = "in domain" if raw.name == checkpoint["source"] else "across"
        select_domain(networks["lifter"], domain_of(checkpoint, raw))
        predicted, _ = predict(networks, poses.inputs_2d, device)
        scored = {}
        for method, (estimate, calibration) in methods.items():
            uncertainty = estimate(shown, predicted)
            millimetres = calibration.millimetres(uncertainty, predicted)
            weighted = weighted_radii(calibration, uncertainty, predicted, poses)
            scored[method] = score(millimetres, predicted, poses.targets_3d, calibration, weighted)
        if not consistency:
            scored[CONSTANT] = score(torch.ones(predicted.shape[:2]), predicted, poses.targets_3d, None)
        rows += [Judged(facts, method, raw.name, keypoints, across, labels, s) for method, s in scored.items()]
    return rows


def weighted_radii(calibration: Calibration, uncertainty: Tensor, predicted: Tensor, poses: Poses) -> Tensor | None:
    """(N, 16) millimetres that hold 90 % of the joints, each clip's by itself; None if nothing was kept that they could be told by.

    Shape:
        uncertainty (N, 16), predicted (N, 16, 3).
    """
    if calibration.shift is None:
        return None
    rows = (slice(sequence.start, sequence.stop) for sequence in poses.sequences)
    return torch.cat([calibration.radii(uncertainty[of], predicted[of], poses.inputs_2d[of], 0.9) for of in rows])
