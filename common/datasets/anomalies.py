"""What data sets get wrong without being damaged: mirror images, other units, 2D that is not of the 3D beside it.

What no recording can be is an error, what one might be is a line of warning. Nothing here looks at single poses: people stand on
their hands, lie, squat and walk out of the picture, and detectors err, but not most of the time.
"""

import sys
from pathlib import Path

import numpy as np

from common.datasets.poses import Poses, UnlabelledPoses
from common.errors import DuaError, one_line
from common.geometry.skeleton import JOINT_NAMES, JOINTS_LEFT, JOINTS_RIGHT, MIRROR, ROOT, handedness

_SAMPLE = 20_000  # poses that are looked at
_FEW = 8  # poses of a sequence that are too few to judge it by

# Real bodies in motion average 0.2 to 0.5, mirrored ones the negative; a few straight-legged frames come near 0.
_MIRRORED_BELOW = -0.05
_FARTHEST_JOINT = 3.0
"""Metres from the hip: a tall person's stretched arm reaches 1.6."""

_INSIDE = 0.5
"""Less of all joints than this in the image is no view of people; of SURREAL's, who walk out of theirs, nine tenths are."""
_WIDEST = 0.02
"""Screen units: joints that all lie this near to each other are no pixels. The smallest people span ten times as much."""

_AGREE = 0.8
"""Correlation of 2D with the projected 3D: 0.99 without noise, 0.88 if a joint's is a tenth of the body, 0.3 between any two poses."""
_OPPOSED = -0.4
"""Correlation of left-to-right distances, or along one axis: 0.9 and more, its negative where one is turned round."""
_SCALE = 1.5
"""How many times larger or smaller than the camera shows it a body may be in 2D."""
_NEAREST = 0.1  # metres before the camera; what is nearer or behind has no image


def warn(message: str) -> None:
    """One line on stderr for what may well be, but should be looked at."""
    print(f"warning: {one_line(message)}", file=sys.stderr)


def check_not_mirrored(mean_handedness: float, where: str | Path, remedy: str) -> None:
    """Raise a `DuaError` if bodies of this mean `common.geometry.skeleton.handedness` are mirror images."""
    if mean_handedness < _MIRRORED_BELOW:
        raise DuaError(
            f"{where}: the bodies are mirrored (mean handedness {mean_handedness:.2f}, above 0 was expected): left and right "
            f"joints are exchanged, or an axis is turned round; {remedy}"
        )


def check_bodies(poses_3d: np.ndarray, where: str | Path, remedy: str) -> None:
    """(N, 16, 3) metres in any right-handed axes: no mirror images, and no joint where a body has none.

    Raises:
        DuaError: they are mirrored, or a joint is metres away from its hip.
    """
    sample = _sampled(poses_3d)
    with np.errstate(over="ignore", invalid="ignore"):
        distances = np.abs(sample - sample[:, ROOT : ROOT + 1])  # (N, 16, 3)
    if not (distances < _FARTHEST_JOINT).all():
        reach = distances.max(axis=2)
        joint = JOINT_NAMES[int(np.argmax(np.nan_to_num(reach, nan=np.inf).max(axis=0)))]
        raise DuaError(
            f"{where}: {joint} lies {reach.max():.3g} m from the hip in some poses, no body is so large: other units than metres, "
            f"or broken frames; {remedy}"
        )
    check_not_mirrored(float(np.mean(handedness(sample))), where, remedy)


def check_pixels(poses: Poses | UnlabelledPoses, where: str | Path, remedy: str) -> None:
    """Are `inputs_2d` pixels of the images that the sequences name?

    Raises:
        DuaError: all joints lie together as if they had been normalised already, or most lie outside the images.
    """
    screen = _sampled(poses.inputs_2d.numpy())
    rows = _sampled(np.arange(len(poses)))
    heights = np.empty(len(poses), dtype=np.float32)
    for sequence in poses.sequences:
        heights[sequence.start : sequence.stop] = sequence.resolution[1] / sequence.resolution[0]
    problem = pixels_problem(screen, heights[rows])
    if problem:
        raise DuaError(f"{where}: {problem}; {remedy}")


def pixels_problem(screen: np.ndarray, height: np.ndarray) -> str | None:
    """Why (N, 16, 2) screen coordinates cannot come of pixels, or None. `height` (N,) is that of the images over their width."""
    with np.errstate(over="ignore", invalid="ignore"):
        spans = np.ptp(screen.transpose(1, 2, 0).copy(), axis=0).max(axis=0)  # poses last: along them numpy is quickest
    if np.median(spans) < _WIDEST:
        return "its 2D joints lie within a hundredth of the image's width of each other: they are no pixels, perhaps metres, or normalised already"
    inside = (np.abs(screen[..., 0]) <= 1) & (np.abs(screen[..., 1]) <= height[:, None])
    if inside.mean() < _INSIDE:
        return f"{1 - inside.mean():.0%} of its 2D joints lie outside the image: they are pixels of another size of image, or of a part"
    return None


