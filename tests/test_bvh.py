"""BVH files of every kind come out as the motion that went in, and broken ones as one clear line."""

import itertools
import json
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common import bvh
from common.body import BodyShape, pose_body
from common.bvh import OPTIONAL_ROLES, REQUIRED_ROLES, BvhSource, find_bvh, load_bvh, load_conventions, match_roles, parse_bvh
from common.errors import DuaError
from common.motion import PART_PARENTS, PARTS, Motion, load_deepmimic_clips
from common.skeleton import H36M_32_TO_16, SMPL_JOINT_NAMES, handedness

FPS = 50
ROOT = Path(__file__).resolve().parent.parent
MOCAP = ROOT.parent / "shared" / "mocap"
AVERAGE = BodyShape("female", 1.70, *[1.0] * 8)
LEG_LENGTH = AVERAGE.leg_length()

# --- A writer of BVH files: a motion on the reference body, in any convention, rest pose, order of angles and world ----
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


# --- The motions, and how to tell that they are the same ---------------------------------------------------------------
@pytest.fixture(scope="module")
def clips() -> dict[str, Motion]:
    return load_deepmimic_clips(ROOT / "data" / "demo" / "motion.h5", FPS)


@pytest.fixture(scope="module")
def walk(clips: dict[str, Motion]) -> Motion:
    return clips["walk"]


@pytest.fixture(scope="module")
def text(walk: Motion) -> str:
    return write_bvh(walk, Style())


def read(text: str, folder: Path, fps: float = FPS, extra: Path | None = None) -> Motion:
    path = folder / "clip.bvh"
    path.write_bytes(text.encode())
    return load_bvh(BvhSource("clip", path), fps, extra)


def angles(a: Motion, b: Motion) -> np.ndarray:
    """(T, parts) degrees between the rotations of two motions."""
    cosines = np.abs(np.sum(a.rotations * b.rotations, axis=-1))
    return np.degrees(2 * np.arccos(np.clip(cosines, 0, 1)))


def assert_same(motion: Motion, expected: Motion, degrees: float = 0.1) -> None:
    assert len(motion) == len(expected)
    assert motion.fps == expected.fps
    assert angles(motion, expected).max() < degrees
    np.testing.assert_allclose(motion.root, expected.root, atol=1e-4)


