"""BVH motion-capture files, turned into rotations of our body parts (`common.mocap.motion`).

Files differ in the names of their joints (`common.mocap.bvh_conventions`), in their rest pose and in the axes of their joints.
None of that is trusted: forward kinematics (`common.mocap.bvh_parser`) says where the joints are and how they turn, and each
part's axes are found from there. Bones give the long axes; the bend of knees and elbows, the line of the hips and that of
the shoulders give the sideways ones; and everything that neither shows (where the head looks, how the foot stands) follows
the recorded rotation, set straight in the rest pose if that is a person standing, else in the frames in which the trunk is
upright.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from common.errors import DuaError
from common.mocap.bvh_conventions import load_conventions, match_roles
from common.mocap.bvh_files import BvhSource, action_of
from common.mocap.bvh_parser import BvhSkeleton, move_skeleton, parse_bvh
from common.mocap.motion import PART_PARENTS, Motion, resample

_LIMBS = {
    f"{side}_{part}": (f"{side}_upper_{limb}", f"{side}_lower_{limb}", f"{side}_{end}")
    for side in "lr"
    for part, limb, end in (("thigh", "leg", "foot"), ("upper_arm", "arm", "hand"))
}
"""The upper part of each limb: its joint, the joint in its middle, and the one at its end."""

# Proportions of the reference body (`common.mocap.body`), seen from the middle of the hips and in the axes of the pelvis.
_PELVIS = np.array([0.007, 0.091, 0.0]) / 0.778
"""The pelvis' own place, in leg lengths."""
_WAIST = np.array([-0.013, 0.221, 0.0]) / 0.603
"""Where the trunk bends, in lengths of the upright trunk from hips to neck."""
_NECK_BACK = 0.060
"""How far the neck lies behind the chest's long axis, per length of it: people stand upright with the neck so."""
_TOE_DOWN = 0.47
"""How far the toes lie below the ankle, per length in front of it, where no frame shows the sole on the floor."""

_UPRIGHT = np.cos(np.radians(35))
"""A trunk no further than this from the vertical counts as upright."""
_NEAR_AXIS = np.cos(np.radians(35))
"""How far from an axis of its joint the trunk may lie on average for that axis to be what is meant."""
_NECK_TURN = np.cos(np.radians(80))
"""How far a head turns against the chest."""
_BEND_PRIOR = 0.03
"""A knee or elbow that never bends by more than about ten degrees (sine squared) does not tell its axis."""


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
    roles = match_roles([joint.name for joint in file.joints], load_conventions(extra_conventions), label)
    skeleton = move_skeleton(file, roles)
    _check_bones(skeleton, label)
    skeleton = _to_y_up(skeleton)
    leg_length = _leg_length(skeleton)
    parts = _part_orientations(skeleton, leg_length)
    pelvis = _middle(skeleton.places, "upper_leg") + _apply(parts["pelvis"], _PELVIS) * leg_length
    local = np.stack(
        [parts[part] if parent is None else parts[parent].swapaxes(1, 2) @ parts[part] for part, parent in PART_PARENTS.items()],
        axis=1,
    )
    if not (np.linalg.det(local) > 0.9).all():
        raise DuaError(f"{label}: the bones do not make up a body; the file is damaged, or joints are named wrongly")
    rotations = _quaternions(local[1:])
    root = pelvis[1:] / leg_length
    if _begins_with_a_pose(rotations):
        root, rotations = root[1:], rotations[1:]
    # Files round the time of a frame: 0.0333333 s means 30 frames a second, so that the last frame is not lost.
    rate = 1 / file.frame_time
    rate = round(rate) if abs(rate - round(rate)) < 1e-4 * rate else rate
    return resample(Motion(source.name, (source.name,), root, rotations, rate, action_of(source.name)), fps)


def _begins_with_a_pose(rotations: np.ndarray) -> bool:
    """Whether the first frame is no part of the motion: many files, CMU's among them, put a T-pose there.

    Then most parts leap from it, and never again.
    """
    cosines = np.abs(np.sum(rotations[1:] * rotations[:-1], axis=-1))
    leaps = np.median(2 * np.arccos(np.clip(cosines, 0, 1)), axis=1)  # (T - 1,) radians
    return len(leaps) > 2 and leaps[0] > max(np.radians(5), 4 * leaps[1:].max())


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    """(T, P, 3, 3) rotations to (T, P, 4) quaternions w x y z, each on the side of the sphere that the last was on."""
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
    rise = _unit(head - (left + right) / 2).mean(axis=0)  # (3,)
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
    legs = [_LIMBS[f"{side}_thigh"] for side in "lr"]
    bones = [bone for upper, lower, end in legs for bone in ((upper, lower), (lower, end))]
    return float(sum(_length(skeleton.places[stop] - skeleton.places[start]).mean() for start, stop in bones)) / 2


