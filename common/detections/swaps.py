"""Left and right that a detector exchanges for some frames, found by how joints go on from frame to frame.

A detector that takes the left leg for the right one is as sure of it as ever. What gives it away is time: the joints of both
sides are where the other side's were a frame before, and go on from there. Each frame's legs and arms are exchanged or not, as
makes all joints move on most evenly; a change of sides must explain more than it costs. Who turns round has sides that pass each
other and go on, which is even as it is.

Which of both ways is right, continuity does not tell: most frames are taken to be.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from common.detections.keypoints import ORDERS
from common.geometry.skeleton import JOINT_NAMES

PARTS = {"legs": ("Hip", "Knee", "Foot"), "arms": ("Shoulder", "Elbow", "Wrist")}
"""What is exchanged at once."""
_PAIRS = np.array([[JOINT_NAMES.index(side + joint) for side in "LR"] for joints in PARTS.values() for joint in joints])
"""(6, 2) joints, left and right, of the legs and then of the arms."""

SLOWEST = 12.0
"""Frames per second, of fewer of which a quick turn of the whole body fits between two."""

# Costs are in units of log(1 + (r / s)^2), where a pair of joints is r from where it would go on to, and s is usual in the clip. Chosen
# on the demo's training clips, with a detector's noise and swaps put in, so that nothing is found in clips without a swap.
_CHANGE = 10.0
"""For a change of sides, of legs, arms or both."""
_APART = 0.5
"""For each frame in which legs are exchanged and arms are not, or the other way round."""
_LEFT_OUT = 30.0
"""For a frame of which no use is made: detectors that smooth in time draw left and right together while these change sides."""
_REACH = 3
"""Frames from one of which use is made to the next, at most."""
_QUICK = 0.25
"""Of the distance between the sides, that they move against each other in a frame: from then on a real turn fits into frames that
are left out, and none are."""
_STEADIEST = 0.01
"""Of the same distance: joints are never taken to go on more evenly than that."""

_CHANGES = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])  # of legs and of arms: nothing, legs, arms, both
_ENOUGH = 0.5  # of the pairs, for a frame to be of use
_BRIDGED = 2  # frames, on both sides, in one of which a joint must be seen
_NAMED = 8  # runs of frames, in what is said
_BLOCK = 4096  # frames whose costs are in memory at once


def find_swaps(joints: np.ndarray, measured: np.ndarray, fps: float | None = None) -> np.ndarray:
    """In which frames left and right are the other way round than in most.

    Args:
        joints: (T, 16, 2) pixels of one person, frame by frame, without gaps (`common.detections.keypoints.to_our_joints`).
        measured: (T, 16) which of them a detector saw, and which are interpolated.
        fps: how many of these frames are a second, if known.

    Returns:
        (T, 2) whether legs and arms are exchanged. Nothing, of less than `SLOWEST` frames a second.
    """
    left, right = _PAIRS.T
    known = _known(measured)
    both = known[:, left] & known[:, right]  # (T, 6)
    across = joints[:, left] - joints[:, right]  # (T, 6, 2), which an exchange turns round
    across[~both] = np.nan
    frames = np.flatnonzero(both.mean(axis=1) >= _ENOUGH)
    if len(frames) < 3 or (fps is not None and fps < SLOWEST):
        return np.zeros((len(joints), 2), dtype=bool)
    used, states = _most_even(across[frames], frames)
    exchanged = _between(across, frames[used], states)
    return ~exchanged if exchanged.mean() > 0.5 else exchanged


def _known(measured: np.ndarray) -> np.ndarray:
    """(T, 16) which joints were seen, or are between two frames of the nearest in which they were: as good as seen."""
    near = np.pad(measured, ((_BRIDGED, _BRIDGED), (0, 0)))
    shifted = [near[i : i + len(measured)] for i in range(2 * _BRIDGED + 1)]
    return measured | (np.any(shifted[:_BRIDGED], axis=0) & np.any(shifted[_BRIDGED + 1 :], axis=0))


def exchange_sides(values: np.ndarray, exchanged: np.ndarray, order: str) -> np.ndarray:
    """Values of joints (T, J, ...) in one of `common.detections.keypoints.ORDERS`, with left and right exchanged as `find_swaps` says."""
    values, places = values.copy(), ORDERS[order].places
    for part, joints in enumerate(PARTS.values()):
        rows = np.flatnonzero(exchanged[:, part])[:, None]
        for joint in joints:
            for left, right in zip(places[f"L{joint}"], places[f"R{joint}"], strict=True):
                values[rows, [*left, *right]] = values[rows, [*right, *left]]
    return values


def describe_swaps(exchanged: np.ndarray, frames: np.ndarray, mended: bool) -> str:
    """In how many frames, and in which, left and right are exchanged, and what was done or can be.

    Args:
        exchanged: (T, 2) as `find_swaps` gives it.
        frames: (T,) their numbers.
    """
    parts = {part: rows for part, rows in zip(PARTS, exchanged.T) if rows.any()}
    rows = exchanged[:, 0] | exchanged[:, 1]
    if len(parts) == 2 and (exchanged[:, 0] == exchanged[:, 1]).all():
        where = _runs(rows, frames)
    else:
        where = "; ".join(f"{part} in {_runs(of_part, frames)}" for part, of_part in parts.items())
    done = "they are exchanged back" if mended else "taken as they are; --fix_swaps (fix_swaps=True) exchanges them back"
    return f"left and right seem exchanged in {rows.sum():,d} of {len(rows):,d} frames ({where}), if most are right: {done}"


def _runs(rows: np.ndarray, frames: np.ndarray) -> str:
    """'12-20, 31, ...' of the rows that are True (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(int)))
    runs = [(frames[start], frames[stop - 1]) for start, stop in zip(edges[::2], edges[1::2])]
    named = [f"{first}-{last}" if first != last else f"{first}" for first, last in runs[:_NAMED]]
    return ", ".join(named) + (f", ... {len(runs)} times in all" if len(runs) > _NAMED else "")


