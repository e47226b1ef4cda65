"""Poses of our skeleton as a BVH file, for Blender and whatever else moves characters.

A pose has places of joints, a BVH file has rotations of bones of constant length. Lengths are the clip's medians, of both sides the
mean: a network predicts a left thigh of 403 mm and a right one of 351 for a person whose legs are alike. A joint that
carries several bones cannot turn all of them into any directions by one rotation, so each of its bones hangs on a joint of its
own in the same place, as in the files of the CMU database; names are CMU's too, so that tools, and `common.mocap.bvh`, know them.
Places say nothing of how a bone turns about its own length: there it turns no more than its parent makes it.

The file is in metres with y up; Blender's import needs no other scale, but "Scene FPS" and "Scene Duration" ticked, or the clip plays at
the scene's 24 frames a second and stops at its frame 250. Lifting networks predict poses from the hip, so the hip stays at the
origin unless the poses are put on the floor, or roots are given.
"""

import warnings
from pathlib import Path

import numpy as np

from common.files.writing import write_text
from common.geometry.skeleton import JOINT_NAMES, MIRROR, PARENTS

# In the file's order: (name, parent, the end of the bone that leads here, direction of the bone in the rest pose). None: this
# joint is in its parent's place, and turns one of its bones. The rest pose is a T-pose that faces z: left is x.
_LEFT, _RIGHT, _UP, _DOWN, _FORWARDS = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)
_JOINTS: tuple[tuple[str, str, str | None, tuple[int, int, int] | None], ...] = (
    ("Hips", "", None, None),
    ("LHipJoint", "Hips", None, None),
    ("LeftUpLeg", "LHipJoint", "LHip", _LEFT),
    ("LeftLeg", "LeftUpLeg", "LKnee", _DOWN),
    ("LeftFoot", "LeftLeg", "LFoot", _DOWN),
    ("RHipJoint", "Hips", None, None),
    ("RightUpLeg", "RHipJoint", "RHip", _RIGHT),
    ("RightLeg", "RightUpLeg", "RKnee", _DOWN),
    ("RightFoot", "RightLeg", "RFoot", _DOWN),
    ("LowerBack", "Hips", None, None),
    ("Spine", "LowerBack", "Spine", _UP),
    ("Spine1", "Spine", "Thorax", _UP),
    ("Neck1", "Spine1", None, None),
    ("Head", "Neck1", "Head", _UP),
    ("LeftShoulder", "Spine1", None, None),
    ("LeftArm", "LeftShoulder", "LShoulder", _LEFT),
    ("LeftForeArm", "LeftArm", "LElbow", _LEFT),
    ("LeftHand", "LeftForeArm", "LWrist", _LEFT),
    ("RightShoulder", "Spine1", None, None),
    ("RightArm", "RightShoulder", "RShoulder", _RIGHT),
    ("RightForeArm", "RightArm", "RElbow", _RIGHT),
    ("RightHand", "RightForeArm", "RWrist", _RIGHT),
)
BVH_JOINTS = {joint: name for name, _, joint, _ in _JOINTS if joint is not None} | {"Hip": "Hips"}
"""{our joint: its name in the file}."""

_OTHER_SIDE = {joint: JOINT_NAMES[other] for joint, other in zip(JOINT_NAMES, MIRROR, strict=True)}

# Bones that one rotation fits as well as it can: of the hips, and of the chest. What is left, the joints of each bone turn.
_FITTED = {"Hips": ("LHip", "RHip", "Spine"), "Spine1": ("Head", "LShoulder", "RShoulder")}
_ORDER = "ZXY"
_END = 0.1
"""Length in metres of the stub at the end of a chain, where there is no joint any more: it goes on as the bone does, a foot
forwards. Readers, ours among them, take the end of a foot for its toes."""