def bones(motion: Motion) -> np.ndarray:
    """(T, 9, 3) directions of limbs and trunk of a body that is posed with the motion."""
    joints = pose_body(motion, AVERAGE, 0, (0, 0))["smpl"]
    at = {name: joints[:, i] for i, name in enumerate(SMPL_JOINT_NAMES)}
    ends = [("pelvis", "neck")]
    for side in "lr":
        ends += [
            (f"{side}_{a}", f"{side}_{b}")
            for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
        ]
    directions = np.stack([at[b] - at[a] for a, b in ends], axis=1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def bend(motion: Motion, part: str) -> np.ndarray:
    """(T,) degrees about z, of a knee or an elbow."""
    w, _, _, z = motion.rotations[:, PARTS.index(part)].T
    return np.degrees(2 * np.arctan2(z * np.sign(w), np.abs(w)))


# --- Every kind of file ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("convention", list(load_conventions()))
def test_a_motion_comes_back_in_every_convention(convention: str, walk: Motion, tmp_path: Path) -> None:
    motion = read(write_bvh(walk, Style(convention)), tmp_path)
    assert_same(motion, walk)
    assert (motion.name, motion.clips) == ("clip", ("clip",))


@pytest.mark.parametrize("order", ["".join(order) for order in itertools.permutations("XYZ")])
def test_every_order_of_angles_is_the_same_motion(order: str, walk: Motion, tmp_path: Path) -> None:
    assert_same(read(write_bvh(walk, Style(order=order)), tmp_path), walk)


@pytest.mark.parametrize(
    "style",
    [
        Style(newline="\r\n"),
        Style(tab="  "),
        Style(six_channels=True),
        Style("mixamo", prefix="mixamorig:"),
        Style("mixamo", prefix="name:space:"),
        Style("cmu", prefix="Character1_"),
        Style(scale=1.0),
        Style(scale=1 / 0.0254),
        Style(world=Z_UP),
        Style(world=Z_UP, rest_world=np.eye(3)),
        Style(rest_world=Z_UP),
        Style("lafan1", order="ZYX", world=Z_UP, six_channels=True, newline="\r\n"),
    ],
    ids=lambda style: re.sub(r"array\(.*?\)|<.*?>|\s", "", f"{style}")[6:60],
)
def test_layout_units_and_axes_do_not_matter(style: Style, walk: Motion, tmp_path: Path) -> None:
    assert_same(read(write_bvh(walk, style), tmp_path), walk)


@pytest.mark.parametrize("name", ["crawl", "getup_facedown", "cartwheel", "spinkick", "roll"])
@pytest.mark.parametrize("world", [np.eye(3), Z_UP], ids=["y up", "z up"])
def test_people_off_their_feet(name: str, world: np.ndarray, clips: dict[str, Motion], tmp_path: Path) -> None:
    assert_same(read(write_bvh(clips[name], Style(world=world)), tmp_path), clips[name])


@pytest.mark.parametrize("name", ["walk", "run", "kick", "punch", "dance_b", "crawl", "backflip", "getup_faceup"])
@pytest.mark.parametrize("world", [np.eye(3), Z_UP], ids=["y up", "z up"])
def test_a_rest_pose_that_is_no_person(name: str, world: np.ndarray, clips: dict[str, Motion], tmp_path: Path) -> None:
    expected = clips[name]
    motion = read(write_bvh(expected, Style("lafan1", rest=along_bones, world=world)), tmp_path)
    np.testing.assert_allclose(motion.root, expected.root, atol=1e-3)
    turned = np.degrees(np.arccos(np.clip(np.sum(bones(motion) * bones(expected), axis=-1), -1, 1)))
    assert turned.max() < 2
    errors = dict(zip(PARTS, angles(motion, expected).mean(axis=0)))
    # How the sole stands is in no file of this kind: it is where the ankle is lowest, which is near enough.
    assert max(error for part, error in errors.items() if "foot" not in part) < 3
    assert max(errors["l_foot"], errors["r_foot"]) < 40


@pytest.mark.parametrize("axis", ["x", "z"])
def test_a_rig_whose_head_has_axes_of_its_own(axis: str, walk: Motion, tmp_path: Path) -> None:
    """Then the head looks ahead on average."""
    turned = Rotation.from_euler(axis, 90, degrees=True).as_matrix()

    def rest(part: str) -> np.ndarray:
        return (turned if part == "head" else np.eye(3)) @ along_bones(part)

    motion = read(write_bvh(walk, Style("lafan1", rest=rest)), tmp_path)
    assert angles(motion, walk)[:, PARTS.index("head")].max() < 20


def test_collars_that_start_from_one_point(walk: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CMU's do: the line of the shoulders stands in for theirs."""
    monkeypatch.setitem(BODY, "collar", ("chest", "chest", (-0.014, 0.289, 0.0)))
    monkeypatch.setitem(BODY, "upper_arm", ("collar", "upper_arm", (-0.009, 0.030, -0.170)))
    assert_same(read(write_bvh(walk, Style()), tmp_path), walk)


def test_a_body_of_other_proportions(walk: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CMU's hips lie in front of the spine: somebody who stands upright at rest must not lean back for it."""
    monkeypatch.setitem(BODY, "upper_leg", ("hips", "thigh", (0.07, -0.091, -0.070)))
    monkeypatch.setitem(BODY, "neck", ("chest", "head", (-0.023, 0.250, 0.0)))
    motion = read(write_bvh(walk, Style()), tmp_path)
    assert angles(motion, walk).max() < 4


def test_knees_and_elbows_bend_as_in_the_demo_clips(clips: dict[str, Motion], tmp_path: Path) -> None:
    """The two sources of motion agree: about z, knees with a negative angle and elbows with a positive one."""
    recorded = read(write_bvh(clips["run"], Style("lafan1", rest=along_bones)), tmp_path)
    for motion in (recorded, clips["run"]):
        for side in "lr":
            assert bend(motion, f"{side}_shin").max() < 5
            assert bend(motion, f"{side}_shin").min() < -60
            assert bend(motion, f"{side}_forearm").min() > -5
            assert bend(motion, f"{side}_forearm").max() > 60


def test_straight_limbs_do_not_flip(clips: dict[str, Motion], tmp_path: Path) -> None:
    """Arms and legs that never bend show no hinge; a stiff knee that gives way the wrong way by two degrees is none."""
    stiff = clips["walk"].rotations.copy()
    for part, degrees in (("l_shin", 2), ("r_shin", 2), ("l_forearm", -2), ("r_forearm", -2)):
        stiff[:, PARTS.index(part)] = [np.cos(np.radians(degrees / 2)), 0, 0, np.sin(np.radians(degrees / 2))]
    expected = replace(clips["walk"], rotations=stiff)
    for rest in (t_pose, along_bones):
        motion = read(write_bvh(expected, Style("lafan1", rest=rest)), tmp_path)
        upper = [PARTS.index(part) for part in ("l_thigh", "r_thigh", "l_upper_arm", "r_upper_arm")]
        assert angles(motion, expected)[:, upper].max() < 30


def test_rotations_do_not_jump_from_one_side_of_the_sphere_to_the_other(clips: dict[str, Motion], tmp_path: Path) -> None:
    spin = read(write_bvh(clips["spin"], Style()), tmp_path)
    assert np.sum(spin.rotations[1:] * spin.rotations[:-1], axis=-1).min() > 0.8
    np.testing.assert_allclose(np.linalg.norm(spin.rotations, axis=-1), 1, atol=1e-9)


def test_a_t_pose_before_the_motion_is_left_out(walk: Motion, tmp_path: Path) -> None:
    """CMU's files begin with one."""
    pose = np.tile([1.0, 0.0, 0.0, 0.0], (len(PARTS), 1))
    for part, degrees in (("l_upper_arm", 90), ("r_upper_arm", -90)):
        pose[PARTS.index(part)] = [np.cos(np.radians(degrees / 2)), np.sin(np.radians(degrees / 2)), 0, 0]
    pose[0] = [np.sqrt(0.5), 0, -np.sqrt(0.5), 0]
    with_pose = replace(walk, root=walk.root[[0, *range(len(walk))]], rotations=np.concatenate([pose[None], walk.rotations]))
    assert_same(read(write_bvh(with_pose, Style()), tmp_path), walk)


def test_frames_come_at_the_rate_that_is_asked_for(walk: Motion, tmp_path: Path) -> None:
    text = write_bvh(replace(walk, root=walk.root[:61], rotations=walk.rotations[:61]), Style(frame_time="0.0333333"))
    motion = read(text, tmp_path)
    assert (len(motion), motion.fps) == (101, 50)
    np.testing.assert_allclose(motion.root[-1], walk.root[60], atol=1e-4)
    assert len(read(text, tmp_path, fps=30)) == 61


def test_angles_turn_about_the_turned_axes(tmp_path: Path) -> None:
    """Zrotation before Xrotation: x turns first, seen from outside. Worked out by hand."""
    file = parse_bvh(SMALL.replace("1 2 3 4 5 6", "1 2 3 90 90 0"), "small.bvh")
    skeleton = bvh._move_skeleton(file, {"hips": 0, "head": 1, "l_foot": 0, "r_foot": 0})
    np.testing.assert_allclose(skeleton.places["head"][0], [0, 1, 0])  # the rest pose
    np.testing.assert_allclose(skeleton.places["head"][1], [1, 2, 4], atol=1e-12)


def test_positions_stand_in_for_offsets_unless_they_are_all_zero() -> None:
    small = SMALL.replace("CHANNELS 3", "CHANNELS 6 Xposition Yposition Zposition").replace("4 5 6 7 8 9", "0 0 0 {} 0 0 0")
    roles = {"hips": 0, "head": 1, "l_foot": 0, "r_foot": 0}
    for position, expected in (("0 0 0", [1, 3, 3]), ("0 2 0", [1, 4, 3]), ("5 0 0", [6, 2, 3])):
        skeleton = bvh._move_skeleton(parse_bvh(small.replace("{}", position), "small.bvh"), roles)
        np.testing.assert_allclose(skeleton.places["head"][1:], [expected] * 2)


def test_toes_and_collars_may_be_missing(clips: dict[str, Motion], tmp_path: Path) -> None:
    expected = clips["kick"]
    bare = {role: joint for role, joint in load_conventions()["cmu"].items() if role not in OPTIONAL_ROLES}
    extra = tmp_path / "bare.json"
    extra.write_text(json.dumps({"bare": bare}))
    text = re.sub(r"(Left|Right)(Shoulder|ToeBase)", r"\1Unknown\2", write_bvh(expected, Style("cmu")))
    assert_same(read(text, tmp_path, extra=extra), expected)


# --- Names of joints ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("convention", load_conventions().values(), ids=load_conventions())
def test_conventions_name_every_role(convention: dict[str, str]) -> None:
    assert set(REQUIRED_ROLES) <= set(convention) <= {*REQUIRED_ROLES, *OPTIONAL_ROLES}
    assert len(set(convention.values())) == len(convention)


def test_the_nearest_convention_wins() -> None:
    for title, convention in load_conventions().items():
        joints = ["Spine", "LowerBack", *convention.values(), "LeftHandIndex1"]
        roles = match_roles(joints, load_conventions(), "clip.bvh")
        assert {role: joints[i] for role, i in roles.items()} == convention, title


def test_a_user_names_the_joints_of_another_rig(text: str, walk: Motion, tmp_path: Path) -> None:
    own = {role: f"{joint}_bone" for role, joint in load_conventions()["cmu"].items()}
    extra = tmp_path / "rigs.json"
    extra.write_text(json.dumps({"mine": own}))
    renamed = re.sub(r"((?:ROOT|JOINT) \S+)", r"\1_bone", text)
    assert_same(read(renamed, tmp_path, extra=extra), walk)
    assert_same(read(text, tmp_path, extra=extra), walk)  # the conventions that are known still are
    with pytest.raises(DuaError, match="unknown skeleton"):
        read(renamed, tmp_path)


def test_an_unknown_skeleton_is_refused_with_its_joints(text: str, tmp_path: Path) -> None:
    text = text.replace("LeftForeArm", "LinkerUnterarm").replace("Neck1", "Hals")
    with pytest.raises(DuaError) as caught:
        read(text, tmp_path)
    message = str(caught.value)
    assert "clip.bvh" in message
    assert "LinkerUnterarm" in message
    assert "Hals" in message
    assert "cmu, lacks neck (Neck1), l_lower_arm (LeftForeArm)" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "an object was expected"),
        ("{}", "an object was expected"),
        ('{"mine": "Hips"}', "mine should be an object"),
        ('{"mine": {"hips": 1}}', "mine should be an object"),
        ('{"mine": {"hip": "Hips"}}', "unknown roles hip"),
        ('{"mine": {"hips": "Hips"}}', "lacks the roles chest, neck"),
    ],
)
def test_a_wrong_file_of_conventions_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rigs.json"
    path.write_text(content)
    with pytest.raises(DuaError, match=f"rigs.json.*{message}"):
        load_conventions(path)