def _most_even(across: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the frames of which use is made (N,), and what is exchanged in them (N, 2), by the cheapest way through the clip.

    Dynamic programming. A way to a frame is known by how many places it came from, what changed sides on it, and whether legs and
    arms are apart now. All exchanged in all frames would cost the same: the legs of the first frame are taken to be right.
    """
    distance = float(np.nanmedian(np.linalg.norm(across, axis=-1)))
    usual = _usual(across, frames, distance)
    farthest = _REACH if usual[0] <= _QUICK * distance else 1
    far, apart = np.arange(1, farthest + 1)[:, None, None], np.arange(2)
    steps = _LEFT_OUT * (far - 1) + _CHANGE * (np.arange(4) > 0)[:, None] + _APART * apart * far  # (far, change, apart)
    cheapest = np.full((len(across), *steps.shape), np.inf)
    before = np.full((len(across), *steps.shape), -1, dtype=np.int8)  # far and change of the way that it goes on from, if one
    for at, costs in _costs(across, frames, usual, farthest):
        reach = min(farthest, at)
        ways = cheapest[at - far[:reach, 0, 0]][:, :, :, None] + costs[:reach, ..., None]  # (far, far and change before, ...)
        ways = ways.reshape(reach, -1, *steps.shape[1:])
        best = np.minimum(ways.min(axis=1), _LEFT_OUT * (at - far[:reach]) + _APART * apart)  # it may begin here
        came = np.where(best < ways.min(axis=1), -1, ways.argmin(axis=1))
        for values in (best, came):
            values[:, 1:3] = values[:, 1:3, ::-1].copy()  # legs or arms alone: who was apart no longer is
        cheapest[at, :reach], before[at, :reach] = best + steps[:reach], came
    unused = _LEFT_OUT * np.arange(len(across))[::-1, None, None, None]
    at, step, change, now = (int(i) for i in np.unravel_index(np.argmin(cheapest + unused), cheapest.shape))
    used, changes = [at], [_CHANGES[change]]
    while (came_by := int(before[at, step, change, now])) >= 0:
        at, now = at - step - 1, now ^ int(_CHANGES[change].sum() == 1)
        step, change = divmod(came_by, len(_CHANGES))
        used.append(at)
        changes.append(_CHANGES[change])
    used.append(at - step - 1)
    changes.append(np.array([0, now ^ int(_CHANGES[change].sum() == 1)]))
    return np.array(used[::-1]), np.cumsum(changes[::-1], axis=0) % 2 == 1


def _costs(across: np.ndarray, frames: np.ndarray, usual: np.ndarray, farthest: int) -> Iterator[tuple[int, np.ndarray]]:
    """From the second on, each place and what it costs to get there: (far, far before, change before, change), inf where none is."""
    legs, arms = _CHANGES.T
    for start in range(1, len(across), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(across)))
        costs = np.full((len(block), farthest, farthest, 4, 4), np.inf)
        for far in range(1, farthest + 1):
            for farther in range(1, farthest + 1):
                there = block >= far + farther
                places = block[there] - far - farther, block[there] - far, block[there]
                cost = np.log1p((_unevenness(across, frames, places) / usual) ** 2)  # NaN where a joint is unseen
                cost = np.nansum(cost.reshape(*cost.shape[:3], 2, 6), axis=-1)  # (n, change before, change, part)
                costs[there, far - 1, farther - 1] = cost[:, legs[:, None], legs, 0] + cost[:, arms[:, None], arms, 1]
        yield from zip(block.tolist(), costs)


def _unevenness(across: np.ndarray, frames: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    """(n, change before, change, 6, 2) over three places (n,) each: how fast sides move against each other, how far from going on."""
    first, second, third = (across[place] for place in places)
    early, middle, late = (frames[place] for place in places)
    ahead = ((late - middle) / (middle - early))[:, None, None]
    uneven = np.empty((len(first), 2, 2, across.shape[1], 2))
    for changed in range(2):
        then = -second if changed else second
        for changes in range(2):
            now = -third if changed != changes else third
            uneven[:, changed, changes, :, 0] = np.linalg.norm(now - then, axis=-1) / (late - middle)[:, None]
            uneven[:, changed, changes, :, 1] = np.linalg.norm(now - then - ahead * (then - first), axis=-1)
    return uneven


def _usual(across: np.ndarray, frames: np.ndarray, distance: float) -> np.ndarray:
    """(2,) what is usual of both kinds, if the sides change wherever that makes it least."""
    places = np.arange(len(across) - 2)
    uneven = _unevenness(across, frames, (places, places + 1, places + 2))
    least = np.fmin.reduce(uneven.reshape(len(uneven), 4, -1, 2), axis=1)
    known = least[~np.isnan(least).any(axis=-1)]
    return np.maximum(np.median(known, axis=0) if len(known) else 0.0, max(_STEADIEST * distance, 1e-6))


def _between(across: np.ndarray, used: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(T, 2) from what is exchanged in the frames of which use is made: others are as the two beside them, whichever is nearer."""
    exchanged = states[np.searchsorted(used, np.arange(len(across)), side="right").clip(1) - 1]
    right = across[used] * np.where(np.repeat(states, 3, axis=1), -1, 1)[..., None]
    for i in np.flatnonzero((np.diff(used) > 1) & (np.diff(states, axis=0) != 0).any(axis=1)):
        for frame in range(used[i] + 1, used[i + 1]):
            place = right[i] + (right[i + 1] - right[i]) * (frame - used[i]) / (used[i + 1] - used[i])
            likeness = np.nansum((across[frame] * place).reshape(2, -1), axis=1)
            exchanged[frame] = np.where(states[i] == states[i + 1], states[i], likeness < 0)
    return exchanged
