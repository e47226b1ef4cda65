"""Joints that were not found in a picture: how files write them, and places for them from the frames in which they were."""

import numpy as np

_NOT_FOUND = (0.0, -1.0)
"""Both coordinates exactly this: how detectors write a joint that they did not find. A place beside it is a place."""

_FARTHEST = 1e6  # pixels
_LARGEST_CONFIDENCE = 10.0  # heat maps peak a little above 1, sums of several (AlphaPose's, RTMW's) at 6 or so
_SMALL = 10.0  # pixels; shares of an image and metres are smaller than any person in pixels


def is_place(points_2d: np.ndarray) -> np.ndarray:
    """(..., 2) pixels -> (...) whether a joint is there: finite, in no image's distance from it, and not written as not found."""
    x, y = points_2d[..., 0], points_2d[..., 1]  # apart: `all` over an axis of two takes several times as long
    there = (np.abs(x) < _FARTHEST) & (np.abs(y) < _FARTHEST)
    for mark in _NOT_FOUND:
        there &= (x != mark) | (y != mark)
    return there


def confidences_of(points: np.ndarray) -> np.ndarray | None:
    """(..., 3) -> (...) the third column if that is a confidence (or COCO's 0, 1 or 2), None if it is a coordinate.

    Confidences are never negative, and of joints whose places are no pixels, but shares of an image, never above 1.
    """
    last = points[..., 2]
    known, places = last[np.isfinite(last)], np.abs(points[..., :2][is_place(points[..., :2])])
    if not len(known):
        return last
    if known.min() < 0 or known.max() > _LARGEST_CONFIDENCE:
        return None
    if len(places) and np.median(places.max(axis=-1)) < _SMALL and known.max() > 1 and not np.isin(known, (0, 1, 2)).all():
        return None
    return last


def interpolate_in_time(joints: np.ndarray, measured: np.ndarray) -> None:
    """Fill joints (T, J, 2) in place where they were not measured (T, J): see `fill_in_time`."""
    for joint in np.flatnonzero(~measured.all(axis=0)):
        fill_in_time(joints[:, joint], measured[:, joint])


def fill_in_time(values: np.ndarray, measured: np.ndarray) -> None:
    """Fill values (T, C) in place in frames in which they were not measured (T,): between those in which they were.

    Before the first and after the last of those they keep the nearest value. What was never measured stays as it is.
    """
    if not measured.any() or measured.all():
        return
    frames = np.arange(len(values))
    for axis in range(values.shape[1]):
        values[~measured, axis] = np.interp(frames[~measured], frames[measured], values[measured, axis])
