"""Joints of detectors become ours: orders, the filling rule, gaps."""

import numpy as np
import pytest

from common.errors import DuaError
from common.geometry.skeleton import JOINT_NAMES
from common.prediction.keypoints import ORDERS, to_our_joints
from tests.helpers import keypoint_text


@pytest.fixture
def pixels():
    """(T, 16, 2) pixels that keep the rule."""
    return keypoint_text.by_rule(np.random.default_rng(0).uniform(450, 900, (7, 16, 2)))


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_the_same_joints(pixels, order):
    joints, missing = to_our_joints(keypoint_text.in_order(pixels, order), order)
    np.testing.assert_allclose(joints, pixels, atol=1e-9)
    assert not missing.any()


def test_a_pose_of_coco_by_hand():
    pose = np.array([
        [100, 50], [104, 45], [96, 47], [110, 48], [90, 48], [120, 80], [80, 84], [130, 110], [70, 112], [140, 140], [60, 142],
        [112, 150], [90, 154], [114, 200], [88, 202], [116, 250], [86, 252],
    ], dtype=float)[None]  # fmt: skip
    joints = dict(zip(JOINT_NAMES, to_our_joints(pose, "coco")[0][0].tolist()))
    assert joints == {
        "Hip": [101, 152], "RHip": [90, 154], "RKnee": [88, 202], "RFoot": [86, 252],
        "LHip": [112, 150], "LKnee": [114, 200], "LFoot": [116, 250],
        "Spine": [100.5, 117], "Thorax": [100, 82], "Head": [100, 46],
        "LShoulder": [120, 80], "LElbow": [130, 110], "LWrist": [140, 140],
        "RShoulder": [80, 84], "RElbow": [70, 112], "RWrist": [60, 142],
    }  # fmt: skip
    pose[0, 1] = np.nan  # an eye is hidden: the ears, and without them the nose
    assert to_our_joints(pose, "coco")[0][0, 9].tolist() == [100, 48]
    pose[0, 3] = np.nan
    assert to_our_joints(pose, "coco")[0][0, 9].tolist() == [100, 50]


def test_gaps_are_bridged_and_marked():
    coco = np.tile(np.arange(17.0)[:, None] * 10, (6, 1, 2)) + np.arange(6.0)[:, None, None] * 2 + 100
    expected = to_our_joints(coco, "coco")[0]
    confidences = np.ones((6, 17))
    confidences[2:4, 12] = 0.1, np.nan  # right hip, in the middle of its way
    confidences[1, 5] = 0  # left shoulder
    coco[2, 12], coco[3, 12] = 0, 9999
    coco[5, 15] = 1e30, 5  # left ankle, at the end: no place
    joints, missing = to_our_joints(coco, "coco", confidences)
    marked = {(frame, JOINT_NAMES[joint]) for frame, joint in np.argwhere(missing)}
    # What is made of a filled joint is marked as well.
    assert marked == {
        (2, "RHip"), (3, "RHip"), (2, "Hip"), (3, "Hip"), (2, "Spine"), (3, "Spine"),
        (1, "LShoulder"), (1, "Thorax"), (1, "Spine"), (5, "LFoot"),
    }  # fmt: skip
    expected[5, 6] = expected[4, 6]  # the nearest place: nothing comes after
    np.testing.assert_allclose(joints, expected, atol=1e-9)
    seen = to_our_joints(np.minimum(coco, 9999), "coco", np.nan_to_num(confidences, nan=0.1), threshold=0)[1]
    assert not seen.any()


def test_a_joint_that_is_never_seen_follows_by_the_rule_or_is_named(pixels):
    without_spine = pixels.copy()
    without_spine[:, [0, 7]] = np.nan
    joints, missing = to_our_joints(without_spine)
    np.testing.assert_allclose(joints, pixels)
    assert missing[:, [0, 7]].all()
    assert missing.sum() == 14
    without_knee = pixels.copy()
    without_knee[:, 2] = np.nan
    with pytest.raises(DuaError, match="RKnee"):
        to_our_joints(without_knee)


def test_what_does_not_fit_is_refused(pixels):
    for keypoints, options, words in (
        (pixels[:0], {}, "no frames"),
        (pixels[0], {}, r"\(frames, joints, 2\)"),
        (pixels * np.nan, {}, "no joint is seen"),
        (pixels, {"confidences": np.zeros((7, 16))}, "no joint is seen"),
        (pixels, {"confidences": np.ones((7, 15))}, "confidences of shape"),
        (pixels, {"skeleton": "coco"}, "'coco' has 17 joints, the keypoints have 16; 16 joints have h36m, mpii"),
        (pixels, {"skeleton": "cocoa"}, "known are h36m"),
        (keypoint_text.in_order(pixels, "coco"), {}, "17 joints: name their order"),
        (pixels[:, :14], {}, "14 joints: name their order"),
    ):
        with pytest.raises(DuaError, match=words):
            to_our_joints(keypoints, **options)
    assert to_our_joints(keypoint_text.in_order(pixels, "body25"))[0].shape == (7, 16, 2)  # no other order has 25
