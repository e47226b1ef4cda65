"""The loader of skeleton pairs: both skeletons in step, what is left out, and files that do not belong together."""

import json
import re
from itertools import accumulate

import numpy as np
import pytest
import torch

from common.datasets.smpl import PosePairs, load_pairs
from common.errors import DuaError
from common.geometry.camera import camera_to_world
from common.geometry.h36m_cameras import h36m_cameras
from common.mocap.body import draw_shape, pose_body
from common.mocap.motion import load_deepmimic_clips
from tests.conftest import ROOT

SUBJECTS = ("S1", "S5")
CLIPS = {"Walking": "walk", "Walking 1": "run", "Kicking": "kick"}
# Written out, so that no table of the project is taken at its word.
H36M_16 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
SMPL_16 = [0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 16, 18, 20, 17, 19, 21]
SMPL_16_COLLAR = [0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 13, 18, 20, 14, 19, 21]
SMPL_SIDES = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]


def make_bodies():
    """{'h36m' or 'smpl': {subject: {action: (T, 32 or 24, 3) float32}}}; clips differ in length."""
    motions = load_deepmimic_clips(ROOT / "data/demo/motion.h5", 50.0)
    rng = np.random.default_rng(0)
    result = {"h36m": {}, "smpl": {}}
    for subject in SUBJECTS:
        shape = draw_shape(rng, "female" if subject == "S1" else "male")
        posed = {action: pose_body(motions[clip], shape, rng.uniform(0, 6), (0.3, -0.2)) for action, clip in CLIPS.items()}
        for definition, takes in result.items():
            takes[subject] = {action: joints[definition].astype(np.float32) for action, joints in posed.items()}
    return result


@pytest.fixture(scope="module")
def bodies():
    return make_bodies()


def write(folder, h36m=None, smpl=None):
    for name, positions in (("data_3d_h36m", h36m), ("data_3d_h36m_smpl", smpl)):
        if positions is not None:
            np.savez_compressed(folder / f"{name}.npz", positions_3d=np.array(positions, dtype=object))
    return folder


@pytest.fixture(scope="module")
def folder(bodies, tmp_path_factory):
    return write(tmp_path_factory.mktemp("pairs"), **bodies)


def changed(positions, change, subject="S1", action="Walking"):
    """A copy of `positions` in which one sequence is `change(sequence)`."""
    copy = {s: dict(actions) for s, actions in positions.items()}
    copy[subject][action] = change(copy[subject][action].copy())
    return copy


def relative(joints):
    return joints - joints[:, :1]


def load(folder, **options):
    return load_pairs(folder, **{"subjects": SUBJECTS, **options})


# --- what is read -----------------------------------------------------------------------------------------------------


def test_all_cameras_see_every_clip(folder, bodies):
    pairs = load(folder)
    assert {(s.subject, s.action, s.camera) for s in pairs.sequences} == {
        (subject, action, camera.name) for subject in SUBJECTS for action in CLIPS for camera in h36m_cameras("S1")
    }
    lengths = [s.stop - s.start for s in pairs.sequences]
    assert [s.start for s in pairs.sequences] == [0, *accumulate(lengths)][:-1]
    assert sum(lengths) == len(pairs) == len(pairs.h36m) == len(pairs.smpl)
    assert len(pairs) == 4 * sum(len(j) for takes in bodies["h36m"].values() for j in takes.values())
    assert pairs.dropped == 0
    assert pairs.h36m.dtype == pairs.smpl.dtype == torch.float32


@pytest.mark.parametrize(("shoulders", "columns"), [("shoulder", SMPL_16), ("collar", SMPL_16_COLLAR)])
def test_rows_are_the_joints_of_the_files_seen_by_the_camera(folder, bodies, shoulders, columns):
    pairs = load(folder, smpl_shoulders=shoulders)
    for sequence in pairs.sequences:
        (camera,) = [c for c in h36m_cameras(sequence.subject) if c.name == sequence.camera]
        for definition, kept in (("h36m", H36M_16), ("smpl", columns)):
            seen = getattr(pairs, definition)[sequence.start : sequence.stop].numpy().astype(np.float64)
            assert np.abs(seen[:, 0]).max() == 0
            world = relative(camera_to_world(seen, camera))
            expected = relative(bodies[definition][sequence.subject][sequence.action][:, kept].astype(np.float64))
            np.testing.assert_allclose(world, expected, atol=2e-6)


