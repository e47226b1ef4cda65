"""BVH motion-capture files, turned into rotations of our body parts (`common.mocap.motion`).

Files differ in the names of their joints (`common.mocap.bvh_conventions`), in their rest pose and in the axes of their joints.
None of that is trusted: forward kinematics (`common.mocap.bvh_parser`) says where the joints are and how they turn, and each
part's axes are found from there (`common.mocap.bvh_parts`). Nor are the file's world and unit, and frames before the motion that
show how the rig stands at rest are left out.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.compute.processes import Processes
from common.datasets.anomalies import warn
from common.errors import DuaError
from common.mocap.bvh_conventions import load_conventions, match_roles
from common.mocap.bvh_files import BvhSource
from common.mocap.bvh_parser import BvhSkeleton, move_skeleton, parse_bvh
from common.mocap.bvh_parts import LIMBS, apply, length, midpoint, part_orientations, unit
from common.mocap.motion import PART_PARENTS, Motion, resample

_PELVIS = np.array([0.007, 0.091, 0.0]) / 0.778
"""The pelvis' own place on the reference body (`common.mocap.body`), from the middle of the hips, in leg lengths."""


def load_bvh(source: BvhSource, fps: float, extra_conventions: str | Path | None = None) -> Motion:
    """Read a BVH file as a motion.

    Args:
        source: from `find_bvh`.
        fps: frames per second that the motion is resampled to.
        extra_conventions: a JSON file that names the joints of further skeletons (see `load_conventions`).

    Returns:
        The motion in a world with y up; heights are those of the file, in leg lengths.

    Raises:
        DuaError: the file is not whole, or its skeleton is not known. The message names the file, and the line if it can.
    """
    label = str(source)
    file = parse_bvh(source.read(), label)
    names, parents = zip(*((joint.name, joint.parent) for joint in file.joints), strict=True)
    roles = match_roles(names, load_conventions(extra_conventions), label, parents)
    skeleton = move_skeleton(file, roles)
    _check_bones(skeleton, label)
    skeleton = _to_y_up(skeleton)
    leg_length = _leg_length(skeleton)
    parts = part_orientations(skeleton, leg_length)
    pelvis = midpoint(skeleton.places, "upper_leg") + apply(parts["pelvis"], _PELVIS) * leg_length
    local = np.stack(
        [parts[part] if parent is None else parts[parent].swapaxes(1, 2) @ parts[part] for part, parent in PART_PARENTS.items()],
        axis=1,
    )
    if not (np.sum(np.cross(local[..., 0], local[..., 1]) * local[..., 2], axis=-1) > 0.9).all():  # the determinants
        raise DuaError(f"{label}: the bones do not make up a body; the file is damaged, or joints are named wrongly")
    rotations = _quaternions(local[1:])
    cut = _rest_frames(rotations, _quaternions(local[:1]), skeleton.places["hips"][1:] / leg_length)
    _warn_of_floating(skeleton, leg_length, cut, label)
    root, rotations = pelvis[1 + cut :] / leg_length, rotations[cut:]
    # Files round the time of a frame: 0.0333333 s means 30 frames a second, so that the last frame is not lost.
    rate = 1 / file.frame_time
    rate = round(rate) if abs(rate - round(rate)) < 1e-4 * rate else rate
    return resample(Motion(source.name, (source.name,), root, rotations, rate, source.action), fps)


def load_all_bvh(
    sources: Sequence[BvhSource], fps: float, extra_conventions: str | Path | None = None, workers: int = 1
) -> dict[str, Motion]:
    """Read files as `load_bvh` does, in `workers` processes: {name: motion}, in the order of `sources`.

    Raises:
        DuaError: that of the first file that cannot be read, or a process died.
    """
    with Processes(workers, (fps, extra_conventions), "read motions") as processes:
        motions = processes.in_order(_load, sources)
        bar = tqdm(motions, desc="reading", total=len(sources), unit="clip", disable=None)
        return {motion.name: motion for motion in bar}


def _load(options: tuple[float, str | Path | None], source: BvhSource) -> Motion:
    return load_bvh(source, *options)


_STILL, _LEAP = np.radians([0.1, 5])
"""What half of the parts turn by from one frame to the next, at most and at least."""
_AT_REST = np.radians([1, 30])
"""How far half of the parts, and the last of them, may be from the rest pose: CMU's first frame holds one part 22 degrees off."""
_AT_ORIGIN = 0.05  # leg lengths