def check_views(poses: Poses, focal: float, where_2d: str | Path, where_3d: str | Path, remedy: str) -> None:
    """Is `inputs_2d` what a camera sees of `targets_3d`, which stand at `roots_3d`?

    2D and projected 3D, both from the hip, are correlated over all poses; so are the distances of left joints from right ones.

    Args:
        focal: the cameras' focal length in screen units, twice the focal length over the image's width.

    Raises:
        DuaError: left and right are exchanged between 2D and 3D, an axis is turned round, or sizes differ, over all poses. What
            concerns single sequences, or is merely unlike, is a warning.
    """
    if poses.roots_3d is None or not len(poses):
        return
    rows = _sampled(np.arange(len(poses)))
    roots = poses.roots_3d.numpy()[rows, None].astype(np.float64)
    points = poses.targets_3d.numpy()[rows] + roots
    before = (points[..., 2] > _NEAREST).all(axis=1)
    rows, points = rows[before], points[before]
    if len(rows) < _FEW:
        return
    seen = poses.inputs_2d.numpy()[rows].astype(np.float64)
    seen -= seen[:, ROOT : ROOT + 1]
    projected = points[..., :2] / points[..., 2:] * focal
    projected -= projected[:, ROOT : ROOT + 1]
    both = f"{where_2d} and {where_3d}"

    same = _correlation(seen, projected)
    exchanged = _correlation(seen, projected[:, list(MIRROR)])
    sides = _correlation(_across(seen), _across(projected))
    for axis, name in enumerate("xy"):
        along = _correlation(seen[..., axis], projected[..., axis])
        turned = projected * (np.array([-1, 1]) if axis == 0 else np.array([1, -1]))
        if along < _OPPOSED and _correlation(seen, turned) > exchanged:
            raise DuaError(f"{both}: {name} of the 2D runs against {name} of the 3D (correlation {along:.2f}); {remedy}")
    if sides < _OPPOSED and exchanged > same:
        raise DuaError(
            f"{both}: left and right are exchanged between 2D and 3D (correlation of their distances {sides:.2f}, above 0 was "
            f"expected); {remedy}"
        )
    scale = float(np.vdot(seen, projected) / np.vdot(projected, projected))  # by regression: noise in 2D does not change it
    if same > _AGREE and not 1 / _SCALE < scale < _SCALE:
        raise DuaError(
            f"{both}: bodies are {scale:.2g} times as large in 2D as the camera shows them: pixels of another size of image, or 3D in "
            f"another unit; {remedy}"
        )
    _warn_of_sequences(poses, rows, seen, projected, both)


def _warn_of_sequences(poses: Poses, rows: np.ndarray, seen: np.ndarray, projected: np.ndarray, both: str) -> None:
    edges = np.searchsorted(rows, [sequence.start for sequence in poses.sequences] + [len(poses)])
    agreements = _correlations(seen, projected, edges)
    judged = 0
    exchanged: list[str] = []
    unlike: list[str] = []
    for sequence, first, last, agreement in zip(poses.sequences, edges[:-1], edges[1:], agreements, strict=True):
        if last - first < _FEW:
            continue
        judged += 1
        name = f"{sequence.subject} {sequence.action} {sequence.camera}"
        if agreement < _AGREE:
            of_2d, of_3d = seen[first:last], projected[first:last]
            (exchanged if _correlation(of_2d, of_3d[:, list(MIRROR)]) > _AGREE else unlike).append(name)
    if exchanged:
        warn(f"{both}: left and right are exchanged in {_listed(exchanged, judged)}; leave them out, or get them anew")
    if unlike:
        warn(
            f"{both}: 2D and 3D show different poses in {_listed(unlike, judged)}: other frames, or another camera; leave them out, or "
            "get both files of one source"
        )


def _across(points: np.ndarray) -> np.ndarray:
    """(N, 6, 2) from each right joint to its left one."""
    return points[:, list(JOINTS_LEFT)] - points[:, list(JOINTS_RIGHT)]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of numbers that are differences already: their mean is not taken off. 1 if there is nothing to compare."""
    a, b = a.ravel(), b.ravel()
    norms = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norms) if norms > 0 else 1.0


def _correlations(a: np.ndarray, b: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """`_correlation` of the rows of (N, J, 2) from each of the edges (S + 1) to the next, where there are any: (S)."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    aa, bb, ab = (  # a zero at the end, because a last part may have no rows
        np.add.reduceat(np.append(np.einsum("ij,ij->i", *pair), 0.0), edges[:-1]) for pair in ((a, a), (b, b), (a, b))
    )
    norms = np.sqrt(aa * bb)
    return np.where(norms > 0, ab / np.where(norms > 0, norms, 1), 1.0)


def _sampled(values: np.ndarray) -> np.ndarray:
    return values[:: 1 + len(values) // _SAMPLE]


def _listed(names: list[str], of: int) -> str:
    return f"{len(names)} of {of} sequences ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
