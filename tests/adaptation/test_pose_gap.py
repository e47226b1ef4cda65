"""`common.adaptation.domain_gap.pose_gap`: poses without place, turn and size; one capture, and one in which arms are raised."""

import math

import pytest
import torch

from benchmarks.domain_gap import _pose_gap
from common.adaptation.domain_gap import bone_directions, clip_numbers, pose_gap
from common.datasets.h36m import load_h36m
from common.datasets.poses import Poses, Sequence
from common.geometry.skeleton import BONES, JOINT_NAMES
from models.pose_converter import PoseConverter
from tests.adaptation.test_quantities import pose

_UPPER_ARMS = [BONES.index((JOINT_NAMES.index(f"{side}Shoulder"), JOINT_NAMES.index(f"{side}Elbow"))) for side in "LR"]


def turned(angle):
    """(3, 3): about the vertical, then about the line of sight."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def arms_raised(poses_3d):
    """The same with both arms straight up along the trunk."""
    raised = poses_3d.clone()
    up = torch.nn.functional.normalize(poses_3d[:, JOINT_NAMES.index("Thorax")], dim=-1)
    for side in "LR":
        for i, joint in enumerate(("Elbow", "Wrist"), start=1):
            raised[:, JOINT_NAMES.index(side + joint)] = poses_3d[:, JOINT_NAMES.index(side + "Shoulder")] + 0.27 * i * up
    return raised


def test_directions_are_of_the_trunk_and_forget_place_turn_and_size():
    standing = pose()
    found = bone_directions(standing)
    # Axes: leftwards, upwards, forwards. Arms and thighs hang.
    assert torch.allclose(found[0, _UPPER_ARMS], torch.tensor([[0.0, -1.0, 0.0]] * 2), atol=1e-6)
    left_hip = BONES.index((0, JOINT_NAMES.index("LHip")))
    assert torch.allclose(found[0, left_hip], torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)
    moved = 1.7 * standing @ turned(0.8).T + torch.tensor([1.0, -2.0, 5.0])
    assert torch.allclose(bone_directions(moved), found, atol=1e-5)
    bent = bone_directions(pose(knee_bent=90.0))
    shin = BONES.index((JOINT_NAMES.index("LKnee"), JOINT_NAMES.index("LFoot")))
    # y points down and x to the left of who looks at the camera: forwards is -z, and a bent knee's shin points backwards.
    assert torch.allclose(bent[0, shin], torch.tensor([0.0, 0.0, -1.0]), atol=1e-5)


def test_one_capture_is_as_far_apart_as_its_halves_and_raised_arms_are_farther(demo):
    # Two domains of one capture: other bodies, each by itself.
    a, b = (load_h36m(demo, subjects=subjects, downsample=20) for subjects in (("S1", "S6"), ("S5", "S8")))
    clips = clip_numbers(a), clip_numbers(b)
    same = pose_gap(a.targets_3d, b.targets_3d, *clips, draws=4)
    raised = pose_gap(a.targets_3d, arms_raised(b.targets_3d), *clips, draws=4)
    larger = pose_gap(a.targets_3d, 1.3 * b.targets_3d @ turned(0.6).T, *clips, draws=4)
    assert torch.allclose(larger.between, same.between, atol=0.1)
    assert same.between.shape == (4,)
    # The yardstick of what is no gap: halves of one domain.
    assert same.between.mean() < 2 * max(same.within_a.mean(), same.within_b.mean())
    assert raised.between.mean() > 5 * same.between.mean()
    assert raised.added.mean() > 200
    assert same.added.mean() < 40
    assert torch.allclose(raised.added, raised.between - raised.within_a / 2 - raised.within_b / 2)


def test_the_number_is_mk_mmd_of_two_kinds_of_pose():
    """Two clips each, all of whose poses are one: halves are alike, and between them lies what the formula says."""
    a, b = pose().repeat(40, 1, 1), arms_raised(pose()).repeat(40, 1, 1)
    clips = torch.arange(40) // 20
    gap = pose_gap(a, b, clips, clips, draws=2)
    # Four bones of fifteen point the other way: a squared distance of 4 * 2^2 between kinds and 0 within.
    width = 16 * (40 * 40) / (80 * 79 / 2)
    kernel = sum(math.exp(-16 / (factor * width)) for factor in (0.25, 0.5, 1, 2, 4)) / 5
    assert gap.between.tolist() == pytest.approx([1000 * (2 - 2 * kernel)] * 2, abs=0.1)
    assert gap.within_a.tolist() == gap.within_b.tolist() == pytest.approx([0, 0], abs=0.1)
    with pytest.raises(ValueError, match="two clips"):
        pose_gap(a, b, torch.zeros(40), clips)


def test_the_report_has_its_rows():
    a, b = pose().repeat(40, 1, 1), pose(knee_bent=60.0).repeat(40, 1, 1)

    def domain(poses_3d):
        sequences = tuple(Sequence("S1", f"Walk {i}", "x", 20 * i, 20 * i + 20, (1000, 1000)) for i in range(2))
        return Poses("h36m", poses_3d[..., :2], poses_3d, sequences)

    rows = dict(_pose_gap(domain(a), domain(b), PoseConverter()))
    between, h36m, surreal, added = (float(cell.split()[0]) for cell in rows.values())
    assert between > 100
    assert (h36m, surreal) == (pytest.approx(0, abs=0.1), pytest.approx(0, abs=0.1))
    assert added == pytest.approx(between, abs=0.2)
    one = domain(a).select(lambda sequence: sequence.action == "Walk 0")
    assert _pose_gap(one, domain(b), PoseConverter()) == [("a domain has but one clip", "-")]
