"""Poses as bones, and back."""

import torch
from torch import Tensor

from common.geometry.skeleton import BONES, PARENTS, ROOT


def bones_of(poses_3d: Tensor) -> Tensor:
    """(N, 16, 3) poses to the (N, 16, 3) bones that end in each joint; the root's is none, and 0."""
    ends = [ROOT if parent < 0 else parent for parent in PARENTS]
    return poses_3d - poses_3d[:, ends]


def joints_of(root: Tensor, bones: Tensor) -> Tensor:
    """The (N, 16, 3) poses that such bones make from a root (N, 3) on."""
    joints = [root] * len(PARENTS)
    for parent, child in BONES:  # parents come before their children
        joints[child] = joints[parent] + bones[:, child]
    return torch.stack(joints, dim=1)


def bone_lengths(poses_3d: Tensor) -> Tensor:
    """(N, 16, 3) to (N, 15), in the order of `BONES`."""
    parents, children = (list(joints) for joints in zip(*BONES, strict=True))
    return torch.linalg.vector_norm(poses_3d[:, children] - poses_3d[:, parents], dim=-1)
