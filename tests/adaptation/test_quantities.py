"""What `common.adaptation.domain_gap.quantities` says of a pose whose angles are known."""

import math

import pytest
import torch

from common.adaptation.domain_gap import quantities
from common.datasets.poses import Poses, Sequence
from common.datasets.surreal_file import SURREAL_CAMERA
from common.geometry.skeleton import JOINT_NAMES


def pose(knee_bent=0.0, lean=0.0):
    """(1, 16, 3): who stands before a level camera (y points down), thighs and arms hanging, the trunk leaning to the side."""
    joints = torch.zeros(16, 3)
    place = JOINT_NAMES.index
    for side, x in (("R", -0.13), ("L", 0.13)):
        joints[place(f"{side}Hip"), 0] = x
        joints[place(f"{side}Knee")] = torch.tensor([x, 0.45, 0.0])
        shin = 0.45 * torch.tensor([0.0, math.cos(math.radians(knee_bent)), math.sin(math.radians(knee_bent))])
        joints[place(f"{side}Foot")] = joints[place(f"{side}Knee")] + shin
    trunk = 0.5 * torch.tensor([math.sin(math.radians(lean)), -math.cos(math.radians(lean)), 0.0])
    joints[place("Thorax")] = trunk
    for side, x in (("R", -0.2), ("L", 0.2)):
        for i, joint in enumerate(("Shoulder", "Elbow", "Wrist")):
            joints[place(side + joint)] = trunk + torch.tensor([x, 0.25 * i, 0.0])
    return joints[None]


def of(joints):
    sequence = Sequence("x", "Walk", "surreal", 0, 1, SURREAL_CAMERA.resolution, view=SURREAL_CAMERA)
    poses = Poses("surreal", joints[..., :2], joints, (sequence,), torch.tensor([[0.0, 0.0, 5.0]]))
    return {name: float(value[0]) for name, value in quantities(poses).items()}


def test_angles_reach_and_who_is_upright():
    found = of(pose(knee_bent=70.0))
    assert found["knee bent, deg"] == pytest.approx(70, abs=1e-3)
    assert found["elbow bent, deg"] == pytest.approx(0, abs=1e-3)
    assert found["reach, mm"] == pytest.approx(1000 * math.hypot(0.2, 0.5), abs=0.01)
    assert (found["lean of the trunk, deg"], found["not upright, %"]) == (pytest.approx(0, abs=1e-3), 0)
    assert [of(pose(lean=lean))["not upright, %"] for lean in (44, 46, -80, 170)] == [0, 100, 100, 100]
    assert of(pose(lean=30))["lean of the trunk, deg"] == pytest.approx(30, abs=1e-3)
