"""The one evaluation: whichever script trained a network, its errors are counted here, so that they compare."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from common.compute.device import autocast, tf32_products
from common.compute.distributed import map_rows
from common.datasets.poses import Poses, UnlabelledPoses
from common.datasets.streamed import Streamed, brought_into_memory
from common.datasets.views import canonical_rotations
from common.errors import DuaError
from common.evaluation.calibration import Calibration
from common.evaluation.losses import gaussian_nll, relative_error
from common.evaluation.metrics import auc, joint_errors, mpjpe, n_mpjpe, p_mpjpe, pck
from common.evaluation.test_time import PLAIN, TestTime, adapt_batchnorm, mirrored
from common.geometry.skeleton import JOINT_NAMES, MIRROR
from models.domain_norm import select_domain
from models.pose_converter import PoseConverter

_CHUNK, _CHUNK_ON_CPU = 8192, 512
"""Poses per forward pass: large enough to keep a device busy, small enough for any memory, and for a processor's cache."""

_COLUMNS = {"mpjpe": "MPJPE", "p_mpjpe": "P-MPJPE", "n_mpjpe": "N-MPJPE", "pck": "PCK@150", "auc": "AUC"}

_JUDGED_RELATIVE = "relative error: true {true:.3f}, predicted {predicted:.3f}, mean difference {l1:.3f}"
_JUDGED_GAUSSIAN = (
    "error of a joint: true {true_mm:.1f} mm, expected {expected_mm:.1f} mm, mean difference {l1_mm:.1f} mm; "
    "negative log-likelihood {nll:.2f} (metres)"
)


@dataclass(frozen=True)
class Evaluation:
    """Errors of one network on one set of poses. Millimetres and percent: this is where a person reads.

    Attributes:
        per_action: {action: {"poses", "mpjpe", "p_mpjpe", "n_mpjpe", "pck", "auc"}}.
        average: the same, averaged over actions (every action counts the same, as the field reports it).
        per_joint: {joint: mm} over all poses.
        uncertainty: how far the predicted relative error is from the true one ("true", "predicted", "l1"); of a Gaussian
            estimator the errors and their likelihood ("true_mm", "expected_mm", "l1_mm", "nll"); None without an estimator.
    """

    poses: int
    per_action: dict[str, dict[str, float]]
    average: dict[str, float]
    per_joint: dict[str, float]
    uncertainty: dict[str, float] | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "poses": self.poses,
            "units": {"mpjpe": "mm", "p_mpjpe": "mm", "n_mpjpe": "mm", "pck": "% within 150 mm", "auc": "%"},
            "average": self.average,
            "per_action": self.per_action,
            "per_joint_mpjpe": self.per_joint,
            "uncertainty": self.uncertainty,
        }

    def table(self) -> str:
        """The whole table for the terminal."""
        width = max(len("average of actions"), *(len(action) for action in self.per_action))
        lines = ["  ".join([" " * width, *(f"{title:>8}" for title in _COLUMNS.values()), f"{'poses':>9}"])]
        for action, row in self.per_action.items():
            lines.append("  ".join([f"{action:<{width}}", *(f"{row[key]:8.1f}" for key in _COLUMNS), f"{int(row['poses']):9,d}"]))
        lines.append("-" * len(lines[0]))
        average = "  ".join(
            [f"{'average of actions':<{width}}", *(f"{self.average[key]:8.2f}" for key in _COLUMNS), f"{self.poses:9,d}"]
        )
        lines += [
            average,
            "",
            "MPJPE by joint, mm: " + "  ".join(f"{joint} {error:.0f}" for joint, error in self.per_joint.items()),
        ]
        if self.uncertainty is not None:
            sentence = _JUDGED_RELATIVE if "l1" in self.uncertainty else _JUDGED_GAUSSIAN
            lines.append(sentence.format(**self.uncertainty))
        return "\n".join(lines)

    def line(self) -> str:
        """The averages alone."""
        return "  ".join(f"{title} {self.average[key]:.1f}" for key, title in _COLUMNS.items()) + f"  ({self.poses:,d} poses)"


