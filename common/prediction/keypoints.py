"""2D joints as detectors order them, brought to our sixteen: reordering, filling what an order lacks, bridging gaps in time.

Detectors are trained on COCO's or MPII's points, lifting networks on Human3.6M's. What a detector's order lacks is filled as the
field does it (MMPose's and MotionBERT's conversions from COCO to Human3.6M agree on all of it):

- Hip: midpoint of the hips;
- Thorax: midpoint of the shoulders;
- Spine: midpoint of Hip and Thorax;
- Head: midpoint of the eyes. Where they are not seen: midpoint of the ears, else the nose.

Human3.6M's own head is higher, at the top of the skull, and its spine is a recorded joint. Networks that learnt from those see
poses of another kind here; detections in Human3.6M's definition, where there are any, are the better input.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import DuaError
from common.geometry.skeleton import H36M_JOINTS_TO_16, JOINT_NAMES, NUM_JOINTS

DEFAULT_THRESHOLD = 0.3
"""Joints of less confidence count as not seen (MMPose draws joints from 0.3 on)."""

_FARTHEST = 1e6  # pixels

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


def _order(count: int, head: tuple[Place, ...], **joints: int) -> JointOrder:
    return JointOrder(count, {"Head": head, **{joint: ((place,),) for joint, place in joints.items()}})


_COCO_HEAD: tuple[Place, ...] = ((1, 2), (3, 4), (0,))
_COCO_BODY = {
    "LShoulder": 5, "RShoulder": 6, "LElbow": 7, "RElbow": 8, "LWrist": 9, "RWrist": 10,
    "LHip": 11, "RHip": 12, "LKnee": 13, "RKnee": 14, "LFoot": 15, "RFoot": 16,
}  # fmt: skip

ORDERS: dict[str, JointOrder] = {
    "h36m": JointOrder(16, {joint: ((i,),) for i, joint in enumerate(JOINT_NAMES)}),
    "h36m17": JointOrder(17, {joint: ((i,),) for joint, i in zip(JOINT_NAMES, H36M_JOINTS_TO_16[17], strict=True)}),
    "coco": _order(17, _COCO_HEAD, **_COCO_BODY),
    "coco_wholebody": _order(133, _COCO_HEAD, **_COCO_BODY),  # 17 of the body come first, then feet, face and hands
    # AlphaPose's Halpe: COCO's, and its own head, neck and hip.
    "halpe26": _order(26, ((17,), *_COCO_HEAD), Thorax=18, Hip=19, **_COCO_BODY),
    # OpenPose's BODY-25; its neck is the midpoint of the shoulders.
    "body25": _order(
        25, ((15, 16), (17, 18), (0,)), Thorax=1, RShoulder=2, RElbow=3, RWrist=4, LShoulder=5, LElbow=6, LWrist=7,
        Hip=8, RHip=9, RKnee=10, RFoot=11, LHip=12, LKnee=13, LFoot=14,
    ),
    # MPII's thorax (7) is between the shoulders; its upper neck (8) is under the chin and no joint of ours.
    "mpii": _order(
        16, ((9,),), RFoot=0, RKnee=1, RHip=2, LHip=3, LKnee=4, LFoot=5, Hip=6, Thorax=7,
        RWrist=10, RElbow=11, RShoulder=12, LShoulder=13, LElbow=14, LWrist=15,
    ),
}  # fmt: skip

_RULE = {"Hip": ("RHip", "LHip"), "Thorax": ("RShoulder", "LShoulder"), "Spine": ("Hip", "Thorax")}
"""Midpoints, in the order in which they can be made."""


def choose_order(joints: int, skeleton: str | None) -> str:
    """The name of the joints' order: `skeleton`, or the one that has so many joints (of 16: our own).

    Raises:
        DuaError: no such order, or another number of joints than it has, or several orders have that many.
    """
    fitting = [name for name, order in ORDERS.items() if order.count == joints]
    known = ", ".join(f"{name} ({order.count})" for name, order in ORDERS.items())
    if skeleton is None:
        if joints == NUM_JOINTS:
            return "h36m"
        if len(fitting) == 1:
            return fitting[0]
        raise DuaError(f"keypoints have {joints} joints: name their order with skeleton (--skeleton), one of {known}")
    if skeleton not in ORDERS:
        raise DuaError(f"skeleton '{skeleton}' is not known; known are {known}")
    if ORDERS[skeleton].count != joints:
        also = f"; {joints} joints have {', '.join(fitting)}" if fitting else f"; known are {known}"
        raise DuaError(f"skeleton '{skeleton}' has {ORDERS[skeleton].count} joints, the keypoints have {joints}{also}")
    return skeleton


def is_place(keypoints_2d: np.ndarray) -> np.ndarray:
    """(..., 2) pixels -> (...) whether they are a place at all: finite, and in no image's distance from it."""
    return (np.abs(keypoints_2d) < _FARTHEST).all(axis=-1)


