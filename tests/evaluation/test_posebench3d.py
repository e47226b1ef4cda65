"""`common.evaluation.posebench3d`: joints, means and alignment by hand."""

import pytest
import torch
from torch import nn

from common.datasets.poses import Poses, Sequence
from common.errors import DuaError
from common.evaluation.evaluate import evaluate
from common.evaluation.posebench3d import JOINTS, count_errors, evaluate_posebench3d
from common.evaluation.test_time import TestTime
from common.geometry.skeleton import JOINT_NAMES, SMPL_24_TO_16, SMPL_24_TO_16_SPINE2, SMPL_JOINT_NAMES

SPINE, WRIST = JOINT_NAMES.index("Spine"), JOINT_NAMES.index("LWrist")
TARGET = torch.randn(5, 16, 3, generator=torch.Generator().manual_seed(0))
TARGET = TARGET - TARGET[:, :1]


class Moved(nn.Module):
    """A lifting network that gives `poses_3d` whatever it is shown."""

    def __init__(self, poses_3d):
        super().__init__()
        self.poses_3d = poses_3d

    def forward(self, inputs_2d):
        return self.poses_3d, inputs_2d.flatten(1)


def moved(joint, poses=slice(None)):
    """`TARGET` with a joint of some poses 160 mm aside."""
    other = TARGET.clone()
    other[poses, joint, 0] += 0.16
    return other


def test_sixteen_joints_and_fourteen_without_spine_and_head():
    assert [JOINT_NAMES[i] for i in range(16) if i not in JOINTS[14]] == ["Spine", "Head"]
    assert count_errors(moved(SPINE), TARGET)[16][0] == pytest.approx(0.16 / 16)
    assert count_errors(moved(SPINE), TARGET)[14] == pytest.approx((0, 0), abs=1e-6)
    assert count_errors(moved(WRIST), TARGET)[14][0] == pytest.approx(0.16 / 14)
    # The hip counts among the joints, and a prediction is not brought to it.
    assert count_errors(moved(0), TARGET)[16][0] == pytest.approx(0.16 / 16)
    assert count_errors(TARGET + torch.tensor([0.03, 0.0, 0.04]), TARGET)[14] == pytest.approx((0.05, 0), abs=1e-5)


def test_pa_mpjpe_takes_scale_and_no_reflection():
    assert count_errors(0.5 * TARGET, TARGET)[16][1] == pytest.approx(0, abs=1e-5)
    assert count_errors(TARGET * torch.tensor([-1.0, 1.0, 1.0]), TARGET)[16][1] > 0.1


def test_means_are_over_poses_and_not_over_actions():
    """Four poses of one action are right, the one of another is 10 mm off: 2 mm over poses, 5 over actions."""
    sequences = tuple(
        Sequence("S9", action, "54138969", start, stop, (1000, 1002))
        for action, start, stop in (("Eating", 0, 4), ("Photo", 4, 5))
    )
    poses, networks = Poses("h36m", TARGET[..., :2], TARGET, sequences), {"lifter": Moved(moved(WRIST, 4))}
    errors = evaluate_posebench3d(networks, poses, torch.device("cpu"))
    assert (errors.poses, errors.mpjpe[16]) == (5, pytest.approx(2, abs=1e-4))
    assert errors.mpjpe[14] == pytest.approx(160 / 14 / 5, abs=1e-4)
    assert evaluate(networks, poses, torch.device("cpu")).average["mpjpe"] == pytest.approx(5, abs=1e-4)
    with pytest.raises(DuaError, match="--test_bn"):
        evaluate_posebench3d(networks, poses, torch.device("cpu"), test_time=TestTime(batchnorm=True))


def test_its_spine_is_smpls_second():
    names = [[SMPL_JOINT_NAMES[i] for i in order] for order in (SMPL_24_TO_16, SMPL_24_TO_16_SPINE2)]
    assert [(JOINT_NAMES[i], *pair) for i, pair in enumerate(zip(*names, strict=True)) if pair[0] != pair[1]] == [
        ("Spine", "spine3", "spine2")
    ]