def test_a_missing_file_of_conventions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuaError, match=r"cannot read .*none\.json"):
        load_conventions(tmp_path / "none.json")


# --- Broken files ------------------------------------------------------------------------------------------------------
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


def test_a_small_file_is_read() -> None:
    file = parse_bvh(SMALL, "small.bvh")
    assert [(joint.name, joint.parent) for joint in file.joints] == [("Hips", -1), ("Head", 0)]
    assert file.joints[1].channels == ("Zrotation", "Xrotation", "Yrotation")
    assert file.joints[1].end_site is not None
    assert file.frames.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 2
    assert file.frame_time == 0.1


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("\n{", " {").replace("\n    {", " {"),
        SMALL.replace("\n", "\n\n"),
        SMALL.replace("\n", "\r"),
        SMALL.replace(" ", "\t").replace("End\tSite", "End Site").replace("Frame\tTime", "Frame Time"),
        SMALL.replace("rotation", "ROTATION").replace("MOTION", "Motion"),
        SMALL.replace("Frames: 2", "Frames:2"),
        SMALL.removesuffix("\n"),
        SMALL + "\n \n",
    ],
)
def test_layouts_that_differ(text: str) -> None:
    file = parse_bvh(text, "small.bvh")
    assert [joint.name for joint in file.joints] == ["Hips", "Head"]
    assert file.frames.shape == (2, 9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frames: 2", "Frames: 3", r"line 20: 2 frames have come by the end of the file, line 17 says 3"),
        ("Frames: 2", "Frames: 1", r"line 17: 1 frames; at least 2 are needed"),
        ("Frames: 2", "Frames: 0", r"line 17: 0 frames; at least 2 are needed"),
        ("Frames: 2", "Frames: -2", r"line 17: -2 frames"),
        ("Frames: 2", f"Frames: {'9' * 5000}", r"line 17: 9+ frames"),
        ("Frames: 2", "Frames:", r"line 17: 'Frames: NUMBER' was expected"),
        ("Frames: 2\n", "", r"line 17: 'Frames: NUMBER' was expected"),
        ("Frame Time: 0.1", "Frame Time: 0", r"line 18: frame time 0; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: -0.1", r"line 18: frame time -0.1; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: nan", r"line 18: frame time nan; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: inf", r"line 18: frame time inf; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: fast", r"line 18: frame time fast; seconds above 0"),
        ("Frame Time: 0.1\n", "", r"line 18: 'Frame Time: SECONDS' was expected"),
        ("7 8 9\n", "7 8\n", r"line 19: 8 numbers, the hierarchy has 9 channels"),
        ("7 8 9\n", "7 8 9 10\n", r"line 19: 10 numbers, the hierarchy has 9 channels"),
        ("7 8 9\n", "7 nan 9\n", r"line 19: 'nan' is no place and no angle"),
        ("7 8 9\n", "7 -inf 9\n", r"line 19: '-inf' is no place and no angle"),
        ("7 8 9\n", "7 1e300 9\n", r"line 19: '1e300' is no place and no angle"),
        ("7 8 9\n", "7 8,5 9\n", r"line 19: '8,5' is no place and no angle"),
        ("CHANNELS 3 Z", "CHANNELS 3 W", r"line 9: unknown channel 'Wrotation'; known are Xposition"),
        ("CHANNELS 3", "CHANNELS 4", r"line 10: unknown channel 'End'"),
        ("CHANNELS 3", "CHANNELS 2", r"line 9: JOINT, End Site or '}' was expected, found 'Yrotation'"),
        ("CHANNELS 3", "CHANNELS 99", r"line 9: CHANNELS '99'"),
        ("CHANNELS 3 Zrotation X", "CHANNELS 3 Xrotation X", r"line 9: channel Xrotation is listed twice"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 one 0\n    C", r"line 8: 3 numbers were expected, found '0 one 0'"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 nan 0\n    C", r"line 8: '0 nan 0' is no place"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 1\n    C", r"line 9: 3 numbers were expected"),
        ("    OFFSET 0 1 0\n    C", "    C", r"line 8: 'OFFSET' was expected, found 'CHANNELS'"),
        ("JOINT Head\n  {", "JOINT Head", r"line 12: 'CHANNELS' was expected"),
        ("}\nMOTION", "MOTION", r"line 15: JOINT, End Site or '}' was expected, found 'MOTION'"),
        ("}\nMOTION", "}\nROOT Other\nMOTION", r"line 16: MOTION was expected, found 'ROOT': a file with several roots"),
        ("}\nMOTION", "}\n}\nMOTION", r"line 16: MOTION was expected, found '}'"),
        ("HIERARCHY", "HIERARCHIE", r"line 1: 'HIERARCHY' was expected"),
        ("ROOT", "JOINT", r"line 2: 'ROOT' was expected"),
        ("MOTION", "", r"there is no line MOTION"),
        (SMALL, "", r"there is no line MOTION"),
        (SMALL, "MOTION", r"line 1: 'HIERARCHY' was expected, found 'MOTION'"),
        (SMALL, SMALL[: SMALL.index("Frames")], r"line 16: 'Frames: NUMBER' was expected"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(DuaError, match=f"^small.bvh(, |: ){message}") as caught:
        parse_bvh(SMALL.replace(old, new, 1), "small.bvh")
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_refused_and_never_a_surprise(data: st.DataObject) -> None:
    """Cut, delete and replace in a small file: it is read, or refused with a `DuaError`; it never hangs or crashes."""
    text = SMALL
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.one_of(st.just(len(text)), st.integers(at, min(len(text), at + 20))))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", "\n", "}", "{", "1e400", "JOINT ", "CHANNELS 0\n", "\x00", "\ufffd"]))
            + text[end:]
        )
    try:
        file = parse_bvh(text, "small.bvh")
    except DuaError:
        return
    assert np.isfinite(file.frames).all()
    assert file.frames.shape[1] == sum(len(joint.channels) for joint in file.joints)


def test_a_deep_hierarchy_is_no_trouble() -> None:
    joint = "JOINT J{i}\n{{\nOFFSET 0 0 0\nCHANNELS 0\n"
    chain = "".join(joint.format(i=i) for i in range(5000)) + "}\n" * 5000
    file = parse_bvh(SMALL.replace("  JOINT Head", chain + "  JOINT Head"), "deep.bvh")
    assert len(file.joints) == 5002


def test_joints_in_one_place_are_refused(text: str, tmp_path: Path) -> None:
    lines = text.splitlines()
    knee = next(i for i, line in enumerate(lines) if line.strip() == "JOINT LeftLeg")
    lines[knee + 2] = "OFFSET 0 0 0"
    with pytest.raises(DuaError, match="l_upper_leg and l_lower_leg are in one place"):
        read("\n".join(lines), tmp_path)


def test_a_skeleton_without_a_body_is_refused(text: str, tmp_path: Path) -> None:
    """All joints on one line: nothing tells its sides."""
    flat = re.sub(r"OFFSET\s+\S+ \S+ \S+", "OFFSET 0 1 0", text)
    flat = re.sub(r"(JOINT RightUpLeg\s+\{\s+)OFFSET 0 1 0", r"\1OFFSET 0 2 0", flat)
    flat = re.sub(r"(JOINT RightShoulder\s+\{\s+)OFFSET 0 1 0", r"\1OFFSET 0 2 0", flat)
    header, motion = flat.split("Frame Time")
    rows = [re.sub(r"\S+", "0", row) for row in motion.splitlines()[1:]]
    with pytest.raises(DuaError, match="do not make up a body"):
        read("\n".join([header + "Frame Time: 0.02", *rows]), tmp_path)


# --- Finding files -----------------------------------------------------------------------------------------------------
def test_folders_files_and_archives_are_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/two.bvh", "a/b/one.BVH", "a/notes.txt", "a/._two.bvh", "three.bvh"):
        (tmp_path / name).write_text(SMALL)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for name in ("deep/five.bvh", "four.bvh", "LICENSE", "__MACOSX/._four.bvh", "folder.bvh/"):
            archive.writestr(name, SMALL.replace("0.1", "0.2"))
    (tmp_path / "a" / "more.zip").write_bytes((tmp_path / "clips.zip").read_bytes())
    found = find_bvh([tmp_path / "a", tmp_path / "clips.zip", tmp_path / "three.bvh", str(tmp_path / "a" / "two.bvh")])
    assert [source.name for source in found] == ["five", "four", "one", "three", "two"]
    assert found == find_bvh([tmp_path / "three.bvh", tmp_path / "clips.zip", tmp_path / "a"])
    assert [parse_bvh(source.read(), str(source)).frame_time for source in found] == [0.2, 0.2, 0.1, 0.1, 0.1]
    assert str(found[0]) == f"{tmp_path / 'clips.zip'}:deep/five.bvh"


def test_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    for name in ("a/walk.bvh", "b/walk.bvh", "c/a/walk.bvh", "c/run.bvh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SMALL)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("walk.bvh", SMALL)
    found = find_bvh([tmp_path, tmp_path / "clips.zip"])
    assert [source.name for source in found] == ["a_walk", "a_walk_2", "b_walk", "clips_walk", "run"]


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "broken.zip").write_text("PK")
    with pytest.raises(DuaError, match=r"no \.bvh file in .*zip archives"):
        find_bvh([tmp_path])
    with pytest.raises(DuaError, match="no \\.bvh file in no path"):
        find_bvh([])
    with pytest.raises(DuaError, match="nowhere does not exist"):
        find_bvh([tmp_path / "nowhere"])
    with pytest.raises(DuaError, match=r"notes\.txt is neither"):
        find_bvh([tmp_path / "notes.txt"])
    with pytest.raises(DuaError, match=r"broken\.zip is not a zip archive"):
        find_bvh([tmp_path / "broken.zip"])


def test_a_members_name_is_just_a_name(tmp_path: Path) -> None:
    path = tmp_path / "evil" / "clips.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.bvh", SMALL)
        archive.writestr("/etc/absolute.bvh", SMALL)
    found = find_bvh([path])
    assert [source.name for source in found] == ["absolute", "outside"]
    assert all(source.read() == SMALL for source in found)
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


