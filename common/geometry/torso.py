"""Which way a body's trunk is turned, as a right-handed frame of its joints."""

import torch
from torch import Tensor
from torch.nn import functional as F

from common.geometry.skeleton import JOINT_NAMES, ROOT

_LHIP, _RHIP, _THORAX, _LSHOULDER, _RSHOULDER = (
    JOINT_NAMES.index(name) for name in ("LHip", "RHip", "Thorax", "LShoulder", "RShoulder")
)


def torso_frames(poses_3d: Tensor) -> Tensor:
    """The axes of each trunk: leftwards, upwards, forwards.

    Upwards is from the hip to the thorax. Leftwards is what is square to that of the sum of two lines, right to left hip and right to
    left shoulder, so that a twisted trunk counts by its middle. Forwards is leftwards x upwards, in camera axes (x right, y down, z
    forward; `common.geometry.skeleton.handedness`). Where hips and shoulders show no such line, the frame has columns of zeros.

    Shape:
        poses_3d (N, 16, 3), any unit, any origin -> (N, 3, 3) whose columns are the three axes: rotations from the trunk's to the
        camera's axes, so that a pose turned by R has the frame R F.
    """
    upwards = F.normalize(poses_3d[:, _THORAX] - poses_3d[:, ROOT], dim=-1)
    across = poses_3d[:, _LHIP] - poses_3d[:, _RHIP] + poses_3d[:, _LSHOULDER] - poses_3d[:, _RSHOULDER]
    leftwards = F.normalize(across - (across * upwards).sum(-1, keepdim=True) * upwards, dim=-1)
    return torch.stack([leftwards, upwards, torch.linalg.cross(leftwards, upwards)], dim=-1)


def has_trunk(frames: Tensor) -> Tensor:
    """(N,) of frames (N, 3, 3): whether it is known how that trunk is turned."""
    return frames.square().sum((1, 2)) > 2.5  # three axes of length 1, or zeros
