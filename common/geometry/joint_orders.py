"""Orders in which others keep the joints of a person, and how ours are made of them. Pure geometry in numpy.

Detectors are trained on COCO's or MPII's points, lifting networks on Human3.6M's. What a detector's order lacks is filled as the
field does it (MMPose's and MotionBERT's conversions from COCO to Human3.6M agree on all of it):

- Hip: midpoint of the hips;
- Thorax: midpoint of the shoulders;
- Spine: midpoint of Hip and Thorax;
- Head: midpoint of the eyes. Where they are not seen: midpoint of the ears, else the nose.

Human3.6M's own head is higher, at the top of the skull, and its spine is a recorded joint. Networks that learnt from those see
poses of another kind here; detections in Human3.6M's definition, where there are any, are the better input.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.geometry.skeleton import H36M_JOINTS_TO_16, HOURGLASS_TO_16, JOINT_NAMES, JOINTS_LEFT, JOINTS_RIGHT, NUM_JOINTS

Place = tuple[int, ...]
"""Joints of an order whose midpoint is meant; mostly one."""


@dataclass(frozen=True)
class JointOrder:
    """How a detector orders joints.

    Attributes:
        count: joints of a pose.
        places: {our joint: what stands for it, the best first}. Joints that are not named follow by the rule above.
    """

    count: int
    places: Mapping[str, tuple[Place, ...]]


def _reordered(count: int, places: SequenceOf[int]) -> JointOrder:
    """An order that has all of ours, at `places`."""
    return JointOrder(count, {joint: ((place,),) for joint, place in zip(JOINT_NAMES, places, strict=True)})


def _order(count: int, head: tuple[Place, ...], **joints: int) -> JointOrder:
    return JointOrder(count, {"Head": head, **{joint: ((place,),) for joint, place in joints.items()}})


# Each from its project's own list: COCO's and MPII's from their data sets, Halpe's from its README, OpenPose's from
# src/openpose/pose/poseParameters.cpp, MediaPipe's from its guide to the pose landmarker.
_COCO_HEAD: tuple[Place, ...] = ((1, 2), (3, 4), (0,))
_COCO_BODY = {
    "LShoulder": 5, "RShoulder": 6, "LElbow": 7, "RElbow": 8, "LWrist": 9, "RWrist": 10,
    "LHip": 11, "RHip": 12, "LKnee": 13, "RKnee": 14, "LFoot": 15, "RFoot": 16,
}  # fmt: skip

ORDERS: dict[str, JointOrder] = {
    "h36m": _reordered(16, H36M_JOINTS_TO_16[16]),
    "h36m17": _reordered(17, H36M_JOINTS_TO_16[17]),
    "h36m32": _reordered(32, H36M_JOINTS_TO_16[32]),
    "coco": _order(17, _COCO_HEAD, **_COCO_BODY),
    "coco_wholebody": _order(133, _COCO_HEAD, **_COCO_BODY),  # 17 of the body come first, then feet, face and hands
    # AlphaPose's Halpe: COCO's, and its own head, neck and hip.
    "halpe26": _order(26, ((17,), *_COCO_HEAD), Thorax=18, Hip=19, **_COCO_BODY),
    "halpe136": _order(136, ((17,), *_COCO_HEAD), Thorax=18, Hip=19, **_COCO_BODY),  # halpe26, then face and hands
    # MediaPipe's BlazePose: three points an eye, of which the second is the middle.
    "blazepose": _order(
        33, ((2, 5), (7, 8), (0,)), LShoulder=11, RShoulder=12, LElbow=13, RElbow=14, LWrist=15, RWrist=16,
        LHip=23, RHip=24, LKnee=25, RKnee=26, LFoot=27, RFoot=28,
    ),
    # OpenPose's BODY-25; its neck is the midpoint of the shoulders.
    "body25": _order(
        25, ((15, 16), (17, 18), (0,)), Thorax=1, RShoulder=2, RElbow=3, RWrist=4, LShoulder=5, LElbow=6, LWrist=7,
        Hip=8, RHip=9, RKnee=10, RFoot=11, LHip=12, LKnee=13, LFoot=14,
    ),
    # OpenPose's COCO model, and AlphaPose's --format cmu and open. Its neck (1) is not used: the midpoint of the shoulders is what
    # OpenPose means, but AlphaPose writes the top of the head there if its model was Halpe's.
    "openpose_coco": _order(
        18, ((14, 15), (16, 17), (0,)), RShoulder=2, RElbow=3, RWrist=4, LShoulder=5, LElbow=6, LWrist=7,
        RHip=8, RKnee=9, RFoot=10, LHip=11, LKnee=12, LFoot=13,
    ),
    # OpenPose's MPI model; its neck (1) lies above the thorax, its chest (14) between neck and hips.
    "openpose_mpi": _order(
        15, ((0,),), RShoulder=2, RElbow=3, RWrist=4, LShoulder=5, LElbow=6, LWrist=7,
        RHip=8, RKnee=9, RFoot=10, LHip=11, LKnee=12, LFoot=13,
    ),
    # MPII's thorax (7) is between the shoulders; its upper neck (8) is under the chin and no joint of ours.
    "mpii": _order(
        16, ((9,),), RFoot=0, RKnee=1, RHip=2, LHip=3, LKnee=4, LFoot=5, Hip=6, Thorax=7,
        RWrist=10, RElbow=11, RShoulder=12, LShoulder=13, LElbow=14, LWrist=15,
    ),
    # Stacked hourglass in files of Human3.6M: MPII's order, whose thorax and upper neck are taken for spine and thorax (VideoPose3D).
    "hourglass": _reordered(16, HOURGLASS_TO_16),
}  # fmt: skip

RULE = {"Hip": ("RHip", "LHip"), "Thorax": ("RShoulder", "LShoulder"), "Spine": ("Hip", "Thorax")}
"""Midpoints, in the order in which they can be made."""

_IN_DATA_SETS = ("h36m", "h36m17", "h36m32", "coco", "hourglass")
"""Orders of VideoPose3D's prepared files."""