def test_a_member_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.bvh", SMALL)
    honest = path.read_bytes()
    # The size that the archive's directory declares: 300 MiB.
    at = honest.index(b"PK\x01\x02") + 24
    path.write_bytes(honest[:at] + struct.pack("<I", 300 * 2**20) + honest[at + 4 :])
    with pytest.raises(DuaError, match=r"bomb\.zip:clip\.bvh says it is 300 MiB large"):
        find_bvh([path])[0].read()
    # And one that declares less than it holds is not read further than that.
    path.write_bytes(honest[:at] + struct.pack("<I", 10) + honest[at + 4 :])
    with pytest.raises(DuaError, match=r"cannot read .*bomb\.zip:clip\.bvh"):
        find_bvh([path])[0].read()
    path.write_bytes(honest)
    monkeypatch.setattr(bvh, "_MAX_BYTES", 100)
    with pytest.raises(DuaError, match="large"):
        find_bvh([path])[0].read()
    (tmp_path / "clip.bvh").write_text(SMALL)
    with pytest.raises(DuaError, match="large"):
        find_bvh([tmp_path / "clip.bvh"])[0].read()


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.bvh", SMALL)
    path.write_bytes(path.read_bytes().replace(b"Frame Time: 0.1", b"Frame Time: 0.7"))
    with pytest.raises(DuaError, match=r"cannot read .*clips\.zip:clip\.bvh: Bad CRC"):
        find_bvh([path])[0].read()