def _check_bones(skeleton: BvhSkeleton, label: str) -> None:
    """Refuse a skeleton in which joints that a part lies between are in one place."""
    bones = [("l_upper_leg", "r_upper_leg"), ("l_upper_arm", "r_upper_arm"), ("l_upper_leg", "neck")]
    bones += [bone for upper, lower, end in _LIMBS.values() for bone in ((upper, lower), (lower, end))]
    for start, stop in bones:
        if not _length(skeleton.places[stop] - skeleton.places[start]).min() > 0:
            raise DuaError(f"{label}: {start} and {stop} are in one place; the file has no bone there, or names the wrong joints")


# --- From joints to body parts ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Reference:
    """Rows in which a person stands as parts do whose axes are the world's, and so tell how joints sit in parts.

    Attributes:
        weight: (F,) of each row, summing to 1.
        up: (F, 3) where up is.
        stands: False if there is no such row; then `up` is along the trunk, whichever way that lies.
    """

    weight: np.ndarray
    up: np.ndarray
    stands: bool

    @property
    def rest(self) -> bool:
        """Whether the rest pose is what tells."""
        return bool(self.weight[0] > 0)

    @property
    def uniform(self) -> np.ndarray:
        """(F,) the same weight for every row."""
        return np.full(len(self.weight), 1 / len(self.weight))


def _reference(skeleton: BvhSkeleton) -> _Reference:
    hips = _middle(skeleton.places, "upper_leg")
    trunk = _unit(skeleton.places["neck"] - hips)  # (F, 3)
    up = np.tile([0.0, 1.0, 0.0], (len(trunk), 1))
    weight = np.zeros(len(trunk))
    y, z = np.eye(3)[1:]
    for axis in (y, z, -z):  # the rest pose may be y up in a world with z up, and the other way round
        if _stands_at_rest(skeleton, axis):
            weight[0], up[0] = 1.0, axis
            return _Reference(weight, up, True)
    upright = trunk[1:, 1]
    if upright.max() < _UPRIGHT:
        weight[1:] = 1 / len(upright)
        return _Reference(weight, trunk, False)
    weight[1:] = np.maximum(upright, 0) ** 20  # half at 15 degrees, a twentieth at 30
    return _Reference(weight / weight.sum(), up, True)


def _stands_at_rest(skeleton: BvhSkeleton, up: np.ndarray) -> bool:
    """Whether the rest pose is a person standing: most formats have one in T-pose, some lay all bones along x."""
    rest = {role: points[0] for role, points in skeleton.places.items()}
    right = _unit(rest["r_upper_leg"] - rest["l_upper_leg"])
    trunk = _unit(rest["neck"] - (rest["r_upper_leg"] + rest["l_upper_leg"]) / 2)
    bones = [trunk]
    for side in "lr":
        upper, lower, end = (rest[role] for role in _LIMBS[f"{side}_thigh"])
        bones += [_unit(upper - lower), _unit(lower - end)]
        toe = rest.get(f"{side}_toe", end)
        if toe @ np.cross(up, right) < end @ np.cross(up, right):
            return False
    return abs(right @ up) < 0.2 and all(bone @ up > 0.9 for bone in bones)


def _part_orientations(skeleton: BvhSkeleton, leg_length: float) -> dict[str, np.ndarray]:
    """{part: (F, 3, 3)} from the part's axes to the world."""
    places, rotations = skeleton.places, skeleton.rotations
    reference = _reference(skeleton)
    weight = reference.weight
    parts = {}

    hips = _middle(places, "upper_leg")
    right = _fixed(rotations["hips"], places["r_upper_leg"] - places["l_upper_leg"], reference.uniform)
    neck = places["neck"] - hips
    upwards = _along_trunk(rotations["hips"], neck, reference)
    parts["pelvis"] = _axes(upwards - _dot(upwards, right) * right, right)

    # The chest leans as the line from the waist to the neck does, and turns as recorded: shoulders move against it.
    waist = _apply(parts["pelvis"], _WAIST) * (weight @ _length(neck))
    collars = "collar" if _collars_apart(skeleton, leg_length) else "upper_arm"
    right = _fixed(rotations["chest"], places[f"r_{collars}"] - places[f"l_{collars}"], weight)
    spine = _axes(neck - waist, right)
    if reference.rest:  # where the file puts the neck of somebody upright
        parts["chest"] = _axes(_fixed(spine, reference.up, weight), right)
    else:
        parts["chest"] = _axes(spine[..., 1] + _NECK_BACK * spine[..., 0], right)

    # The head looks where the chest does when the joints between them do not turn, as they do not in the rest pose: the
    # axes of a rig's spine run all alike. Where they do not, or a neck cannot turn so far, the clip's average counts.
    straight = _axes(_along_trunk(rotations["chest"], neck, reference), right)
    straight = rotations["head"] @ rotations["chest"].swapaxes(1, 2) @ straight
    average = _fixed(rotations["head"], right, weight)
    alike = _unit(places["head"] - places["neck"])[0] @ straight[0, :, 1] > 0.5
    if alike and average[0] @ straight[0, :, 2] > _NECK_TURN:
        parts["head"] = straight
    else:
        parts["head"] = _axes(_fixed(rotations["head"], reference.up, weight), average)

    for upper, roles in _LIMBS.items():
        lower = upper.replace("thigh", "shin").replace("upper_arm", "forearm")
        parts[upper], parts[lower] = _limb(skeleton, roles, parts[PART_PARENTS[upper] or ""], weight, elbow="arm" in upper)
    for side in "lr":
        parts[f"{side}_foot"] = _foot(skeleton, side, parts[f"{side}_shin"], reference, leg_length)
    return parts


