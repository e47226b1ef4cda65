"""BVH files of every kind come out as the motion that went in, and what is no body as one clear line."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.errors import DuaError
from common.geometry.skeleton import H36M_32_TO_16, SMPL_JOINT_NAMES, handedness
from common.mocap.body import pose_body
from common.mocap.bvh import load_bvh
from common.mocap.bvh_conventions import OPTIONAL_ROLES, load_conventions, match_roles
from common.mocap.bvh_files import BvhSource, find_bvh
from common.mocap.bvh_parser import move_skeleton, parse_bvh
from common.mocap.motion import PARTS, Motion, load_deepmimic_clips
from tests.helpers.bvh_text import AVERAGE, BODY, FPS, Z_UP, Style, along_bones, t_pose, write_bvh

ROOT = Path(__file__).resolve().parents[2]
MOCAP = ROOT.parent / "shared" / "mocap"


# --- The motions, and how to tell that they are the same --------------------------------------------------------------
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


# --- Every kind of file -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("convention", list(load_conventions()))
def test_a_motion_comes_back_in_every_convention(convention: str, walk: Motion, tmp_path: Path) -> None:
    motion = read(write_bvh(walk, Style(convention)), tmp_path)
    assert_same(motion, walk)
    assert (motion.name, motion.clips, motion.action) == ("clip", ("clip",), "Clip")


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


def test_toes_and_collars_may_be_missing(clips: dict[str, Motion], tmp_path: Path) -> None:
    expected = clips["kick"]
    bare = {role: joint for role, joint in load_conventions()["cmu"].items() if role not in OPTIONAL_ROLES}
    extra = tmp_path / "bare.json"
    extra.write_text(json.dumps({"bare": bare}))
    text = re.sub(r"(Left|Right)(Shoulder|ToeBase)", r"\1Unknown\2", write_bvh(expected, Style("cmu")))
    assert_same(read(text, tmp_path, extra=extra), expected)


# --- Skeletons that are not known or no body --------------------------------------------------------------------------
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


# --- Recorded people --------------------------------------------------------------------------------------------------
RECORDED = ("1_walk_normal", "1_run_proud", "1_dash_musical", "1_bow_feminine", "1_bye_chimpira", "1_walk-left_sad",
            "2_wave-both-hands_normal", "2_raise-up-both-hands_active", "2_walk-turn-left_feminine", "2_run_active")  # fmt: skip


@pytest.mark.skipif(not MOCAP.is_dir(), reason="the Bandai-Namco recordings are not here")
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_people_keep_their_pose(name: str) -> None:
    archive = MOCAP / ("bandai_namco_1.zip" if name.startswith("1") else "bandai_namco_2_subset.zip")
    source = next(source for source in find_bvh([archive]) if name in source.name)
    file = parse_bvh(source.read(), source.name)
    names = [joint.name for joint in file.joints]
    skeleton = move_skeleton(file, match_roles(names, load_conventions(), source.name))
    motion = load_bvh(source, 30)
    assert motion.action == "".join(word.capitalize() for word in name.split("_")[1].split("-"))
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