def to_our_joints(
    keypoints_2d: np.ndarray,
    skeleton: str | None = None,
    confidences: np.ndarray | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> tuple[np.ndarray, np.ndarray]:
    """Our sixteen joints from those of a detector, without gaps.

    A joint that is not seen (NaN, or less confidence than `threshold`) is interpolated between the frames in which it is, or
    keeps its nearest place at the clip's ends. One that is never seen follows by the rule, where there is one for it.

    Args:
        keypoints_2d: (T, J, 2) pixels of one person, frame by frame.
        skeleton: a name of `ORDERS`; None as in `choose_order`.
        confidences: (T, J), or None if all joints that are no NaN count.

    Returns:
        (T, 16, 2) pixels, and (T, 16) which of them were not seen: interpolated, or made of joints that were.

    Raises:
        DuaError: shapes that do not fit, an order as in `choose_order`, no frames, or a joint that is never seen.
    """
    keypoints_2d = np.asarray(keypoints_2d, dtype=np.float64)
    if keypoints_2d.ndim != 3 or keypoints_2d.shape[2] != 2:
        raise DuaError(f"keypoints of shape (frames, joints, 2) were expected, not {keypoints_2d.shape}")
    if not len(keypoints_2d):
        raise DuaError("keypoints have no frames; at least one is needed")
    places = ORDERS[choose_order(keypoints_2d.shape[1], skeleton)].places
    seen = np.where(is_place(keypoints_2d)[..., None], keypoints_2d, np.nan)
    if confidences is not None:
        confidences = np.asarray(confidences, dtype=np.float64)
        if confidences.shape != keypoints_2d.shape[:2]:
            raise DuaError(f"confidences of shape {keypoints_2d.shape[:2]} were expected, not {confidences.shape}")
        seen[~(confidences >= threshold)] = np.nan  # a confidence of NaN is none
    if np.isnan(seen).all():
        raise DuaError("no joint is seen in any frame: all keypoints are NaN or of less confidence than the threshold")

    joints = np.full((len(seen), NUM_JOINTS, 2), np.nan)
    for joint, alternatives in places.items():
        for place in alternatives:
            column = joints[:, JOINT_NAMES.index(joint)]
            column[:] = np.where(np.isnan(column), seen[:, list(place)].mean(axis=1), column)
    measured = ~np.isnan(joints[..., 0])  # (T, 16)
    never = [joint for joint, any_frame in zip(JOINT_NAMES, measured.any(axis=0)) if not any_frame and joint not in _RULE]
    if never:
        raise DuaError(
            f"never seen in {len(seen)} frames, so there is nothing to interpolate: {', '.join(never)}; "
            "give a clip in which each joint is seen, or lower the threshold of confidence"
        )
    _interpolate(joints, measured)
    missing = ~measured
    for joint, pair in _RULE.items():
        i, (a, b) = JOINT_NAMES.index(joint), map(JOINT_NAMES.index, pair)
        if not measured[:, i].any():
            joints[:, i] = (joints[:, a] + joints[:, b]) / 2
            missing[:, i] = (missing[:, a] | missing[:, b]) if joint not in places else True
    return joints, missing


def _interpolate(joints: np.ndarray, measured: np.ndarray) -> None:
    """Fill the frames (T) in which a joint was not measured between those in which it was, in place."""
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(measured.any(axis=0) & ~measured.all(axis=0)):
        known = measured[:, joint]
        for axis in range(2):
            joints[~known, joint, axis] = np.interp(frames[~known], frames[known], joints[known, joint, axis])