def order_of_metadata(metadata: Any, joints: int) -> str | None:
    """The name of the order that VideoPose3D's `metadata` entry says for poses of so many joints.

    Its layout's name says COCO's, which joints it calls left and right any other; None where they say nothing known here.
    """
    if not isinstance(metadata, Mapping) or metadata.get("num_joints", joints) != joints:
        return None
    if metadata.get("layout_name") == "coco" and joints == ORDERS["coco"].count:
        return "coco"
    try:
        left, right = ({int(joint) for joint in side} for side in metadata["keypoints_symmetry"])
    except (KeyError, TypeError, ValueError):
        return None
    for name in _IN_DATA_SETS:
        order = ORDERS[name]
        if order.count == joints and _places(order, JOINTS_LEFT) <= left and _places(order, JOINTS_RIGHT) <= right:
            return name
    return None


def _places(order: JointOrder, joints: Iterable[int]) -> set[int]:
    return {order.places[JOINT_NAMES[joint]][0][0] for joint in joints}


def places_read(order: JointOrder) -> list[int]:
    """Which of an order's joints ours are made of, increasing."""
    return sorted({joint for places in order.places.values() for place in places for joint in place})


def measured_joints(keypoints_2d: np.ndarray, order: JointOrder) -> np.ndarray:
    """(T, J, 2) of an order to (T, 16, 2): of each joint the first place that is no NaN; NaN where no place stands for it."""
    joints = np.full((len(keypoints_2d), NUM_JOINTS, 2), np.nan)
    alone = {joint: places[0][0] for joint, places in order.places.items() if len(places[0]) == 1}
    joints[:, [JOINT_NAMES.index(joint) for joint in alone]] = keypoints_2d[:, list(alone.values())]
    for joint, alternatives in order.places.items():
        column = joints[:, JOINT_NAMES.index(joint)]
        for place in alternatives[joint in alone :]:  # a first one that is alone is there
            gaps = np.isnan(column)
            column[gaps] = keypoints_2d[:, list(place)].mean(axis=1, dtype=np.float64)[gaps]
    return joints


def follow_rule(joints: np.ndarray, lacking: Iterable[str]) -> None:
    """Put those of our joints (T, 16, 2) that are lacking where `RULE` has them, in place."""
    for joint, pair in RULE.items():
        if joint in lacking:
            first, second = (joints[:, JOINT_NAMES.index(name)] for name in pair)
            joints[:, JOINT_NAMES.index(joint)] = (first + second) / 2


def rule_matrix(order: JointOrder) -> np.ndarray:
    """(16, J) what `measured_joints` and `follow_rule` do to poses whose joints are all seen: they take means of them."""
    ones = np.repeat(np.eye(order.count)[..., None], 2, axis=2)  # frame t has joint t at (1, 1), the others at the origin
    joints = measured_joints(ones, order)
    follow_rule(joints, {joint for joint in RULE if joint not in order.places})
    return joints[..., 0].T
