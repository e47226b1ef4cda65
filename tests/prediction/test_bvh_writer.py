"""A BVH file moves as the poses do, read back by our own reader."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.geometry.skeleton import JOINT_NAMES, JOINTS_LEFT, JOINTS_RIGHT, MIRROR, PARENTS
from common.mocap.bvh import load_bvh
from common.mocap.bvh_files import find_bvh
from common.mocap.bvh_parser import move_skeleton, parse_bvh
from common.prediction.bvh_writer import BVH_JOINTS, write_bvh
from common.prediction.upright import camera_to_y_up


@pytest.fixture
def poses():
    """(T, 16, 3) of bones of constant length, each of which wanders anywhere in its own time."""
    rng = np.random.default_rng(3)
    lengths = rng.uniform(0.1, 0.5, 16)
    lengths = np.maximum(lengths, lengths[list(MIRROR)])  # both sides alike
    knots = rng.normal(size=(6, 16, 3))
    at = np.linspace(0, 5, 80)
    ways = np.stack([np.interp(at, np.arange(6), knots[:, j, c]) for j in range(16) for c in range(3)], axis=1).reshape(80, 16, 3)
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    joints = np.zeros((80, 16, 3))
    for joint in range(1, 16):
        joints[:, joint] = joints[:, PARENTS[joint]] + lengths[joint] * ways[:, joint]
    return joints


def places(path):
    """(F, 16, 3) by forward kinematics, rest pose first."""
    file = parse_bvh(path.read_text(), str(path))
    names = [joint.name for joint in file.joints]
    roles = {joint: names.index(name) for joint, name in BVH_JOINTS.items()}
    skeleton = move_skeleton(file, roles | {"l_foot": roles["LFoot"], "r_foot": roles["RFoot"]})
    return np.stack([skeleton.places[joint] for joint in JOINT_NAMES], axis=1), file


def test_forward_kinematics_gives_the_poses_back(poses, tmp_path):
    path = tmp_path / "poses.bvh"
    write_bvh(path, camera_to_y_up(poses, 20), 25)
    moved, file = places(path)
    assert file.frame_time == pytest.approx(0.04)
    error = np.linalg.norm(moved[1:] - camera_to_y_up(poses, 20), axis=-1)
    assert error.max() < 1e-3
    assert np.abs(moved[1:]).max() > 0.5
    assert np.abs(np.diff(file.frames, axis=0)).max() < 180  # angles are unwrapped


def test_lengths_that_vary_become_their_medians(poses, tmp_path):
    path = tmp_path / "poses.bvh"
    stretched = poses * np.linspace(0.9, 1.1, 80)[:, None, None]
    stretched[40] *= 5  # a single frame that is wrong does not move them
    write_bvh(path, camera_to_y_up(stretched), 25)
    moved, _ = places(path)
    for joint in range(1, 16):
        length = np.linalg.norm(moved[:, joint] - moved[:, PARENTS[joint]], axis=-1)
        median = np.median(np.linalg.norm(stretched[:, joint] - stretched[:, PARENTS[joint]], axis=-1))
        np.testing.assert_allclose(length, median, atol=2e-6)
    way, expected = (p[:, 2] - p[:, 1] for p in (moved[1:], camera_to_y_up(stretched)))
    cosine = np.sum(way * expected, axis=-1) / np.linalg.norm(way, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert cosine.min() > 1 - 1e-6


def test_both_sides_get_one_length(poses, tmp_path):
    """Predicted limbs of one person differ, for a thigh by 403 to 351 mm; left and right are the mean of the two medians."""
    path = tmp_path / "poses.bvh"
    factors = np.ones(16)
    factors[list(JOINTS_LEFT)] = 1.1
    bones = poses - poses[:, PARENTS]
    uneven = np.zeros_like(poses)
    for joint in range(1, 16):
        uneven[:, joint] = uneven[:, PARENTS[joint]] + factors[joint] * bones[:, joint]
    write_bvh(path, camera_to_y_up(uneven), 25)
    moved, _ = places(path)
    lengths = np.linalg.norm(moved - moved[:, PARENTS], axis=-1)
    expected = np.linalg.norm(bones, axis=-1)[0]
    for left, right in zip(JOINTS_LEFT, JOINTS_RIGHT, strict=True):
        np.testing.assert_allclose(lengths[:, left], 1.05 * expected[left], atol=2e-6)
        np.testing.assert_allclose(lengths[:, right], 1.05 * expected[right], atol=2e-6)
    for middle in (7, 8, 9):
        np.testing.assert_allclose(lengths[:, middle], expected[middle], atol=2e-6)
    # Bones keep their directions.
    ways = (moved - moved[:, PARENTS])[1:, 1:] / lengths[1:, 1:, None]
    turned = camera_to_y_up(bones[:, 1:] / expected[1:, None])
    assert np.sum(ways * turned, axis=-1).min() > 1 - 1e-6


@pytest.mark.parametrize("pitch", [0, 30])
def test_the_lowest_joint_of_each_frame_is_put_on_the_floor(poses, tmp_path, pitch):
    path = tmp_path / "poses.bvh"
    write_bvh(path, camera_to_y_up(poses, pitch), 25, floor=True)
    raised, file = places(path)
    write_bvh(path, camera_to_y_up(poses, pitch), 25)
    hanging, before = places(path)
    np.testing.assert_allclose(raised[1:, :, 1].min(axis=1), 0, atol=2e-5)
    np.testing.assert_allclose(raised[1:] - raised[1:, :1], hanging[1:], atol=2e-5)
    np.testing.assert_array_equal(raised[1:, 0][:, [0, 2]], 0)  # straight up
    assert np.ptp(raised[1:, 0, 1]) > 0.1
    np.testing.assert_array_equal(hanging[1:, 0], 0)
    np.testing.assert_array_equal(file.frames[:, 3:], before.frames[:, 3:])


def test_hips_and_chest_turn_with_the_body(poses, tmp_path):
    path = tmp_path / "poses.bvh"
    write_bvh(path, camera_to_y_up(poses), 25)
    rest = places(path)[0][0]
    angles = np.linspace(0, 80, 5)
    turns = Rotation.from_euler("y", angles[:, None], degrees=True).as_matrix()
    write_bvh(path, rest @ turns.swapaxes(1, 2), 25)
    file = parse_bvh(path.read_text(), "turned")
    frames = dict(zip([joint.name for joint in file.joints], np.split(file.frames[:, 3:], len(file.joints), axis=1)))
    np.testing.assert_allclose(frames.pop("Hips"), np.column_stack([np.zeros((5, 2)), angles]), atol=1e-3)
    for name, turned in frames.items():  # nothing is left for any other joint, the chest among them
        np.testing.assert_allclose(turned, 0, atol=1e-3, err_msg=name)


def test_motion_data_can_be_made_of_it(tmp_path):
    """`data/prepare_data_bvh.py` reads it like any recording: the rest pose stands, names are known."""
    names = {joint: i for i, joint in enumerate(JOINT_NAMES)}
    pose = np.zeros((16, 3))
    for joint, (x, y) in {
        "RHip": (-0.1, 0), "RKnee": (-0.12, 0.45), "RFoot": (-0.12, 0.9), "LHip": (0.1, 0), "LKnee": (0.12, 0.45), "LFoot": (0.12, 0.9),
        "Spine": (0, -0.25), "Thorax": (0, -0.5), "Head": (0, -0.75), "LShoulder": (0.2, -0.48), "LElbow": (0.25, -0.2),
        "LWrist": (0.28, 0.05), "RShoulder": (-0.2, -0.48), "RElbow": (-0.25, -0.2), "RWrist": (-0.28, 0.05),
    }.items():  # fmt: skip
        pose[names[joint]] = x, y, 0.0
    poses = np.tile(pose, (20, 1, 1))
    poses[:, names["RWrist"]] += np.stack([np.zeros(20), np.zeros(20), -np.linspace(0, 0.1, 20)], axis=1)
    path = tmp_path / "stand.bvh"
    write_bvh(path, camera_to_y_up(poses), 50)
    motion = load_bvh(next(iter(find_bvh([path]))), 50)
    assert len(motion) == 20
    assert np.isfinite(motion.rotations).all()