def write_bvh(path: str | Path, places: np.ndarray, fps: float, roots: np.ndarray | None = None, floor: bool = False) -> None:
    """Write poses (T, 16, 3), metres from the hip with y up (`common.prediction.upright`), as a BVH file, whole or not at all.

    Args:
        roots: (T, 3) where the hip is; None for the origin.
        floor: put the lowest joint of each frame, a foot of who stands or walks, at height 0, whatever height `roots` have: the hip
            then goes up and down, but jumps are lost.
    """
    places = places.astype(np.float64)
    offsets = _offsets(places)
    turns = _turns(places, offsets)
    hips = np.zeros((len(places), 3)) if roots is None else roots.astype(np.float64)
    if floor:
        hips = np.stack([hips[:, 0], -_lowest(turns, offsets), hips[:, 2]], axis=1)
    lines = ["HIERARCHY", *_hierarchy(offsets), "MOTION", f"Frames: {len(places)}", f"Frame Time: {1 / fps:.8f}"]
    lines += [" ".join(f"{value:z.5f}" for value in (*hip, *angles)) for hip, angles in zip(hips, _angles(turns), strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def _bone(places: np.ndarray, joint: str) -> np.ndarray:
    """(T, 3) from a joint's parent to the joint."""
    child = JOINT_NAMES.index(joint)
    return places[:, child] - places[:, PARENTS[child]]


def _offsets(places: np.ndarray) -> dict[str, np.ndarray]:
    """{name: (3,) place in the parent's axes}, both sides alike."""
    medians = {joint: float(np.median(np.linalg.norm(_bone(places, joint), axis=1))) for joint in BVH_JOINTS if joint != "Hip"}
    offsets = {}
    for name, _, joint, direction in _JOINTS:
        length = (medians[joint] + medians[_OTHER_SIDE[joint]]) / 2 if joint else 0.0
        offsets[name] = length * np.array(direction or (0, 0, 0), dtype=float)
    return offsets


def _turns(places: np.ndarray, offsets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{name: (T, 3, 3) rotation from the joint's own axes to the world}; "" is the world."""
    turns: dict[str, np.ndarray] = {"": np.tile(np.eye(3), (len(places), 1, 1))}
    for name, parent, _, _ in _JOINTS:
        turn = turns[parent]
        if name in _FITTED:
            bones = np.stack([_unit(_bone(places, joint)) for joint in _FITTED[name]], axis=1)  # (T, 3 bones, 3)
            turn = _best_rotation(np.stack([_unit(offsets[BVH_JOINTS[joint]]) for joint in _FITTED[name]]), bones)
        else:
            carried = [(child, joint) for child, above, joint, _ in _JOINTS if above == name and joint]
            if carried:
                child, joint = carried[0]  # joints that carry several bones are in _FITTED
                turn = _shortest_arc(turn @ _unit(offsets[child]), _unit(_bone(places, joint))) @ turn
        turns[name] = turn
    return turns


def _angles(turns: dict[str, np.ndarray]) -> np.ndarray:
    """(T, number of joints * 3) degrees of every joint against its parent, in the file's order."""
    from scipy.spatial.transform import Rotation  # here, not above: scripts that do without it need not wait

    columns = []
    for name, parent, _, _ in _JOINTS:
        local = turns[parent].swapaxes(1, 2) @ turns[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of gimbal lock: the angles are one of several ways to say the same rotation
            columns.append(Rotation.from_matrix(local).as_euler(_ORDER, degrees=True))
    angles = np.concatenate(columns, axis=1)
    return np.unwrap(angles, period=360, axis=0)  # 179 and then 181 degrees, so that editors may interpolate


def _lowest(turns: dict[str, np.ndarray], offsets: dict[str, np.ndarray]) -> np.ndarray:
    """(T,) height of the lowest joint against the hip, as the file's bones have it."""
    heights = {"": np.zeros(len(turns[""]))}
    for name, parent, _, _ in _JOINTS:
        heights[name] = heights[parent] + (turns[parent] @ offsets[name])[:, 1]
    return np.min(list(heights.values()), axis=0)


def _best_rotation(rest: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations that bring the directions `rest` (B, 3) as near to `bones` (T, B, 3) as one can (Kabsch)."""
    u, _, vt = np.linalg.svd(bones.swapaxes(1, 2) @ rest)
    sign = np.linalg.det(u @ vt)
    u[:, :, 2] *= sign[:, None]
    return u @ vt


def _shortest_arc(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations that bring unit vectors `start` (T, 3) to `end` on the shortest way."""
    from scipy.spatial.transform import Rotation

    axis = np.cross(start, end)
    sine, cosine = np.linalg.norm(axis, axis=1), np.sum(start * end, axis=1)
    # Half a turn has no shortest way: any axis across it does.
    across = np.cross(start, np.eye(3)[np.argmin(np.abs(start), axis=1)])
    axis = np.where((sine > 1e-9)[:, None], axis, across)
    return Rotation.from_rotvec(_unit(axis) * np.arctan2(sine, cosine)[:, None]).as_matrix()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _hierarchy(offsets: dict[str, np.ndarray]) -> list[str]:
    lines: list[str] = []

    def write_joint(name: str, direction: tuple[int, int, int] | None, depth: int) -> None:
        indent, inner = "  " * depth, "  " * (depth + 1)
        positions = "" if depth else "Xposition Yposition Zposition "
        rotations = " ".join(f"{axis}rotation" for axis in _ORDER)
        lines.extend([f"{indent}{'JOINT' if depth else 'ROOT'} {name}", f"{indent}{{"])
        lines.append(f"{inner}OFFSET " + " ".join(f"{value:.6f}" for value in offsets[name]))
        lines.append(f"{inner}CHANNELS {3 if depth else 6} {positions}{rotations}")
        children = [(child, way) for child, parent, _, way in _JOINTS if parent == name]
        for child, way in children:
            write_joint(child, way, depth + 1)
        if not children:
            end = _END * np.array(_FORWARDS if name.endswith("Foot") else direction, dtype=float)
            lines.extend([f"{inner}End Site", f"{inner}{{"])
            lines.extend([f"{inner}  OFFSET " + " ".join(f"{value:.6f}" for value in end), f"{inner}}}"])
        lines.append(f"{indent}}}")

    write_joint("Hips", None, 0)
    return lines
