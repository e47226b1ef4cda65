"""BVH text for the tests: the smallest file, and a writer of motions on the reference body in any convention and layout.

Written without the reader's own parts; only the names of the joints come from its conventions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from common.mocap.body import BodyShape
from common.mocap.bvh_conventions import load_conventions
from common.mocap.motion import PART_PARENTS, PARTS, Motion

FPS = 50
AVERAGE = BodyShape("female", 1.70, *[1.0] * 8)
LEG_LENGTH = AVERAGE.leg_length()

SMALL = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Head
  {
    OFFSET 0 1 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.1
1 2 3 4 5 6 7 8 9
1 2 3 4 5 6 7 8 9
"""

# Where each role's joint lies, in metres in the axes of the part that carries it (left; z is reversed on the right).
BODY = {
    "hips": (None, "pelvis", (0.0, 0.0, 0.0)),
    "chest": ("hips", "chest", (-0.020, 0.130, 0.0)),
    "neck": ("chest", "head", (-0.023, 0.381, 0.0)),
    "head": ("neck", "head", (0.051, 0.065, 0.0)),
    "collar": ("chest", "chest", (-0.014, 0.289, -0.079)),
    "upper_arm": ("collar", "upper_arm", (-0.009, 0.030, -0.091)),
    "lower_arm": ("upper_arm", "forearm", (0.0, -0.262, 0.0)),
    "hand": ("lower_arm", "forearm", (0.0, -0.249, 0.0)),
    "upper_leg": ("hips", "thigh", (-0.007, -0.091, -0.070)),
    "lower_leg": ("upper_leg", "shin", (0.0, -0.377, 0.0)),
    "foot": ("lower_leg", "foot", (0.0, -0.401, 0.0)),
    "toe": ("foot", "foot", (0.119, -0.056, 0.0)),
}
TRUNK = ("pelvis", "chest", "head")
FACING_Z = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # part axes to a world with y up
Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def about_x(degrees: float) -> np.ndarray:
    return Rotation.from_euler("x", degrees, degrees=True).as_matrix()


def t_pose(part: str) -> np.ndarray:
    """Axes of a part in a T-pose that faces z."""
    if part.endswith("arm"):
        return FACING_Z @ about_x(-90 if part.startswith("r_") else 90)
    return FACING_Z


def along_bones(part: str) -> np.ndarray:
    """Axes of a part in a rig whose joints have x along the bone, as Bandai-Namco's and LAFAN1's: no person stands so."""
    rows = {  # the joint's axes in those of the part
        "pelvis": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "trunk": [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
        "l": [[0, -1, 0], [0, 0, -1], [1, 0, 0]],
        "r": [[0, 1, 0], [0, 0, -1], [-1, 0, 0]],
    }
    return np.array(rows["pelvis" if part == "pelvis" else "trunk" if part in TRUNK else part[0]], dtype=float)


@dataclass(frozen=True)
class Style:
    """How a BVH file is written."""

    convention: str = "cmu"
    rest: Callable[[str], np.ndarray] = t_pose
    order: str = "ZYX"
    world: np.ndarray = field(default_factory=lambda: np.eye(3))  # from y up, of the motion
    rest_world: np.ndarray | None = None  # the same of the rest pose, where that is another
    scale: float = 100.0  # units per metre
    prefix: str = ""
    six_channels: bool = False
    tab: str = "\t"
    newline: str = "\n"
    frame_time: str = f"{1 / FPS:.6f}"


def sided(role: str, side: str) -> str:
    return role if role in ("hips", "chest", "neck", "head") else f"{side}_{role}"


def write_bvh(motion: Motion, style: Style) -> str:
    """A BVH file of the reference body in that motion."""
    names = load_conventions()[style.convention]
    rest_world = style.world if style.rest_world is None else style.rest_world
    turned = {}  # part to world, (T, 3, 3)
    for i, part in enumerate(PARTS):
        local = Rotation.from_quat(np.roll(motion.rotations[:, i], -1, axis=-1)).as_matrix()
        parent = PART_PARENTS[part]
        turned[part] = style.world @ local if parent is None else turned[parent] @ local
    lines, columns = ["HIERARCHY"], []

    def write_joint(role: str, depth: int) -> None:
        side = role[:2] if role[1] == "_" else ""
        parent, part, place = BODY[role.removeprefix(side)]
        part = part if part in TRUNK else side + part
        place = np.array(place) * (1, 1, -1 if side == "r_" else 1)
        # The axes of a joint are the world's in the rest pose.
        joint_to_world = turned[part] @ (rest_world @ style.rest(part)).T
        if parent is None:
            offset, moved, local = np.zeros(3), motion.root * LEG_LENGTH @ style.world.T, joint_to_world
        else:
            carrier = BODY[parent][1]
            carrier = carrier if carrier in TRUNK else side + carrier
            offset = rest_world @ style.rest(carrier) @ place
            moved = np.tile(offset, (len(motion), 1))
            local = (turned[carrier] @ (rest_world @ style.rest(carrier)).T).swapaxes(1, 2) @ joint_to_world
        channels = [f"{axis}rotation" for axis in style.order]
        if parent is None or style.six_channels:
            channels = ["Xposition", "Yposition", "Zposition", *channels]
            columns.append(moved * style.scale)
        columns.append(Rotation.from_matrix(local).as_euler(style.order, degrees=True))
        indent = style.tab * depth
        lines.extend([
            f"{indent}{'ROOT' if parent is None else 'JOINT'} {style.prefix}{names[role]}",
            f"{indent}{{",
            f"{indent}{style.tab}OFFSET{style.tab}" + " ".join(f"{value * style.scale:.6f}" for value in offset),
            f"{indent}{style.tab}CHANNELS {len(channels)} {' '.join(channels)}",
        ])  # fmt: skip
        children = [sided(child, new_side) for child, (above, _, _) in BODY.items() if above == role.removeprefix(side)
                    for new_side in ([side[0]] if side else ["l", "r"])]  # fmt: skip
        for child in dict.fromkeys(children):
            write_joint(child, depth + 1)
        if not children:
            lines.extend([f"{indent}{style.tab}End Site", f"{indent}{style.tab}{{"])
            lines.extend([f"{indent}{style.tab * 2}OFFSET 0 5.0 0", f"{indent}{style.tab}}}"])
        lines.append(f"{indent}}}")

    write_joint("hips", 0)
    lines += ["MOTION", f"Frames:{style.tab}{len(motion)}", f"Frame Time:{style.tab}{style.frame_time}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in np.concatenate(columns, axis=1)]
    return style.newline.join(lines) + style.newline
