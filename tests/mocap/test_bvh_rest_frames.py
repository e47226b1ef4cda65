"""Frames before the motion that show a rig at rest are left out, all of them, and a clip that floats above its floor is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.mocap.body import pose_body
from common.mocap.bvh import load_bvh
from common.mocap.bvh_files import BvhSource
from common.mocap.motion import PARTS, Motion, load_deepmimic_clips
from tests.conftest import ROOT
from tests.helpers.bvh_text import AVERAGE, FPS, Z_UP, Style, along_bones, write_bvh

ORIGIN = np.zeros(3)


@pytest.fixture(scope="module")
def clips() -> dict[str, Motion]:
    return load_deepmimic_clips(ROOT / "data" / "demo" / "motion.h5", FPS)


@pytest.fixture(scope="module")
def walk(clips: dict[str, Motion]) -> Motion:
    return clips["walk"]


def standing(arms: float) -> np.ndarray:
    """(13, 4): somebody who faces z, with the arms so many degrees from hanging; 90 is the rest pose of the tests' rigs."""
    pose = np.tile([1.0, 0.0, 0.0, 0.0], (len(PARTS), 1))
    for part, degrees in (("l_upper_arm", arms), ("r_upper_arm", -arms)):
        pose[PARTS.index(part)] = [np.cos(np.radians(degrees / 2)), np.sin(np.radians(degrees / 2)), 0, 0]
    pose[0] = [np.sqrt(0.5), 0, -np.sqrt(0.5), 0]
    return pose


def after(frames: int, motion: Motion, root: np.ndarray, arms: float = 90) -> Motion:
    """The motion after so many frames of somebody who stands there."""
    rotations = np.concatenate([np.tile(standing(arms), (frames, 1, 1)), motion.rotations])
    return replace(motion, root=np.concatenate([np.tile(root, (frames, 1)), motion.root]), rotations=rotations)


def read(motion: Motion, folder: Path, style: Style) -> Motion:
    path = folder / "clip.bvh"
    path.write_text(write_bvh(motion, style))
    return load_bvh(BvhSource("clip", path), FPS)


def assert_same(motion: Motion, expected: Motion) -> None:
    assert len(motion) == len(expected)
    np.testing.assert_allclose(motion.root, expected.root, atol=1e-3)


@pytest.mark.parametrize("world", [np.eye(3), Z_UP], ids=["y up", "z up"])
@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_every_frame_of_a_rest_pose_at_the_origin_is_left_out(
    frames: int, world: np.ndarray, walk: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion = read(after(frames, walk, ORIGIN), tmp_path, Style(world=world))
    assert_same(motion, walk)
    feet = pose_body(motion, AVERAGE, 0, (0, 0))["smpl"][:, [7, 8, 10, 11], 2].min(axis=1)
    assert np.median(feet) < 0.1  # the floor is the walk's
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:Gimbal lock")
@pytest.mark.parametrize(
    ("root", "arms", "style"),
    [
        ([0.3, 1.1, 0.4], 90, Style()),  # the rest pose, but where the motion begins
        (ORIGIN, 45, Style()),  # another pose, at the origin
        ([0.0, 1.07, 0.0], 45, Style()),  # the same on the floor
        (ORIGIN, 90, Style("lafan1", rest=along_bones)),  # a rig whose rest pose is no person
    ],
    ids=["elsewhere", "arms half down", "on the floor", "no person at rest"],
)
def test_a_reference_pose_tells_by_pose_or_by_place(
    root: np.ndarray, arms: float, style: Style, walk: Motion, tmp_path: Path
) -> None:
    assert_same(read(after(3, walk, np.array(root), arms), tmp_path, style), walk)


def test_a_rest_pose_is_left_out_of_a_motion_that_leaps_itself(walk: Motion, tmp_path: Path) -> None:
    """As recordings with a glitch do; the leap out of the rest pose is then not alone."""
    glitch = replace(walk, rotations=np.concatenate([walk.rotations[:20], np.tile(standing(80), (1, 1, 1)), walk.rotations[20:]]))
    glitch = replace(glitch, root=np.concatenate([walk.root[:20], walk.root[19:]]))
    for frames in (1, 2):
        assert_same(read(after(frames, glitch, walk.root[0]), tmp_path, Style()), glitch)


def test_somebody_who_stands_still_first_is_kept(walk: Motion, tmp_path: Path) -> None:
    rows = [0] * 30 + [*range(len(walk))]
    still = replace(walk, root=walk.root[rows], rotations=walk.rotations[rows])
    assert_same(read(still, tmp_path, Style()), still)
    cut = after(3, walk, np.array([2.0, 1.07, 1.0]), arms=20)  # two recordings in one file, away from the origin
    assert_same(read(cut, tmp_path, Style()), cut)


def test_a_clip_that_floats_is_told(walk: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = walk.root + np.array([0.0, 1.0, 0.0])
    root[7] -= [0.0, 1.0, 0.0]
    read(replace(walk, root=root), tmp_path, Style())
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.startswith("warning: ")
    for word in ("clip.bvh", "1.0", "frame 8,", "floor"):
        assert word in said


def test_no_clip_of_the_demo_floats(clips: dict[str, Motion], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for motion in clips.values():
        read(motion, tmp_path, Style())
    assert capsys.readouterr().err == ""