def test_frames_without_a_fit_leave_both_sides(bodies, tmp_path):
    missing = [0, 7, 8, 30]

    def forget(joints):
        joints[missing] = np.nan
        return joints

    gappy, whole = tmp_path / "gappy", tmp_path / "whole"
    gappy.mkdir()
    whole.mkdir()
    pairs = load(write(gappy, bodies["h36m"], changed(bodies["smpl"], forget)))
    full = load(write(whole, **bodies))
    assert pairs.dropped == 4 * len(missing)
    assert len(pairs) + pairs.dropped == len(full)
    assert torch.isfinite(pairs.smpl).all()
    assert torch.isfinite(pairs.h36m).all()
    kept = np.delete(np.arange(len(bodies["h36m"]["S1"]["Walking"])), missing)
    for ours, theirs in zip(pairs.sequences, full.sequences, strict=True):
        rows = kept if (ours.subject, ours.action) == ("S1", "Walking") else np.arange(theirs.stop - theirs.start)
        for side in ("h36m", "smpl"):
            expected = getattr(full, side)[theirs.start : theirs.stop][rows]
            assert torch.equal(getattr(pairs, side)[ours.start : ours.stop], expected)


def test_downsampling_counts_frames_of_the_motion_not_of_the_fits(bodies, tmp_path):
    def every_fifth(joints):
        joints[np.arange(len(joints)) % 5 != 0] = np.nan
        return joints

    write(tmp_path, bodies["h36m"], changed(bodies["smpl"], every_fifth))
    frames = len(bodies["h36m"]["S1"]["Walking"])
    pairs = load(tmp_path, actions="Walking", subjects=("S1",), downsample=2).select(lambda s: s.action == "Walking")
    assert len(pairs) == 4 * len(range(0, frames, 10))
    (camera,) = [c for c in h36m_cameras("S1") if c.name == pairs.sequences[0].camera]
    seen = pairs.smpl[: pairs.sequences[0].stop].numpy().astype(np.float64)
    expected = relative(bodies["smpl"]["S1"]["Walking"][::10][:, SMPL_16].astype(np.float64))
    np.testing.assert_allclose(relative(camera_to_world(seen, camera)), expected, atol=2e-6)


def test_a_sequence_without_any_fit_is_left_out_whole(bodies, tmp_path):
    write(tmp_path, bodies["h36m"], changed(bodies["smpl"], lambda j: np.full_like(j, np.nan)))
    pairs = load(tmp_path)
    assert ("S1", "Walking") not in {s.clip for s in pairs.sequences}
    assert pairs.dropped == 4 * len(bodies["h36m"]["S1"]["Walking"])
    nothing = {"S1": {action: np.full_like(joints, np.nan) for action, joints in bodies["smpl"]["S1"].items()}}
    with pytest.raises(DuaError, match="no usable sequence of S1"):
        load(write(tmp_path, smpl=nothing), subjects=("S1",))


def test_select_renumbers_and_keeps_rows_together(folder):
    pairs = load(folder)
    chosen = pairs.select(lambda s: s.subject == "S5" and s.action == "Kicking")
    assert isinstance(chosen, PosePairs)
    assert [s.start for s in chosen.sequences] == [0, *accumulate(s.stop - s.start for s in chosen.sequences)][:-1]
    theirs = [s for s in pairs.sequences if s.clip == ("S5", "Kicking")]
    for ours, original in zip(chosen.sequences, theirs, strict=True):
        assert torch.equal(chosen.h36m[ours.start : ours.stop], pairs.h36m[original.start : original.stop])
        assert torch.equal(chosen.smpl[ours.start : ours.stop], pairs.smpl[original.start : original.stop])
    assert len(pairs.select(lambda s: False)) == 0
    assert len(pairs.to(torch.device("cpu"))) == len(pairs)


