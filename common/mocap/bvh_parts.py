"""From a recording's joints to the orientations of our body parts (`common.mocap.motion`).

Neither the rest pose of a rig nor the axes of its joints are trusted. Bones give the long axes; the bend of knees and elbows,
the line of the hips and that of the shoulders give the sideways ones; and everything that neither shows (where the head looks,
how the foot stands) follows the recorded rotation, set straight in the rest pose if that is a person standing, else in the
frames in which the trunk is upright.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.mocap.bvh_parser import BvhSkeleton
from common.mocap.motion import PART_PARENTS

LIMBS = {
    f"{side}_{part}": (f"{side}_upper_{limb}", f"{side}_lower_{limb}", f"{side}_{end}")
    for side in "lr"
    for part, limb, end in (("thigh", "leg", "foot"), ("upper_arm", "arm", "hand"))
}
"""The upper part of each limb: its joint, the joint in its middle, and the one at its end."""

# Proportions of the reference body (`common.mocap.body`).
_WAIST = np.array([-0.013, 0.221, 0.0]) / 0.603
"""Where the trunk bends, from the middle of the hips and in the axes of the pelvis, in lengths of the upright trunk from hips to neck."""
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
    hips = midpoint(skeleton.places, "upper_leg")
    trunk = unit(skeleton.places["neck"] - hips)  # (F, 3)
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
    right = unit(rest["r_upper_leg"] - rest["l_upper_leg"])
    trunk = unit(rest["neck"] - (rest["r_upper_leg"] + rest["l_upper_leg"]) / 2)
    bones = [trunk]
    for side in "lr":
        upper, lower, end = (rest[role] for role in LIMBS[f"{side}_thigh"])
        bones += [unit(upper - lower), unit(lower - end)]
        toe = rest.get(f"{side}_toe", end)
        if toe @ np.cross(up, right) < end @ np.cross(up, right):
            return False
    return abs(right @ up) < 0.2 and all(bone @ up > 0.9 for bone in bones)


def part_orientations(skeleton: BvhSkeleton, leg_length: float) -> dict[str, np.ndarray]:
    """{part: (F, 3, 3)} from the part's axes to the world."""
    places, rotations = skeleton.places, skeleton.rotations
    reference = _reference(skeleton)
    weight = reference.weight
    parts = {}

    hips = midpoint(places, "upper_leg")
    right = _fixed(rotations["hips"], places["r_upper_leg"] - places["l_upper_leg"], reference.uniform)
    neck = places["neck"] - hips
    upwards = _along_trunk(rotations["hips"], neck, reference)
    parts["pelvis"] = _axes(upwards - _dot(upwards, right) * right, right)

    # The chest leans as the line from the waist to the neck does, and turns as recorded: shoulders move against it.
    waist = apply(parts["pelvis"], _WAIST) * (weight @ length(neck))
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
    alike = unit(places["head"] - places["neck"])[0] @ straight[0, :, 1] > 0.5
    if alike and average[0] @ straight[0, :, 2] > _NECK_TURN:
        parts["head"] = straight
    else:
        parts["head"] = _axes(_fixed(rotations["head"], reference.up, weight), average)

    for upper, roles in LIMBS.items():
        lower = upper.replace("thigh", "shin").replace("upper_arm", "forearm")
        parts[upper], parts[lower] = _limb(skeleton, roles, parts[PART_PARENTS[upper] or ""], weight, elbow="arm" in upper)
    for side in "lr":
        parts[f"{side}_foot"] = _foot(skeleton, side, parts[f"{side}_shin"], reference, leg_length)
    return parts


def _collars_apart(skeleton: BvhSkeleton, leg_length: float) -> bool:
    """Collars that are joints of the chest show its sideways axis exactly, if they do not start from one point."""
    left, right = (skeleton.places.get(f"{side}_collar") for side in "lr")
    return left is not None and right is not None and bool(length(left - right)[0] > 0.04 * leg_length)


def _limb(
    skeleton: BvhSkeleton, roles: tuple[str, str, str], parent: np.ndarray, weight: np.ndarray, elbow: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (F, 3, 3) of the upper and the lower part of a limb, with z along the axis of the knee or elbow.

    That axis is fixed in the upper joint's own axes, so that it stays where the recording has it when the limb is
    straight. Where it bends, upper and lower bone span the plane across it: forearms fold forwards, shins backwards.
    """
    start, middle, end = (skeleton.places[role] for role in roles)
    upper, lower = unit(middle - start), unit(end - middle)
    rotation = skeleton.rotations[roles[0]]
    bend = np.cross(upper, lower) if elbow else np.cross(lower, upper)  # as long as the sine of the angle
    seen = np.mean(length(bend)[:, None] * apply(rotation.swapaxes(1, 2), bend), axis=0)
    # What a limb that is carried from hanging to its direction without a twist would have; less sure the further it is.
    down, side = -parent[..., 1], parent[..., 2]
    near = 1 + _dot(down, upper)
    untwisted = side * near - _dot(side, upper) * (down + upper)
    expected = weight @ apply(rotation.swapaxes(1, 2), untwisted / 2)
    across = apply(rotation, unit(seen + _BEND_PRIOR * expected))
    return _axes(-upper, across), _axes(-lower, across)


def _foot(skeleton: BvhSkeleton, side: str, shin: np.ndarray, reference: _Reference, leg_length: float) -> np.ndarray:
    """Orientation (F, 3, 3) of a foot: the sole is level where the ankle is low, the toes are in front of the ankle."""
    rotation, ankle = skeleton.rotations[f"{side}_foot"], skeleton.places[f"{side}_foot"]
    toe = skeleton.places.get(f"{side}_toe")
    shown = toe is not None and length(toe - ankle)[0] > 0.02 * leg_length
    forward = unit(toe - ankle) if shown else _fixed(rotation, shin[..., 0], reference.weight)
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
    average = unit(reference.weight @ apply(rotation.swapaxes(1, 2), trunk))
    if np.abs(average).max() > _NEAR_AXIS:
        average = np.where(np.abs(average) == np.abs(average).max(), np.sign(average), 0.0)
    return rotation @ average


def _fixed(rotation: np.ndarray, vectors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The direction, fixed in a joint's own axes, that `vectors` (F, 3) have on average, in the world: (F, 3)."""
    return apply(rotation, unit(weight @ apply(rotation.swapaxes(1, 2), vectors)))


def _axes(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations whose columns are x, y and z: y as given, z as near to the given one as it can be."""
    y = unit(y)
    z = unit(z - _dot(y, z) * y)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def midpoint(places: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    return (places[f"l_{role}"] + places[f"r_{role}"]) / 2


def apply(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", rotation, np.broadcast_to(vectors, (len(rotation), 3)))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=-1, keepdims=True)


def length(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
