"""The joint tables, and the measure that tells a body from its mirror image."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.geometry.camera import world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import (
    BONES,
    H36M_32_TO_16,
    H36M_32_TO_17,
    H36M_JOINTS_TO_16,
    HOURGLASS_TO_16,
    JOINT_NAMES,
    JOINTS_LEFT,
    JOINTS_RIGHT,
    MIRROR,
    NUM_JOINTS,
    PARENTS,
    ROOT,
    SMPL_24_TO_16,
    SMPL_24_TO_16_COLLAR,
    SMPL_JOINT_NAMES,
    SMPL_MIRROR,
    handedness,
)
from tests.helpers.h36m_files import crouching_body

# The joint of SMPL that stands for each of ours, in words.
SMPL_WORDS = {
    "Hip": "pelvis", "RHip": "r_hip", "RKnee": "r_knee", "RFoot": "r_ankle", "LHip": "l_hip", "LKnee": "l_knee",
    "LFoot": "l_ankle", "Spine": "spine3", "Thorax": "neck", "Head": "head", "LShoulder": "l_shoulder",
    "LElbow": "l_elbow", "LWrist": "l_wrist", "RShoulder": "r_shoulder", "RElbow": "r_elbow", "RWrist": "r_wrist",
}  # fmt: skip


def _swap_side(name: str, left: str, right: str) -> str:
    return {left: right, right: left}.get(name[: len(left)], name[: len(left)]) + name[len(left) :]


def test_every_joint_but_the_root_has_an_earlier_parent():
    assert len(JOINT_NAMES) == len(PARENTS) == NUM_JOINTS == 16
    assert PARENTS[ROOT] == -1
    assert JOINT_NAMES[ROOT] == "Hip"
    assert all(0 <= PARENTS[joint] < joint for joint in range(1, NUM_JOINTS))


def test_limbs_are_chains():
    chains = [("Hip", side + "Hip", side + "Knee", side + "Foot") for side in "LR"]
    chains += [("Hip", "Spine", "Thorax", side + "Shoulder", side + "Elbow", side + "Wrist") for side in "LR"]
    chains += [("Thorax", "Head")]
    expected = {pair for chain in chains for pair in itertools.pairwise(chain)}
    assert {(JOINT_NAMES[parent], JOINT_NAMES[child]) for parent, child in BONES} == expected
    assert len(BONES) == 15


def test_mirror_exchanges_left_and_right():
    assert [JOINT_NAMES[joint] for joint in MIRROR] == [_swap_side(name, "L", "R") for name in JOINT_NAMES]
    assert [MIRROR[MIRROR[joint]] for joint in range(16)] == list(range(16))


def test_sides_are_named_by_their_joints():
    assert [JOINT_NAMES[joint] for joint in JOINTS_LEFT] == [name for name in JOINT_NAMES if name.startswith("L")]
    assert [JOINT_NAMES[joint] for joint in JOINTS_RIGHT] == [name for name in JOINT_NAMES if name.startswith("R")]


@pytest.mark.parametrize("joints", [16, 17, 32])
def test_h36m_tables_lead_to_the_same_sixteen(joints):
    recorded = {16: H36M_32_TO_16, 17: H36M_32_TO_17, 32: range(32)}[joints]
    assert len(recorded) == joints
    assert tuple(recorded[joint] for joint in H36M_JOINTS_TO_16[joints]) == (
        0,
        1,
        2,
        3,
        6,
        7,
        8,
        12,
        13,
        15,
        17,
        18,
        19,
        25,
        26,
        27,
    )


def test_seventeen_joints_have_only_the_nose_more():
    assert set(H36M_32_TO_17) - set(H36M_32_TO_16) == {14}


def test_hourglass_table_agrees_with_the_names():
    # MPII's sixteen; its thorax stands for our spine, its upper neck for our thorax (Martinez et al.).
    mpii = ["r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "pelvis", "spine3", "neck", "head",
            "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist"]  # fmt: skip
    assert {name: mpii[joint] for name, joint in zip(JOINT_NAMES, HOURGLASS_TO_16, strict=True)} == SMPL_WORDS


def test_smpl_table_agrees_with_the_names():
    assert len(SMPL_JOINT_NAMES) == len(set(SMPL_JOINT_NAMES)) == 24
    assert {name: SMPL_JOINT_NAMES[joint] for name, joint in zip(JOINT_NAMES, SMPL_24_TO_16, strict=True)} == SMPL_WORDS


def test_smpl_collar_table_differs_in_the_shoulders_alone():
    words = {**SMPL_WORDS, "LShoulder": "l_collar", "RShoulder": "r_collar"}
    assert {name: SMPL_JOINT_NAMES[joint] for name, joint in zip(JOINT_NAMES, SMPL_24_TO_16_COLLAR, strict=True)} == words


def test_smpl_mirror_exchanges_left_and_right():
    assert [SMPL_JOINT_NAMES[joint] for joint in SMPL_MIRROR] == [_swap_side(name, "l_", "r_") for name in SMPL_JOINT_NAMES]


def test_smpl_mirror_then_sixteen_is_sixteen_then_mirror():
    joints = np.arange(24)
    np.testing.assert_array_equal(joints[list(SMPL_MIRROR)][list(SMPL_24_TO_16)], joints[list(SMPL_24_TO_16)][list(MIRROR)])


def _body() -> np.ndarray:
    """(1, 16, 3): crouching, z up, in a right-handed world."""
    return crouching_body()[None, list(H36M_32_TO_16)]


def test_handedness_of_a_real_body():
    assert handedness(_body())[0] > 0.3


def test_handedness_of_a_reflected_body():
    for axis in range(3):
        reflected = _body()
        reflected[..., axis] *= -1
        assert handedness(reflected)[0] < -0.3


def test_handedness_of_exchanged_labels():
    assert handedness(_body()[:, list(MIRROR)])[0] < -0.3


def test_reflection_and_exchanged_labels_make_a_real_body_again():
    body = _body() * [-1, 1, 1]
    assert handedness(body[:, list(MIRROR)])[0] == pytest.approx(handedness(_body())[0])


@given(st.integers(0, 10**6), st.floats(0.01, 1000))
def test_handedness_does_not_depend_on_rotation_place_or_unit(seed, scale):
    rotation = Rotation.random(random_state=seed)
    moved = rotation.apply(_body()[0])[None] * scale + np.array([3.0, -2.0, 7.0]) * scale
    assert handedness(moved)[0] == pytest.approx(handedness(_body())[0], abs=1e-9)


@pytest.mark.parametrize("camera", h36m_cameras("S9"), ids=lambda camera: camera.name)
def test_handedness_in_camera_space(camera):
    assert handedness(world_to_camera(_body(), camera))[0] > 0.3


def test_handedness_of_straight_legs_is_undecided():
    body = _body()
    for side in "LR":
        hip, knee, foot = (JOINT_NAMES.index(side + part) for part in ("Hip", "Knee", "Foot"))
        body[:, knee], body[:, foot] = body[:, hip] - [0, 0, 0.45], body[:, hip] - [0, 0, 0.9]
    assert abs(handedness(body)[0]) < 0.02


def test_handedness_stays_within_its_range_and_finite():
    random = np.random.default_rng(0).normal(size=(500, 16, 3))
    scores = handedness(np.concatenate([random, np.zeros((1, 16, 3))]))
    assert scores.shape == (501,)
    assert np.all(np.abs(scores) <= 1)
    assert scores[-1] == 0
    assert abs(scores.mean()) < 0.05  # noise is no side