def _collars_apart(skeleton: BvhSkeleton, leg_length: float) -> bool:
    """Collars that are joints of the chest show its sideways axis exactly, if they do not start from one point."""
    left, right = (skeleton.places.get(f"{side}_collar") for side in "lr")
    return left is not None and right is not None and bool(_length(left - right)[0] > 0.04 * leg_length)


def _limb(
    skeleton: BvhSkeleton, roles: tuple[str, str, str], parent: np.ndarray, weight: np.ndarray, elbow: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (F, 3, 3) of the upper and the lower part of a limb, with z along the axis of the knee or elbow.

    That axis is fixed in the upper joint's own axes, so that it stays where the recording has it when the limb is
    straight. Where it bends, upper and lower bone span the plane across it: forearms fold forwards, shins backwards.
    """
    start, middle, end = (skeleton.places[role] for role in roles)
    upper, lower = _unit(middle - start), _unit(end - middle)
    rotation = skeleton.rotations[roles[0]]
    bend = np.cross(upper, lower) if elbow else np.cross(lower, upper)  # as long as the sine of the angle
    seen = np.mean(_length(bend)[:, None] * _apply(rotation.swapaxes(1, 2), bend), axis=0)
    # What a limb that is carried from hanging to its direction without a twist would have; less sure the further it is.
    down, side = -parent[..., 1], parent[..., 2]
    near = 1 + _dot(down, upper)
    untwisted = side * near - _dot(side, upper) * (down + upper)
    expected = weight @ _apply(rotation.swapaxes(1, 2), untwisted / 2)
    across = _apply(rotation, _unit(seen + _BEND_PRIOR * expected))
    return _axes(-upper, across), _axes(-lower, across)


def _foot(skeleton: BvhSkeleton, side: str, shin: np.ndarray, reference: _Reference, leg_length: float) -> np.ndarray:
    """Orientation (F, 3, 3) of a foot: the sole is level where the ankle is low, the toes are in front of the ankle."""
    rotation, ankle = skeleton.rotations[f"{side}_foot"], skeleton.places[f"{side}_foot"]
    toe = skeleton.places.get(f"{side}_toe")
    shown = toe is not None and _length(toe - ankle)[0] > 0.02 * leg_length
    forward = _unit(toe - ankle) if shown else _fixed(rotation, shin[..., 0], reference.weight)
    if reference.rest or not shown:
        upward = _fixed(rotation, reference.up, reference.weight)
    elif reference.stands:
        height = ankle[:, 1] - ankle[reference.weight > 1e-3, 1].min()
        upward = _fixed(rotation, reference.up, reference.weight * np.exp(-height / (0.03 * leg_length)))
    else:
        upward = _axes(-forward, shin[..., 2])[..., 0] - _TOE_DOWN * forward
    return _axes(upward, np.cross(forward, upward))


def _along_trunk(rotation: np.ndarray, trunk: np.ndarray, reference: _Reference) -> np.ndarray:
    """The direction (F, 3), fixed in a trunk joint's own axes, that runs along the trunk when the person stands.

    A rig whose rest pose is not a person has joints whose axes run along and across the bones. The axis that is nearest
    to the average is then better than the average, which a clip of somebody bowing pulls forwards.
    """
    if reference.rest:
        return _fixed(rotation, reference.up, reference.weight)
    average = _unit(reference.weight @ _apply(rotation.swapaxes(1, 2), trunk))
    if np.abs(average).max() > _NEAR_AXIS:
        average = np.where(np.abs(average) == np.abs(average).max(), np.sign(average), 0.0)
    return rotation @ average


def _fixed(rotation: np.ndarray, vectors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The direction, fixed in a joint's own axes, that `vectors` (F, 3) have on average, in the world: (F, 3)."""
    return _apply(rotation, _unit(weight @ _apply(rotation.swapaxes(1, 2), vectors)))


def _axes(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations whose columns are x, y and z: y as given, z as near to the given one as it can be."""
    y = _unit(y)
    z = _unit(z - _dot(y, z) * y)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _middle(places: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    return (places[f"l_{role}"] + places[f"r_{role}"]) / 2


def _apply(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", rotation, np.broadcast_to(vectors, (len(rotation), 3)))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=-1, keepdims=True)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