@torch.no_grad()
def predict(
    networks: Mapping[str, nn.Module],
    inputs_2d: Tensor,
    device: torch.device | str,
    flip: bool = False,
    precision: str = "float32",
) -> tuple[Tensor, Tensor | None]:
    """Lift poses with the networks of a checkpoint, in evaluation mode.

    Shape:
        inputs_2d (N, J, 2) -> poses_3d (N, J, 3) metres and uncertainty (N, J), a relative error or metres
        (`uncertainty_unit`), or None without an estimator; both on the CPU. With `flip`, means over the inputs and their
        mirror images.
    """
    if flip:
        poses_3d, uncertainty = predict(networks, inputs_2d, device, precision=precision)
        flipped, uncertainty_flipped = predict(networks, mirrored(inputs_2d), device, precision=precision)
        mean = (poses_3d + mirrored(flipped)) / 2
        if uncertainty is None or uncertainty_flipped is None:
            return mean, None
        return mean, (uncertainty + uncertainty_flipped[:, MIRROR]) / 2
    estimator = networks.get("uncertainty")

    def lifted(inputs_2d: Tensor) -> dict[str, Tensor]:
        poses, uncertainties = [], []
        for chunk in inputs_2d.split(_CHUNK_ON_CPU if torch.device(device).type == "cpu" else _CHUNK):
            with tf32_products(precision), autocast(torch.device(device), precision):
                poses_3d, features = networks["lifter"](chunk.to(device))
                uncertainty = estimator(features) if estimator is not None else None
            poses.append(poses_3d.float().cpu())
            if uncertainty is not None:
                uncertainties.append(uncertainty.float().cpu())
        return {"poses_3d": torch.cat(poses)} | ({"uncertainty": torch.cat(uncertainties)} if uncertainties else {})

    everything = map_rows(lifted, inputs_2d)
    return everything["poses_3d"], everything.get("uncertainty")


def lift(
    networks: Mapping[str, nn.Module],
    poses: Poses | UnlabelledPoses,
    device: torch.device,
    domain: str = "source",
    test_time: TestTime = PLAIN,
) -> tuple[Tensor, Tensor | None]:
    """`predict` of the inputs of some poses, as the network was trained to be used; in the axes of the poses' own cameras."""
    return _lift(_adapted(networks, poses, device, domain, test_time), poses, device, test_time)


def _adapted(
    networks: Mapping[str, nn.Module],
    poses: Poses | UnlabelledPoses | Streamed[Poses],
    device: torch.device,
    domain: str,
    test_time: TestTime,
) -> Mapping[str, nn.Module]:
    """The networks with BatchNorm's statistics of the domain or, as `test_time` asks, of the poses."""
    select_domain(networks["lifter"], domain)
    if not (test_time.batchnorm and domain == "target"):
        return networks
    # They are of a whole set, so they are taken before the first chunk of one that stays in a file.
    shown = brought_into_memory(poses, "--test_bn") if isinstance(poses, Streamed) else poses
    return {**networks, "lifter": adapt_batchnorm(networks["lifter"], network_inputs(shown, test_time)[0], device)}


def network_inputs(poses: Poses | UnlabelledPoses, test_time: TestTime) -> tuple[Tensor, Tensor | None]:
    """Inputs as the network learnt them, and the rotations of the cameras if those are turned."""
    inputs_2d, rotations = poses.inputs_2d.cpu(), None
    if test_time.canonical:
        inputs_2d, rotations = canonical_rotations(inputs_2d, poses.sequences)
    return test_time.scale(inputs_2d), rotations


def _lift(
    networks: Mapping[str, nn.Module], poses: Poses | UnlabelledPoses, device: torch.device, test_time: TestTime
) -> tuple[Tensor, Tensor | None]:
    inputs_2d, rotations = network_inputs(poses, test_time)
    poses_3d, uncertainty = predict(networks, inputs_2d, device, test_time.flip, test_time.precision)
    if rotations is not None:
        poses_3d = torch.einsum("nji,nkj->nki", rotations, poses_3d)
    return poses_3d, uncertainty


