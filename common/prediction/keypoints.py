"""2D joints of a detector as the networks read them: our sixteen (`common.geometry.joint_orders`), gaps in time bridged."""

import numpy as np

from common.errors import DuaError
from common.geometry.joint_orders import ORDERS, RULE, follow_rule, measured_joints
from common.geometry.skeleton import JOINT_NAMES, NUM_JOINTS

DEFAULT_THRESHOLD = 0.3
"""Joints of less confidence count as not seen (MMPose draws joints from 0.3 on)."""

_FARTHEST = 1e6  # pixels


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
    order = ORDERS[choose_order(keypoints_2d.shape[1], skeleton)]
    seen = np.where(is_place(keypoints_2d)[..., None], keypoints_2d, np.nan)
    if confidences is not None:
        confidences = np.asarray(confidences, dtype=np.float64)
        if confidences.shape != keypoints_2d.shape[:2]:
            raise DuaError(f"confidences of shape {keypoints_2d.shape[:2]} were expected, not {confidences.shape}")
        seen[~(confidences >= threshold)] = np.nan  # a confidence of NaN is none
    if np.isnan(seen).all():
        raise DuaError("no joint is seen in any frame: all keypoints are NaN or of less confidence than the threshold")

    joints = measured_joints(seen, order)
    measured = ~np.isnan(joints[..., 0])  # (T, 16)
    never = [joint for joint, any_frame in zip(JOINT_NAMES, measured.any(axis=0)) if not any_frame and joint not in RULE]
    if never:
        raise DuaError(
            f"never seen in {len(seen)} frames, so there is nothing to interpolate: {', '.join(never)}; "
            "give a clip in which each joint is seen, or lower the threshold of confidence"
        )
    _interpolate(joints, measured)
    missing = ~measured
    lacking = {joint for joint in RULE if not measured[:, JOINT_NAMES.index(joint)].any()}
    follow_rule(joints, lacking)
    for joint in (joint for joint in RULE if joint in lacking):
        i, (a, b) = JOINT_NAMES.index(joint), map(JOINT_NAMES.index, RULE[joint])
        missing[:, i] = (missing[:, a] | missing[:, b]) if joint not in order.places else True
    return joints, missing


def _interpolate(joints: np.ndarray, measured: np.ndarray) -> None:
    """Fill the frames (T) in which a joint was not measured between those in which it was, in place."""
    frames = np.arange(len(joints))
    for joint in np.flatnonzero(measured.any(axis=0) & ~measured.all(axis=0)):
        known = measured[:, joint]
        for axis in range(2):
            joints[~known, joint, axis] = np.interp(frames[~known], frames[known], joints[known, joint, axis])
