"""Joints of detectors become ours: orders, the filling rule, gaps."""

import numpy as np
import pytest

from common.detections.keypoints import ORDERS, choose_order, in_pixels, to_our_joints
from common.errors import DuaError
from common.geometry.skeleton import JOINT_NAMES
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
    coco[2, 12], coco[3, 12] = 1, 9999
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


def in_motion(frames=6):
    """(T, 17, 2) of COCO's joints, every joint on a straight way of its own."""
    rng = np.random.default_rng(2)
    start, end = rng.uniform(100, 500, (2, 1, 17, 2))
    return start + (end - start) * np.linspace(0, 1, frames)[:, None, None]


@pytest.mark.parametrize("mark", [(0, 0), (-1, -1), (np.nan, np.nan)])
def test_what_was_not_found_is_no_joint_at_the_corner(mark):
    coco = in_motion()
    expected = to_our_joints(coco, "coco")[0]
    lost = coco.copy()
    lost[2:4, [7, 9]] = mark  # left elbow and wrist
    joints, missing = to_our_joints(lost, "coco")
    assert {(frame, JOINT_NAMES[joint]) for frame, joint in np.argwhere(missing)} == {
        (frame, joint) for frame in (2, 3) for joint in ("LElbow", "LWrist")
    }
    np.testing.assert_allclose(joints, expected, atol=1e-9)


def test_a_joint_near_the_corner_is_one():
    coco = in_motion()
    for place in ((0, 0.5), (-1, 0), (-0.9, -1)):
        coco[2, 9] = place
        joints, missing = to_our_joints(coco, "coco")
        assert not missing.any()
        assert joints[2, 12].tolist() == list(place)


def test_joints_that_are_never_seen_name_the_threshold_if_it_helps():
    coco, confidences = in_motion(), np.full((6, 17), 0.9)
    confidences[:, 13] = 0.2
    with pytest.raises(DuaError, match=r"LKnee; .* lower the confidence .* which is 0\.35 \(threshold, --min_confidence\)"):
        to_our_joints(coco, "coco", confidences, 0.35)
    with pytest.raises(DuaError, match=r"no joint is seen .* which is 0\.95 \(threshold, --min_confidence\)"):
        to_our_joints(coco, "coco", confidences, 0.95)
    coco[:, 13] = 0
    for given in (None, confidences):
        with pytest.raises(DuaError, match=r"never seen in 6 frames.*LKnee; give a clip in which each joint is seen$"):
            to_our_joints(coco, "coco", given)


def test_seventeen_joints_are_cocos_where_eyes_and_ears_say_so():
    """On poses of people: standing, sitting on a chair, on hands and knees; from the front and from the side."""
    body = {
        "Hip": (0, 1.0, 0), "Spine": (0, 1.25, 0), "Thorax": (0, 1.5, 0), "Head": (0, 1.72, 0.05), "nose": (0, 1.66, 0.12),
        "LShoulder": (0.18, 1.45, 0), "LElbow": (0.24, 1.17, 0), "LWrist": (0.26, 0.92, 0.1), "LHip": (0.1, 0.97, 0),
        "LKnee": (0.12, 0.53, 0.02), "LFoot": (0.12, 0.08, 0), "leye": (0.03, 1.7, 0.1), "lear": (0.07, 1.69, 0.02), "other": (0, 1.6, 0.08),
    }  # fmt: skip
    sitting = body | {"LKnee": (0.14, 0.97, 0.44), "LFoot": (0.14, 0.52, 0.44)}
    crawling = {joint: (x, 0.5 - z, y) for joint, (x, y, z) in body.items()} | {
        "LElbow": (0.2, 0.25, 1.45), "LWrist": (0.2, 0, 1.45), "LKnee": (0.12, 0.05, 0.95), "LFoot": (0.12, 0.05, 0.5),
    }  # fmt: skip
    for pose in (body, sitting, crawling):
        whole = pose | {joint.replace("L", "R", 1) if joint[0] == "L" else "r" + joint[1:]: (-x, y, z) for joint, (x, y, z) in pose.items()
                        if joint[0] == "L" or joint in ("leye", "lear")}  # fmt: skip
        for angle in (0, 0.8, np.pi / 2):
            seen = {joint: (x * np.cos(angle) + z * np.sin(angle), -y) for joint, (x, y, z) in whole.items()}
            in_order = {
                order: 500 + 200 * np.array([[seen[joint] for joint in keypoint_text.ORDERS[order]]])
                for order in ("coco", "h36m17")
            }
            with pytest.raises(DuaError, match=r"17 joints: name their order with skeleton \(--skeleton\)"):
                choose_order(17, None, in_order["h36m17"])
            if pose is crawling and angle == 0:  # towards the camera: the head is too near to tell
                continue
            assert choose_order(17, None, in_order["coco"]) == "coco"
            in_order["coco"][:, [1, 3]] = 0  # the half of the face that is turned away
            assert choose_order(17, None, in_order["coco"]) == "coco"
    with pytest.raises(DuaError, match="17 joints"):
        choose_order(17, None, np.full((4, 17, 2), np.nan))


def test_shares_of_the_image_become_pixels():
    shares = np.random.default_rng(0).uniform(0.2, 0.9, (3, 17, 2))
    shares[1, 4], shares[2, 5], shares[2, 6] = (0, 0), (1.3, 0.5), (0.4, -0.2)  # not found; out of the picture
    pixels, multiplied = in_pixels(shares, (640, 480))
    assert multiplied
    assert np.argwhere(np.isnan(pixels).any(axis=-1)).tolist() == [[1, 4]]
    np.testing.assert_allclose(np.delete(pixels.reshape(-1, 2), 21, 0), np.delete(shares.reshape(-1, 2), 21, 0) * (640, 480))
    for kept in (in_motion(), in_motion() * np.nan, in_motion()[:0]):
        same, multiplied = in_pixels(kept, (640, 480))
        assert same is kept
        assert not multiplied
    with pytest.raises(DuaError, match="around 0"):
        in_pixels(shares * 2 - 1, (640, 480))
    away = shares - np.where(np.arange(17)[:, None] < 6, 1, 0)  # of little confidence, far out of the picture
    assert in_pixels(away, (640, 480), np.broadcast_to(np.arange(17) >= 6, (3, 17)))[1]
