"""How far a network's poses of a picture and of its mirror image lie apart: an uncertainty that every network has, without a head,
without dropout, and that grows where it is shown what it has not learnt."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.evaluation.evaluate import predict
from common.evaluation.test_time import mirrored

_FLOOR = 0.01
"""Metres: that two views agree is no proof that both are right. Chosen on build seed 0 of the benchmark (docs/uncertainty.md)."""


def distance_from_mirror(networks: Mapping[str, nn.Module], inputs_2d: Tensor, device: torch.device, predicted: Tensor) -> Tensor:
    """A centimetre and the distance of each joint from where the mirrored picture, mirrored back, has it.

    Errors are taken to be proportional to it (`Calibration.fit` with `proportional`): across data sets it leaves what it was
    calibrated on, and a curve would be level there.

    Shape:
        inputs_2d (N, 16, 2), predicted (N, 16, 3) metres, of these inputs -> (N, 16) metres, on the CPU.
    """
    twins = mirrored(predict({"lifter": networks["lifter"]}, mirrored(inputs_2d), device)[0])
    return _FLOOR + torch.linalg.vector_norm(predicted - twins, dim=-1)