def test_splits_are_those_of_a_built_data_set(bodies, tmp_path):
    entries = [{"subject": "S1", "action": "Kicking", "split": "validation"}]
    (tmp_path / "dataset.json").write_text(json.dumps({"h36m": {"sequences": entries}}))
    splits = {s.clip: s.split for s in load(write(tmp_path, **bodies)).sequences}
    assert splits["S1", "Kicking"] == "validation"
    assert splits["S5", "Kicking"] == ""


# --- what is wrong ----------------------------------------------------------------------------------------------------


def half_nan(joints):
    joints[3, 5] = np.nan
    return joints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j[:-1], r"has 63 frames, Human3.6M's 3D has 64"),
        (lambda j: j[:, :22], r"\(64, 22, 3\), \(T, 24, 3\) was expected"),
        (half_nan, r"1 joints are NaN or infinite, the first in frame 3, joint 5"),
        (lambda j: j * 1000, r"hip and head are .* m apart"),
        (lambda j: np.roll(j, 16, axis=0) * [1, -1, -1], r"S1 Walking: SMPL's joints lie 0\.\d+ m from Human3.6M's"),
        (lambda j: j[::-1] * [-1, -1, 1], r"S1 Walking: SMPL's joints lie"),
    ],
    ids=["short", "joints", "partly NaN", "millimetres", "upside down", "turned"],
)
def test_smpl_that_does_not_fit_is_refused(bodies, tmp_path, change, message):
    write(tmp_path, bodies["h36m"], changed(bodies["smpl"], change))
    with pytest.raises(DuaError, match=message) as raised:
        load(tmp_path)
    assert "data_3d_h36m_smpl.npz: S1 Walking" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_another_persons_motion_is_refused(bodies, tmp_path):
    longer = bodies["smpl"]["S1"]["Kicking"][:64]
    write(tmp_path, bodies["h36m"], changed(bodies["smpl"], lambda _: longer))
    with pytest.raises(DuaError, match="do not belong together"):
        load(tmp_path)


def test_mirrored_bodies_are_named_as_such(bodies, tmp_path):
    mirrored = {s: {a: j[:, SMPL_SIDES] for a, j in takes.items()} for s, takes in bodies["smpl"].items()}
    write(tmp_path, bodies["h36m"], mirrored)
    with pytest.raises(DuaError, match=r"mirrored.*prepare_data_h36m_smpl\.py"):
        load(tmp_path)


def test_nan_in_human36m_is_refused(bodies, tmp_path):
    write(tmp_path, changed(bodies["h36m"], half_nan), bodies["smpl"])
    with pytest.raises(DuaError, match=r"data_3d_h36m\.npz: S1 Walking: 1 joints are NaN"):
        load(tmp_path)


def test_what_is_missing_is_named_with_the_command(bodies, tmp_path):
    write(tmp_path, h36m=bodies["h36m"])
    commands = r"python data/prepare_data_h36m_smpl\.py.*python data/prepare_data_demo\.py"
    with pytest.raises(DuaError, match=rf"data_3d_h36m_smpl\.npz does not exist.*{commands}"):
        load(tmp_path)
    write(tmp_path, smpl={"S1": bodies["smpl"]["S1"]})
    with pytest.raises(DuaError, match=r"no subject 'S5' in .*data_3d_h36m_smpl\.npz; it has: S1"):
        load(tmp_path)
    write(tmp_path, smpl={"S1": {"Walking": bodies["smpl"]["S1"]["Walking"]}, "S5": bodies["smpl"]["S5"]})
    with pytest.raises(DuaError, match=r"has no S1 Walking 1, which data_3d_h36m\.npz has"):
        load(tmp_path)
    with pytest.raises(DuaError, match=re.escape("smpl_shoulders is 'hips', it can be: shoulder, collar")):
        load(tmp_path, smpl_shoulders="hips")