def _rest_frames(rotations: np.ndarray, rest: np.ndarray, hips: np.ndarray) -> int:
    """How many frames at the start are no part of the motion: many files, CMU's among them, put a T-pose there, once or longer.

    Most parts leap out of it. One such frame tells by being the rest pose, or by a leap like which there is no other later; several
    tell if they are still too, and are the rest pose or stand at the file's origin.

    Args:
        rotations: (T, 13, 4) of the parts.
        rest: (1, 13, 4) the same of the rest pose.
        hips: (T, 3) in leg lengths, y up.
    """
    leaps = np.median(_turned(rotations[1:], rotations[:-1]), axis=1)  # (T - 1,)
    frames = 1 + int(np.argmax(leaps > _STILL))
    if len(leaps) <= frames + 1 or leaps[frames - 1] <= _LEAP:
        return 0
    from_rest = _turned(rotations[:frames], rest)
    at_rest = np.median(from_rest, axis=1).max() < _AT_REST[0] and from_rest.max() < _AT_REST[1]
    at_origin = np.abs(hips[:frames, [0, 2]]).max() < _AT_ORIGIN
    alone = leaps[frames - 1] > 4 * leaps[frames:].max()
    return frames if at_rest or (alone and (frames == 1 or at_origin)) else 0


def _turned(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T, 13) radians by which rotations (T, 13, 4) differ."""
    return 2 * np.arccos(np.clip(np.abs(np.sum(a * b, axis=-1)), 0, 1))


_FLOATING = 0.3
"""Leg lengths above the floor, a knee's height at half: climbers and jumpers of the CMU database are below in a tenth of their frames."""


def _warn_of_floating(skeleton: BvhSkeleton, leg_length: float, cut: int, label: str) -> None:
    """Say so if the lowest frame, from which the floor is taken, is far below nearly all others."""
    lowest = np.stack(list(skeleton.places.values()), axis=1)[1 + cut :, :, 1].min(axis=1) / leg_length  # (T,)
    above = lowest - lowest.min()
    if np.quantile(above, 0.1) > _FLOATING:
        warn(
            f"{label}: nobody comes near the floor in nine tenths of the frames: they are {np.median(above):.2f} leg lengths (median) "
            f"above frame {cut + int(np.argmin(lowest)) + 1}, the lowest, which sets the floor; leave that frame or the clip out"
        )


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    """(T, P, 3, 3) rotations to (T, P, 4) quaternions w x y z, each on the side of the sphere that the last was on."""
    from scipy.spatial.transform import Rotation  # here, not above: scripts that do without it need not wait

    quaternions = np.roll(Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat(), 1, axis=-1)
    quaternions = quaternions.reshape(*matrices.shape[:2], 4)
    same_side = np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True) >= 0
    quaternions[1:] *= np.cumprod(np.where(same_side, 1, -1), axis=0)
    return quaternions


# --- The file's world and unit ----------------------------------------------------------------------------------------
def _to_y_up(skeleton: BvhSkeleton) -> BvhSkeleton:
    """Turn the file's world so that y is up: some files have z up.

    Two things tell the axis: people mostly have their head above their feet, and whatever touches the floor does so at
    the same height all the time, which also tells it of somebody who crawls.
    """
    places = np.stack(list(skeleton.places.values()), axis=1)[1:]  # (T, roles, 3)
    head, left, right = (skeleton.places[role][1:] for role in ("head", "l_foot", "r_foot"))
    rise = unit(head - (left + right) / 2).mean(axis=0)  # (3,)
    floor = places.min(axis=1).std(axis=0) / _leg_length(skeleton)
    if rise[1] - floor[1] >= rise[2] - floor[2]:
        return skeleton
    to_y_up = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    return BvhSkeleton(
        {role: points @ to_y_up.T for role, points in skeleton.places.items()},
        {role: to_y_up @ rotation for role, rotation in skeleton.rotations.items()},
    )


def _leg_length(skeleton: BvhSkeleton) -> float:
    """Hip to knee to ankle, mean of both legs, in the file's unit."""
    legs = [LIMBS[f"{side}_thigh"] for side in "lr"]
    bones = [bone for upper, lower, end in legs for bone in ((upper, lower), (lower, end))]
    return float(sum(length(skeleton.places[stop] - skeleton.places[start]).mean() for start, stop in bones)) / 2


def _check_bones(skeleton: BvhSkeleton, label: str) -> None:
    """Refuse a skeleton in which joints that a part lies between are in one place."""
    bones = [("l_upper_leg", "r_upper_leg"), ("l_upper_arm", "r_upper_arm"), ("l_upper_leg", "neck")]
    bones += [bone for upper, lower, end in LIMBS.values() for bone in ((upper, lower), (lower, end))]
    for start, stop in bones:
        if not length(skeleton.places[stop] - skeleton.places[start]).min() > 0:
            raise DuaError(f"{label}: {start} and {stop} are in one place; the file has no bone there, or names the wrong joints")