def test_a_byte_order_mark_and_foreign_letters_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("Head", "T\u00eate").encode("latin-1"))
    file = parse_bvh(find_bvh([path])[0].read(), "clip.bvh")
    assert file.joints[1].name.startswith("T")


# --- Recorded people ---------------------------------------------------------------------------------------------------
RECORDED = ("1_walk_normal", "1_run_proud", "1_dash_musical", "1_bow_feminine", "1_bye_chimpira", "1_walk-left_sad",
            "2_wave-both-hands_normal", "2_raise-up-both-hands_active", "2_walk-turn-left_feminine", "2_run_active")  # fmt: skip


@pytest.mark.skipif(not MOCAP.is_dir(), reason="the Bandai-Namco recordings are not here")
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_people_keep_their_pose(name: str) -> None:
    archive = MOCAP / ("bandai_namco_1.zip" if name.startswith("1") else "bandai_namco_2_subset.zip")
    source = next(source for source in find_bvh([archive]) if name in source.name)
    file = parse_bvh(source.read(), source.name)
    names = [joint.name for joint in file.joints]
    skeleton = bvh._move_skeleton(file, match_roles(names, load_conventions(), source.name))
    motion = load_bvh(source, 30)
    joints = pose_body(motion, AVERAGE, 0, (0, 0))
    to_world = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # z up
    at = {name: joints["smpl"][:, i] for i, name in enumerate(SMPL_JOINT_NAMES)}
    for side in "lr":
        for (a, b), (start, stop) in {
            ("hip", "knee"): ("upper_leg", "lower_leg"),
            ("knee", "ankle"): ("lower_leg", "foot"),
            ("shoulder", "elbow"): ("upper_arm", "lower_arm"),
            ("elbow", "wrist"): ("lower_arm", "hand"),
        }.items():
            ours = at[f"{side}_{b}"] - at[f"{side}_{a}"]
            theirs = (skeleton.places[f"{side}_{stop}"] - skeleton.places[f"{side}_{start}"])[1:] @ to_world.T
            cosine = np.sum(ours * theirs, axis=-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
            assert cosine.min() > 0.9999
        assert bend(motion, f"{side}_shin").max() < 5
        assert bend(motion, f"{side}_forearm").min() > -5
        assert np.median(np.minimum(at["l_ankle"][:, 2], at["r_ankle"][:, 2])) < 0.15
    assert handedness(joints["h36m"][:, list(H36M_32_TO_16)]).mean() > 0
    assert np.all(at["head"][:, 2] > at["pelvis"][:, 2])
    # Faces look within ninety degrees of where the chest does, and mostly ahead.
    head = Rotation.from_quat(np.roll(motion.rotations[:, PARTS.index("head")], -1, axis=-1)).as_matrix()
    assert head[:, 0, 0].mean() > 0.5
