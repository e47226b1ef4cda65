"""2D joints of a detector as the networks read them: our sixteen (`common.geometry.joint_orders`), gaps in time bridged."""

import numpy as np

from common.errors import DuaError
from common.geometry.joint_orders import ORDERS, RULE, follow_rule, measured_joints
from common.geometry.missing import confidences_of, interpolate_in_time, is_place
from common.geometry.skeleton import JOINT_NAMES, NUM_JOINTS

DEFAULT_THRESHOLD = 0.3
"""Joints of less confidence count as not seen (MMPose draws joints from 0.3 on)."""

_LARGEST_SHARE = 1.5
"""Of an image's sides: what lies farther outside, with most others, is no share of it. Nobody is a pixel and a half high."""
_NEGATIVE = 0.1
"""Of all joints: so many stretch out of the image to the left and above, not more."""

_HEAD_OF_COCO = slice(0, 5)
"""Nose, eyes and ears; in Human3.6M's seventeen a hip, a whole leg and the other hip stand there."""
_SMALL_HEAD = 0.2
"""How far apart those lie at most, of all joints' extent: 0.14 of a body that sits. In the demo's clips a leg and the other hip are 0.35
of one that crawls towards the camera, and more of all others."""


def choose_order(joints: int, skeleton: str | None, keypoints_2d: np.ndarray | None = None) -> str:
    """The name of the joints' order: `skeleton`, or the one that has so many joints (of 16: our own).

    Seventeen joints without a name are COCO's if `keypoints_2d` (T, 17, 2) has eyes and ears where COCO has them.

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
        if joints == ORDERS["coco"].count and keypoints_2d is not None and _has_head_of_coco(keypoints_2d):
            return "coco"
        raise DuaError(f"keypoints have {joints} joints: name their order with skeleton (--skeleton), one of {known}")
    if skeleton not in ORDERS:
        raise DuaError(f"skeleton '{skeleton}' is not known; known are {known}")
    if ORDERS[skeleton].count != joints:
        also = f"; {joints} joints have {', '.join(fitting)}" if fitting else f"; known are {known}"
        raise DuaError(f"skeleton '{skeleton}' has {ORDERS[skeleton].count} joints, the keypoints have {joints}{also}")
    return skeleton


def _has_head_of_coco(keypoints_2d: np.ndarray) -> bool:
    """(T, 17, 2): do the first five joints lie together as nose, eyes and ears do, in most frames?"""
    places = np.where(is_place(keypoints_2d)[..., None], keypoints_2d, np.nan)
    enough = (~np.isnan(places[:, _HEAD_OF_COCO, 0])).sum(axis=1) >= 3
    places = places[enough]
    if not len(places):
        return False
    head = places[:, _HEAD_OF_COCO]
    head_extent = (np.nanmax(head, axis=1) - np.nanmin(head, axis=1)).max(axis=1)
    low, high = np.nanquantile(places, (1 / 16, 15 / 16), axis=1)  # but one joint at each end: detectors err
    return bool(np.median(head_extent / np.maximum((high - low).max(axis=1), 1e-6)) < _SMALL_HEAD)


def split_confidences(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(T, J, 2) places and (T, J) confidences, or None, of (T, J, 2), of (T, J, 3) with confidence last, or of a single frame of these.

    Raises:
        DuaError: another shape, or a third column that is a coordinate.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    if keypoints.ndim == 2:
        keypoints = keypoints[None]
    if keypoints.ndim != 3 or keypoints.shape[2] not in (2, 3):
        raise DuaError(
            f"keypoints of shape (frames, joints, 2), or (frames, joints, 3) with confidence last, were expected, not {keypoints.shape}"
        )
    if keypoints.shape[2] == 2:
        return keypoints, None
    confidences = confidences_of(keypoints)
    if confidences is None:
        raise DuaError(
            "keypoints have three columns that are coordinates, so these are 3D poses; 2D joints are needed: (frames, joints, 2) in pixels, "
            "or with the confidence as third column"
        )
    return keypoints[..., :2], confidences


def in_pixels(
    keypoints_2d: np.ndarray, image_size: tuple[int, int], counted: np.ndarray | bool = True
) -> tuple[np.ndarray, bool]:
    """Places (..., 2) in pixels, and whether they had to be made of shares of the image's width and height, from 0 to 1.

    Args:
        counted: (...) the joints by which that is judged: those of enough confidence.

    Raises:
        DuaError: they are neither, but around 0: places on a screen from -1 to 1, or metres.
    """
    places = is_place(keypoints_2d)
    seen = keypoints_2d[places & counted]
    if not len(seen) or np.median(np.abs(seen).max(axis=1)) > _LARGEST_SHARE:
        return keypoints_2d, False
    if (seen < 0).any(axis=1).mean() > _NEGATIVE:
        raise DuaError(
            "keypoints lie between -1.5 and 1.5, most of them, and around 0: pixels are needed, or shares of the image from 0 to 1; these "
            "look turned into screen coordinates already, or are metres"
        )
    return np.where(places[..., None], keypoints_2d * np.array(image_size), np.nan), True


def to_our_joints(
    keypoints_2d: np.ndarray,
    skeleton: str | None = None,
    confidences: np.ndarray | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> tuple[np.ndarray, np.ndarray]:
    """Our sixteen joints from those of a detector, without gaps.

    A joint that is not seen (NaN, exactly (0, 0) or (-1, -1), or less confidence than `threshold`) is interpolated between the
    frames in which it is, or keeps its nearest place at the clip's ends. One that is never seen follows by the rule, where there
    is one for it.

    Args:
        keypoints_2d: (T, J, 2) pixels of one person, frame by frame.
        skeleton: a name of `ORDERS`; None as in `choose_order`.
        confidences: (T, J), or None if all joints that have a place count.

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
    lowered = _if_lowered(keypoints_2d, confidences, threshold)
    if np.isnan(seen).all():
        raise DuaError(
            "no joint is seen in any frame: all keypoints are NaN, (0, 0) or (-1, -1), or of too little confidence; "
            f"give a clip in which somebody is seen{lowered}"
        )

    joints = measured_joints(seen, order)
    measured = ~np.isnan(joints[..., 0])  # (T, 16)
    never = [joint for joint, any_frame in zip(JOINT_NAMES, measured.any(axis=0)) if not any_frame and joint not in RULE]
    if never:
        raise DuaError(
            f"never seen in {len(seen)} frames, so there is nothing to interpolate: {', '.join(never)}; "
            f"give a clip in which each joint is seen{lowered}"
        )
    interpolate_in_time(joints, measured)
    missing = ~measured
    lacking = {joint for joint in RULE if not measured[:, JOINT_NAMES.index(joint)].any()}
    follow_rule(joints, lacking)
    for joint in (joint for joint in RULE if joint in lacking):
        i, (a, b) = JOINT_NAMES.index(joint), map(JOINT_NAMES.index, RULE[joint])
        missing[:, i] = (missing[:, a] | missing[:, b]) if joint not in order.places else True
    return joints, missing


def _if_lowered(keypoints_2d: np.ndarray, confidences: np.ndarray | None, threshold: float) -> str:
    """How to see joints that are there, but of too little confidence; nothing if there are none."""
    if confidences is None or not (is_place(keypoints_2d) & (confidences < threshold) & (confidences > 0)).any():
        return ""
    return f", or lower the confidence from which joints count, which is {threshold:g} (threshold, --min_confidence)"
