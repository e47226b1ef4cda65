"""How consistent a network's poses are, with the picture that they were made of and with its mirror image: an uncertainty that every network
has, without a head, without dropout, and that grows where it is shown what it has not learnt."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.evaluation.evaluate import predict
from common.evaluation.test_time import mirrored
from common.geometry.joints_in_2d import JointsIn2D, as_they_are
from common.geometry.placement import place


def inconsistency(
    networks: Mapping[str, nn.Module],
    inputs_2d: Tensor,
    rays: Tensor,
    device: torch.device,
    predicted: Tensor,
    in_2d: JointsIn2D = as_they_are,
) -> Tensor:
    """The distance of each joint from where the mirrored picture, mirrored back, has it, and that of the pose's joints, in the mean, from where
    they are seen (`distance_from_rays`).

    Neither is enough: a pose may agree with its mirror image and not with the picture, which is what a network comes to that was trained to
    agree (`--teacher`), and what is seen where it should be may be wrong in depth. Errors are taken to be proportional to the sum
    (`Calibration.fit` with `proportional`): across data sets it leaves what it was calibrated on, and a curve would be level there.

    Args:
        in_2d: predicted poses to those joints of theirs that the 2D has.

    Shape:
        inputs_2d (N, 16, 2); rays (N, 16, 3), on which they are seen, as `distance_from_rays`; predicted (N, 16, 3) metres, of these
        inputs -> (N, 16) metres; all on the CPU.
    """
    twins = mirrored(predict({"lifter": networks["lifter"]}, mirrored(inputs_2d), device)[0])
    return torch.linalg.vector_norm(predicted - twins, dim=-1) + distance_from_rays(in_2d(predicted), rays).mean(1, keepdim=True)


def distance_from_rays(poses_3d: Tensor, rays: Tensor) -> Tensor:
    """How far joints are from the rays on which they are seen, of poses that stand where least squares put them; as far as from the hip where
    the 2D does not say where that is.

    Shape:
        poses_3d (N, 16, 3) metres from the hip; rays (N, 16, 3), x/z, y/z, 1 of the 2D, or these turned into the axes of the poses
        -> (N, 16) metres.
    """
    roots, known = place(poses_3d, rays)
    points, directions = poses_3d + roots[:, None], nn.functional.normalize(rays, dim=-1)
    along = (points * directions).sum(-1, keepdim=True).clamp_min(0)  # a ray ends in the camera
    missed = torch.linalg.vector_norm(points - along * directions, dim=-1)
    return missed.where(known[:, None], torch.linalg.vector_norm(poses_3d, dim=-1))
