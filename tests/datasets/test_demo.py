"""The demo builder: what it writes is the Human3.6M layout, honest about its clips, and a body in every view."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

import common.mocap.demo as demo_module
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m, path_2d
from common.datasets.poses import split_validation
from common.datasets.smpl import load_pairs
from common.datasets.surreal import load_surreal
from common.files.arrays import load_arrays
from common.geometry.camera import project_to_2d, quaternion_to_matrix, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import H36M_32_TO_16, MIRROR, PARENTS, SMPL_24_TO_16, SMPL_JOINT_NAMES, handedness
from common.mocap.body import JOINT_TABLES, draw_shape, pose_body
from common.mocap.motion import PARTS, load_deepmimic_clips, mirror, mix, resample
from tests.conftest import ROOT
from tests.helpers.script_tools import assert_one_line, run_here

MOTION = ROOT / "data" / "demo" / "motion.h5"


@pytest.fixture(scope="module")
def clips():
    return load_deepmimic_clips(MOTION, 50)


@pytest.fixture(scope="module")
def shape():
    return draw_shape(np.random.default_rng(1), "male")


def test_the_motion_file_is_what_the_issue_of_it_says():
    with h5py.File(MOTION) as file:
        assert len(file) == 15
        assert sum(len(clip) for clip in file.values()) == 1620
    assert MOTION.stat().st_size < 1_000_000
    assert "zlib" in (MOTION.parent / "NOTICE").read_text()


def test_files_load_as_human36m(demo):
    poses = load_h36m(demo, subjects=TRAIN_SUBJECTS + TEST_SUBJECTS)
    assert {sequence.subject for sequence in poses.sequences} == set(TRAIN_SUBJECTS + TEST_SUBJECTS)
    assert {sequence.camera for sequence in poses.sequences} == {camera.name for camera in h36m_cameras("S1")}
    world = load_arrays(demo / "data_3d_h36m.npz")["positions_3d"]["S1"]["Walk"]
    assert world.dtype == np.float32
    assert world.shape[1:] == (32, 3)
    assert load_arrays(demo / "data_2d_h36m_gt.npz")["positions_2d"]["S1"]["Walk"][3].shape == (len(world), 17, 2)


def test_every_camera_sees_nearly_every_joint(demo):
    poses = load_h36m(demo, subjects=TRAIN_SUBJECTS + TEST_SUBJECTS)
    assert (poses.inputs_2d.abs() > 1.002).any(dim=-1).float().mean() < 0.01


def test_no_clip_stands_on_two_sides_of_a_split(demo):
    sequences = json.loads((demo / "dataset.json").read_text())["h36m"]["sequences"]
    clips_of = {}
    for entry in sequences:
        clips_of.setdefault(entry["split"], set()).update(entry["clips"])
        assert (entry["subject"] in TEST_SUBJECTS) == (entry["split"] == "test")
    assert set(clips_of) == {"train", "validation", "test"}
    assert not clips_of["train"] & clips_of["validation"]
    assert not (clips_of["train"] | clips_of["validation"]) & clips_of["test"]
    train, validation = split_validation(load_h36m(demo))
    assert {s.base_action for s in validation.sequences} == {"Punch"}
    assert "Punch" not in {s.base_action for s in train.sequences}


def test_one_seed_one_result(demo, tmp_path):
    again = run_here("data/prepare_data_demo.py", "--out", tmp_path / "again", "--takes", 1)
    other = run_here("data/prepare_data_demo.py", "--out", tmp_path / "other", "--takes", 1, "--seed", 1)
    assert again.returncode == other.returncode == 0
    for name in ("data_3d_h36m.npz", "data_3d_h36m_smpl.npz", "data_2d_h36m_gt.npz", "dataset.json"):
        assert (tmp_path / "again" / name).read_bytes() == (demo / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (demo / name).read_bytes()
    for split in ("train", "test"):
        poses, same, different = (load_surreal(folder, split) for folder in (demo, tmp_path / "again", tmp_path / "other"))
        assert torch.equal(poses.targets_3d, same.targets_3d)
        assert torch.equal(poses.inputs_2d, same.inputs_2d)
        assert not torch.equal(poses.targets_3d[:10], different.targets_3d[:10])


# --- the SURREAL domain and the pairs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(demo):
    return json.loads((demo / "dataset.json").read_text())


def clips_by_split(sequences):
    found = {}
    for entry in sequences:
        found.setdefault(entry["split"], set()).update(entry["clips"])
    return found


def test_no_surreal_clip_stands_on_two_sides_of_a_split(demo, described):
    clips_of = clips_by_split(described["surreal"]["sequences"])
    assert set(clips_of) == {"train", "validation", "test"}
    assert not clips_of["train"] & clips_of["validation"]
    assert not (clips_of["train"] | clips_of["validation"]) & clips_of["test"]
    train, validation = split_validation(load_surreal(demo))
    assert {sequence.base_action for sequence in validation.sequences} == {"Roll"}
    assert "Roll" not in {sequence.base_action for sequence in train.sequences}


def test_the_domains_train_on_different_movements_and_test_on_none_of_either(described):
    h36m, surreal = (clips_by_split(described[domain]["sequences"]) for domain in ("h36m", "surreal"))
    seen = {domain: clips["train"] | clips["validation"] for domain, clips in (("h36m", h36m), ("surreal", surreal))}
    assert not seen["h36m"] & seen["surreal"]
    assert not (seen["h36m"] | seen["surreal"]) & (h36m["test"] | surreal["test"])


def test_no_body_is_met_twice(described):
    """Human3.6M's test subjects have bodies of their own, and so has every take of SURREAL."""
    bodies = list(described["h36m"]["bodies"].items())
    test = [json.dumps(body) for subject, body in bodies if subject in TEST_SUBJECTS]
    train = [json.dumps(body) for subject, body in bodies if subject in TRAIN_SUBJECTS]
    takes = {(entry["action"], json.dumps(entry["body"])) for entry in described["surreal"]["sequences"]}
    surreal = [body for _, body in takes]
    assert len(test) == 2
    assert len({action for action, _ in takes}) == len(takes)  # all clips of a take show one body
    assert len({*test, *train, *surreal}) == len(test) + len(train) + len(surreal)


