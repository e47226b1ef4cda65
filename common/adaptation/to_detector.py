"""Poses of Human3.6M's definition to a detector's: the pose converter's problem, for poses in the axes of any camera."""

from typing import Any

import torch
from torch import Tensor, nn

from common.geometry.skeleton import NUM_JOINTS, ROOT
from common.mocap.filming import detector_rule
from common.mocap.people import People
from models import build
from models.pose_converter import principal_whitening

_POSES = 50_000


def detector_joints(people: People) -> Tensor:
    """(N, 16, 3) what the rule makes of COCO's keypoints in space, metres from their hip."""
    joints = detector_rule(people.points_3d.device) @ people.points_3d
    return joints - joints[:, ROOT, None]


def fit_to_detector(people: People) -> tuple[nn.Module, dict[str, Any]]:
    """(converter, description), by least squares on pairs of the same bodies.

    Joints are mixed alike along all three axes and nothing is added, y_j = sum_k W_jk x_k: such a map commutes with every rotation, so
    it serves poses in the axes of any camera. It is a `models.pose_converter.PoseConverter` whose three maps are one, with the whitening of
    the poses that it was solved on, by which predictions are converted.
    """
    rows = torch.linspace(0, len(people) - 1, min(_POSES, len(people))).long()
    before = (people.joints_3d - people.joints_3d[:, ROOT, None])[rows, 1:].double()
    after = detector_joints(people)[rows, 1:].double()
    x, y = (poses.transpose(1, 2).flatten(0, 1) for poses in (before, after))  # (3 N, 15)
    mixing = torch.linalg.lstsq(x, y - x, rcond=1e-6, driver="gelsd").solution.T
    description = {"name": "converter", "num_joints": NUM_JOINTS, "architecture": "map"}
    converter = build(description)
    whitening = principal_whitening(x)
    weight = torch.linalg.solve(whitening.T, mixing.T).T  # V = W P^-1
    state = {name: matrix.float().repeat(3, 1, 1) for name, matrix in (("weight", weight), ("whitening", whitening))}
    converter.load_state_dict(converter.state_dict() | state)
    return converter, description
