"""Errors as PoseBench3D counts them (Manzur et al., arXiv 2505.10888), beside which lifting networks of other papers can be read.

What its released code does (github.com/bryanjvela/PoseBench3D, joints of the package poseutils 0.4.0): single frames, every frame of the
test, ground-truth 2D, 16 or 14 joints, targets from the hip, predictions as they come out of the network. MPJPE is the mean over the
joints, the hip among them, and then over all poses: not over actions. PA-MPJPE moves, turns and scales each pose, without reflection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.errors import DuaError
from common.evaluation.evaluate import lift
from common.evaluation.metrics import mpjpe, p_mpjpe
from common.evaluation.test_time import PLAIN, TestTime
from common.geometry.skeleton import JOINT_NAMES

NAME = "posebench3d"
JOINTS = {
    16: tuple(range(len(JOINT_NAMES))),
    14: tuple(i for i, name in enumerate(JOINT_NAMES) if name not in ("Spine", "Head")),
}
"""{number of joints: which of ours they are}."""


@dataclass(frozen=True)
class Errors:
    """Millimetres, means over all poses.

    Attributes:
        mpjpe, pa_mpjpe: {number of joints: mm}, of `JOINTS`.
    """

    poses: int
    mpjpe: dict[int, float]
    pa_mpjpe: dict[int, float]


def count_errors(predicted: Tensor, target: Tensor) -> dict[int, tuple[float, float]]:
    """{number of joints: (MPJPE, PA-MPJPE)} in metres, means over poses (N, 16, 3); targets from the hip."""
    counted = {}
    for number, joints in JOINTS.items():
        x, y = predicted[:, joints], target[:, joints]
        counted[number] = (float(mpjpe(x, y).double().mean()), float(p_mpjpe(x, y).double().mean()))
    return counted


def evaluate_posebench3d(
    networks: Mapping[str, nn.Module],
    poses: Poses | Streamed[Poses],
    device: torch.device,
    domain: str = "source",
    test_time: TestTime = PLAIN,
) -> Errors:
    """The errors of `networks` on labelled poses, chunk by chunk of what stays in a file; `domain` as of `evaluate`.

    Raises:
        DuaError: BatchNorm's statistics would be taken from the test (`--test_bn`), which knows other poses than the one asked for.
    """
    if test_time.batchnorm:
        raise DuaError(
            "--protocol posebench3d lifts single frames; a network of --test_bn needs the whole test: evaluate it without"
        )
    chunks: Iterable[Poses] = poses.chunks() if isinstance(poses, Streamed) else (poses,)
    sums = {number: [0.0, 0.0] for number in JOINTS}
    for chunk in chunks:
        predicted, _ = lift(networks, chunk, device, domain, test_time)
        for number, errors in count_errors(predicted, chunk.targets_3d.cpu()).items():
            for i, error in enumerate(errors):
                sums[number][i] += 1000 * error * len(chunk) / len(poses)
    return Errors(len(poses), {n: found[0] for n, found in sums.items()}, {n: found[1] for n, found in sums.items()})