def test_surreals_bodies_vary_more(described):
    stature = {
        "h36m": [body["stature"] for body in described["h36m"]["bodies"].values()],
        "surreal": [entry["body"]["stature"] for entry in described["surreal"]["sequences"]],
    }
    assert np.std(stature["surreal"]) > np.std(stature["h36m"])
    assert {entry["body"]["sex"] for entry in described["surreal"]["sequences"]} == {"female", "male"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_surreals_files_hold_what_dataset_json_says(demo, described, split):
    with h5py.File(demo / f"surreal_{split}.h5") as file:
        frames = (file["clip_stop"][()] - file["clip_start"][()]).tolist()
        assert (file.attrs["width"], file.attrs["height"]) == (320, 240)
    wanted = ("train", "validation") if split == "train" else ("test",)
    entries = [entry for entry in described["surreal"]["sequences"] if entry["split"] in wanted]
    assert [entry["frames"] for entry in entries] == frames
    assert [entry["action"] for entry in entries] == [sequence.action for sequence in load_surreal(demo, split).sequences]


@pytest.mark.parametrize("split", ["train", "test"])
def test_surreals_3d_projects_onto_its_2d(demo, split):
    """By SURREAL's K written out, from where the person stands: root depth included."""
    with h5py.File(demo / f"surreal_{split}.h5") as file:
        joints_2d, joints_3d = file["joints_2d"][()].astype(float), file["joints_3d"][()].astype(float)
    projected = joints_3d @ np.array([[600.0, 0, 160], [0, 600, 120], [0, 0, 1]]).T
    assert (projected[..., 2] > 1).all()
    assert np.abs(projected[..., :2] / projected[..., 2:] - joints_2d).max() < 1
    distance = joints_3d[:, 0, 2]
    assert 5 < distance.mean() < 9


@pytest.mark.parametrize("split", ["train", "test"])
def test_surreals_bodies_are_right_way_round_in_every_take(demo, split):
    poses = load_surreal(demo, split)
    for take in {sequence.action for sequence in poses.sequences}:  # a take's last clip may be a few straight-legged frames
        clips = poses.select(lambda sequence, take=take: sequence.action == take)
        assert handedness(clips.targets_3d.numpy()).mean() > 0.1, take


def test_surreals_clips_start_in_the_middle_of_the_picture(demo):
    """As SURREAL's renderer puts the camera; a clip lasts 100 frames at 30 Hz."""
    poses = load_surreal(demo, "train")
    first = poses.inputs_2d[[sequence.start for sequence in poses.sequences], 0]
    assert (first.abs() < 1e-6).float().mean() > 0.9  # but for clips whose first frames are not wholly in the picture
    assert max(sequence.stop - sequence.start for sequence in poses.sequences) <= 167
    assert len({sequence.action for sequence in poses.sequences}) < len(poses.sequences)


def test_pairs_are_of_the_same_bodies_and_right_way_round(demo):
    pairs = load_pairs(demo, TRAIN_SUBJECTS + TEST_SUBJECTS)
    assert len(pairs) == len(load_h36m(demo, subjects=TRAIN_SUBJECTS + TEST_SUBJECTS))
    assert pairs.dropped == 0
    assert handedness(pairs.smpl.numpy()).mean() > 0.1
    assert handedness(pairs.h36m.numpy()).mean() > 0.1
    apart = (pairs.h36m - pairs.smpl).norm(dim=-1)[:, 1:]
    assert 0.02 < apart.mean() < 0.1  # two definitions of one body, not two bodies
    train, validation = split_validation(load_pairs(demo))
    assert {sequence.subject for sequence in (*train.sequences, *validation.sequences)} == set(TRAIN_SUBJECTS)


def test_bodies_are_right_way_round_in_every_clip(clips, shape):
    for name, motion in clips.items():
        joints = pose_body(motion, shape, heading=0.4, place=(0, 0))
        assert handedness(joints["h36m"][:, list(H36M_32_TO_16)]).mean() > 0.1, name
        assert handedness(joints["smpl"][:, list(SMPL_24_TO_16)]).mean() > 0.1, name


def test_bodies_stand_on_the_floor(clips, shape):
    for name, motion in clips.items():
        joints = pose_body(motion, shape, heading=0, place=(0.3, -0.2))
        assert joints["smpl"][..., 2].min() == pytest.approx(0.02, abs=1e-9), name
        assert joints["h36m"][..., 2].max() < 2.6, name
    walk = pose_body(clips["walk"], shape, 0, (0, 0))["h36m"]
    assert walk[:, 15, 2].mean() == pytest.approx(shape.stature * 1.616 / 1.70, abs=0.12)  # the head's top while walking


def test_limbs_keep_their_lengths(clips, shape):
    """SMPL's joints are the rotation centres, so its bones are rigid; Human3.6M's hips and shoulders are not its centres."""
    smpl = pose_body(clips["dance_b"], shape, 0, (0, 0))["smpl"]
    for parent, child in (("l_hip", "l_knee"), ("l_knee", "l_ankle"), ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist")):
        a, b = SMPL_JOINT_NAMES.index(parent), SMPL_JOINT_NAMES.index(child)
        lengths = np.linalg.norm(smpl[:, a] - smpl[:, b], axis=-1)
        assert np.ptp(lengths) < 1e-9


def test_the_two_definitions_disagree_depending_on_the_pose(clips, shape):
    joints = pose_body(clips["getup_faceup"], shape, 0, (0, 0))
    a, b = joints["h36m"][:, list(H36M_32_TO_16)], joints["smpl"][:, list(SMPL_24_TO_16)]
    difference = np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1)
    assert 0.02 < difference[:, 1:].mean() < 0.15
    offset = (a - a[:, :1]) - (b - b[:, :1])
    assert offset.std(axis=0)[1:].max() > 0.03  # no constant shift would undo it


def test_joint_tables_are_symmetric():
    for definition, table in JOINT_TABLES.items():
        assert len(table) == {"h36m": 32, "smpl": 24, "coco": 17}[definition]
    h36m = [JOINT_TABLES["h36m"][i] for i in H36M_32_TO_16]
    for joint, other in enumerate(MIRROR):
        part, offset = h36m[joint]
        other_part, other_offset = h36m[other]
        assert offset == (other_offset[0], other_offset[1], -other_offset[2])
        assert part[2:] == other_part[2:] if part[1] == "_" else part == other_part
    assert all(part in PARTS for table in JOINT_TABLES.values() for part, _ in table)


def test_mirroring_is_seeing_in_a_mirror(clips, shape):
    """Mirrored rotations on a symmetric body give the reflected joints with left and right exchanged."""
    plain = pose_body(clips["kick"], shape, 0, (0, 0))["h36m"][:, list(H36M_32_TO_16)]
    mirrored = pose_body(mirror(clips["kick"]), shape, 0, (0, 0))["h36m"][:, list(H36M_32_TO_16)]
    # With heading 0 the person's right is the world's -y.
    reflected = plain[:, list(MIRROR)] * np.array([1, -1, 1])
    np.testing.assert_allclose(mirrored - mirrored[:, :1], reflected - reflected[:, :1], atol=1e-9)


def test_resampling_keeps_the_key_frames(clips):
    motion = clips["run"]
    doubled = resample(motion, 100)
    np.testing.assert_allclose(doubled.root[::2], motion.root, atol=1e-9)
    same = np.abs(np.sum(doubled.rotations[::2] * motion.rotations, axis=-1))
    np.testing.assert_allclose(same, 1, atol=1e-9)
    assert len(resample(motion, 50, speed=2)) == (len(motion) + 1) // 2


def test_slerp_goes_half_the_angle(clips):
    motion = clips["dance_a"]
    halfway = resample(motion, 100).rotations[1]
    before, after = quaternion_to_matrix(motion.rotations[0]), quaternion_to_matrix(motion.rotations[1])
    middle = quaternion_to_matrix(halfway)

    def angle(a, b):
        return np.arccos(np.clip((np.trace(np.swapaxes(a, -1, -2) @ b, axis1=-2, axis2=-1) - 1) / 2, -1, 1))

    np.testing.assert_allclose(angle(before, middle), angle(before, after) / 2, atol=1e-6)


def test_mixing_takes_the_upper_body(clips):
    mixed = mix(clips["walk"], clips["dance_b"])
    assert len(mixed) == len(clips["walk"])
    assert mixed.clips == ("walk", "dance_b")
    legs = [i for i, part in enumerate(PARTS) if part == "pelvis" or part.split("_")[-1] in ("thigh", "shin", "foot")]
    arms = [i for i in range(len(PARTS)) if i not in legs]
    np.testing.assert_array_equal(mixed.rotations[:, legs], clips["walk"].rotations[:, legs])
    np.testing.assert_array_equal(mixed.rotations[:20, arms], clips["dance_b"].rotations[:20, arms])


def test_a_walker_in_all_four_views(clips, shape):
    """Each camera sees the walker upright: head above feet, some hundred pixels tall, inside the image."""
    joints = pose_body(clips["walk"], shape, 1.0, (0, 0))["h36m"][:, list(H36M_32_TO_16)]
    for camera in h36m_cameras("S9"):
        pixels = project_to_2d(world_to_camera(joints, camera), camera)
        height = pixels[:, [3, 6], 1].max(axis=1) - pixels[:, 9, 1]
        assert (height > 200).all()
        assert (height < 800).all()
        assert ((pixels > 0) & (pixels < 1000)).all()
    assert PARENTS[9] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--motion", "nowhere.h5"], "nowhere.h5 does not exist"),
        (["--motion", "LICENSE"], "LICENSE is damaged"),
        (["--takes", "0"], "--takes 0"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, message):
    process = run_here("data/prepare_data_demo.py", "--out", tmp_path, *arguments)
    assert process.returncode == 2
    assert message in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    process = run_here("data/prepare_data_demo.py", "--out", tmp_path / "file", "--takes", 1)
    assert process.returncode == 2
    assert "cannot write" in process.stderr.strip().splitlines()[-1]
    assert "Traceback" not in process.stderr


def test_the_extraction_script_refuses_what_is_no_wheel(tmp_path):
    command = [sys.executable, "data/extract_demo_motion.py", str(MOTION), "--out", str(tmp_path / "motion.h5")]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 2
    assert "pip download" in process.stderr


@pytest.mark.parametrize("found", [None, "{", '{"format": 1}', "[]"])
def test_a_demo_that_is_missing_or_of_an_older_format_is_built(tmp_path, monkeypatch, found):
    started = []
    monkeypatch.setattr(demo_module, "DEMO", tmp_path)
    monkeypatch.setattr(demo_module.subprocess, "run", lambda *a, **k: started.append(a) or subprocess.CompletedProcess(a, 0))
    if found is not None:
        (tmp_path / "dataset.json").write_text(found)
    demo_module.build_demo_if_missing(tmp_path)
    assert len(started) == 1
    (tmp_path / "dataset.json").write_text(json.dumps({"format": demo_module.DATASET_FORMAT}))
    path_2d(tmp_path, "detector").touch()  # what came later
    demo_module.build_demo_if_missing(tmp_path)
    demo_module.build_demo_if_missing(tmp_path / "elsewhere")
    assert len(started) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("main_prob.py", "--evaluate", "NONE"),
        ("train_surreal.py", "--resume", "NONE"),
        ("conversion.py", "--evaluate", "NONE"),
        ("evaluate.py", "NONE"),
        ("viz.py", "--evaluate", "NONE", "--viz_subject", "S11", "--viz_action", "Kick", "--viz_output", "a.gif"),
        ("benchmarks/domain_gap.py", "--converter", "NONE"),
    ],
    ids=lambda command: command[0],
)
def test_a_checkpoint_is_looked_for_before_the_demo_is_built(tmp_path, monkeypatch, command):
    started = []
    monkeypatch.setattr(demo_module, "DEMO", tmp_path / "demo")
    monkeypatch.setattr(demo_module.subprocess, "run", lambda *a, **k: started.append(a) or subprocess.CompletedProcess(a, 0))
    words = (str(tmp_path / "none.pth.tar") if word == "NONE" else word for word in command)
    assert_one_line(run_here(*words, "--data_dir", tmp_path / "demo"), "none.pth.tar does not exist")
    assert not started