@torch.no_grad()
def evaluate(
    networks: Mapping[str, nn.Module],
    poses: Poses | Streamed[Poses],
    device: torch.device,
    domain: str = "source",
    test_time: TestTime = PLAIN,
    converter: PoseConverter | None = None,
) -> Evaluation:
    """Errors of `networks` on labelled poses, per action ('Walking' holds 'Walking' and 'Walking 1').

    `domain` says whose BatchNorm statistics are used, where a network has two kinds (`--domain_bn`); with
    `test_time.batchnorm`, poses of the target give their own. Poses that stay in a file are gone through chunk by chunk, and
    nothing but their errors is kept. `converter` brings predictions to the labels' skeleton, where it is another.
    """
    networks = _adapted(networks, poses, device, domain, test_time)
    chunks: Iterable[Poses] = poses.chunks() if isinstance(poses, Streamed) else (poses,)

    found: dict[str, list[Tensor]] = {}
    of_joints, judged = torch.zeros(len(JOINT_NAMES), dtype=torch.float64), dict[str, float]()
    for chunk in chunks:
        predicted, uncertainty = _lift(networks, chunk, device, test_time)
        predicted = predicted if converter is None else converter.convert(predicted, predicted=True)
        target, share = chunk.targets_3d.cpu(), len(chunk) / len(poses)
        for name, values in _errors(predicted, target).items():
            found.setdefault(name, []).append(values)
        of_joints += joint_errors(predicted, target).double().mean(dim=0) * 1000 * share
        if uncertainty is not None:
            for name, value in _judge(uncertainty, predicted, target, uncertainty_unit(networks)).items():
                judged[name] = judged.get(name, 0.0) + value * share
    per_pose = {name: torch.cat(parts) for name, parts in found.items()}

    rows_of: dict[str, list[Tensor]] = {}
    for sequence in poses.sequences:
        rows_of.setdefault(sequence.base_action, []).append(torch.arange(sequence.start, sequence.stop))
    per_action = {}
    for action in sorted(rows_of):
        rows = torch.cat(rows_of[action])
        per_action[action] = {
            "poses": len(rows),
            **{key: float(values[rows].double().mean()) for key, values in per_pose.items()},
        }
    average = {key: sum(row[key] for row in per_action.values()) / len(per_action) for key in per_pose}
    per_joint = dict(zip(JOINT_NAMES, of_joints.tolist(), strict=True))
    return Evaluation(len(poses), per_action, average, per_joint, judged or None)


def _errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """(N,) errors of poses by name, in millimetres and percent."""
    return {
        "mpjpe": mpjpe(predicted, target) * 1000,
        "p_mpjpe": p_mpjpe(predicted, target) * 1000,
        "n_mpjpe": n_mpjpe(predicted, target) * 1000,
        "pck": pck(predicted, target) * 100,
        "auc": auc(predicted, target) * 100,
    }


def _judge(uncertainty: Tensor, predicted: Tensor, target: Tensor, unit: str) -> dict[str, float]:
    """The estimator's output against what it was trained to tell, over all joints but the hip."""
    if unit == "relative":
        truth, guess, suffix = relative_error(predicted, target)[:, 1:], uncertainty[:, 1:], ""
        named = "predicted"
    else:
        truth = joint_errors(predicted, target)[:, 1:] * 1000
        guess = uncertainty[:, 1:] * (math.sqrt(8 / math.pi) * 1000)  # the mean length of a 3D Gaussian vector
        named, suffix = "expected", "_mm"
    means = {"true": truth.mean(), named: guess.mean(), "l1": (truth - guess).abs().mean()}
    judged = {f"{name}{suffix}": float(value) for name, value in means.items()}
    return judged if unit == "relative" else judged | {"nll": float(gaussian_nll(uncertainty, predicted, target))}


@dataclass(frozen=True)
class Validation:
    """What is learnt of an epoch's networks: errors, of which the first chooses the best epoch, and what the uncertainty means.

    Attributes:
        errors: {"val_mpjpe_mm": ..., "val_p_mpjpe_mm": ...}, means over all poses.
        calibration: None without an estimator.
    """

    errors: dict[str, float]
    calibration: Calibration | None = None


def validate(networks: Mapping[str, nn.Module], poses: Poses, device: torch.device, domain: str = "source") -> Validation:
    """Errors on labelled poses, and the uncertainty calibrated on the same predictions."""
    select_domain(networks["lifter"], domain)
    predicted, uncertainty = predict(networks, poses.inputs_2d, device)
    target = poses.targets_3d.cpu()
    calibration = (
        None
        if uncertainty is None
        else Calibration.fit(uncertainty, predicted, target, uncertainty_unit(networks), poses.inputs_2d)
    )
    return Validation(_mean_errors(predicted, target), calibration)


def validation_errors(
    networks: Mapping[str, nn.Module], poses: Poses, device: torch.device, domain: str = "source"
) -> dict[str, float]:
    """The errors of `validate` alone."""
    select_domain(networks["lifter"], domain)
    predicted, _ = predict(networks, poses.inputs_2d, device)
    return _mean_errors(predicted, poses.targets_3d.cpu())


def _mean_errors(predicted: Tensor, target: Tensor) -> dict[str, float]:
    if not torch.isfinite(predicted).all():  # of which no Procrustes alignment exists
        raise DuaError("predictions on the validation split are NaN or infinite, the training diverged; lower --lr")
    return {
        "val_mpjpe_mm": float(mpjpe(predicted, target).double().mean()) * 1000,
        "val_p_mpjpe_mm": float(p_mpjpe(predicted, target).double().mean()) * 1000,
    }


def uncertainty_unit(networks: Mapping[str, nn.Module]) -> str:
    """Of what the estimator among the networks predicts, one of `common.evaluation.calibration.UNITS`."""
    return str(networks["uncertainty"].unit)
