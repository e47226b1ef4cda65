"""data/prepare_data_surreal.py, `common.preparation.surreal_tree` and `surreal_sources`, on small sources in the three forms that SURREAL has."""

import json
import os
import pickle
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from common.datasets.surreal import load_surreal, load_surreal_2d
from common.geometry.skeleton import handedness
from common.preparation.surreal_sources import places_seen
from tests.helpers.surreal_files import (
    CLIPS,
    SIDES,
    R,
    camera_body,
    camera_place,
    info,
    seen,
    world_body,
    write_info,
    write_prepared,
    write_tree,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "data" / "prepare_data_surreal.py"
SIXTEEN_OF_24 = [0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 16, 18, 20, 17, 19, 21]


@dataclass
class Outcome:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The script run in this process, which spares the start of a process per test."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return Outcome(code, *capsys.readouterr())

    return run


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen:
    """The script as a user runs it."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def assert_refused(outcome: Outcome, out: Path, *words: str | Path) -> None:
    """Exit code 2, one line that holds `words`, and nothing left in `out`, hidden files included."""
    assert outcome.code == 2
    assert outcome.stderr.startswith("error: "), outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    for word in words:
        assert str(word) in outcome.stderr
    assert not out.exists() or not os.listdir(out)


def read(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        arrays = {name: dataset[()] for name, dataset in file.items()}
        return {**arrays, "clips": list(file["clips"].asstr()[()]), "attrs": dict(file.attrs)}


def assert_sound(path: Path, off: float = 0.501) -> dict[str, Any]:
    """What every prepared file must hold: complete, not mirrored, its 3D projecting onto its 2D."""
    held = read(path)
    assert held["attrs"]["format"] == "dua surreal 1"
    assert held["attrs"]["complete"]
    joints_2d, joints_3d = held["joints_2d"].astype(np.float64), held["joints_3d"].astype(np.float64)
    projected = joints_3d[..., :2] / joints_3d[..., 2:] * 600 + np.array([160, 120])
    assert np.abs(projected - joints_2d).max() <= off
    sides = handedness(joints_3d[:, SIXTEEN_OF_24]).mean()
    assert sides > 0.1
    # Had the labels been kept, every body would be a mirror image.
    assert handedness(joints_3d[:, SIDES][:, SIXTEEN_OF_24]).mean() == pytest.approx(-sides, abs=1e-6)
    return held


# ---------------------------------------------------------------------------------------------------- SURREAL's own tree


def test_the_published_camera_mirrors() -> None:
    """The figures printed in SURREAL's explanation of its camera, and the sign that this project is careful about."""
    place, joint = np.array([6.7456, -0.9839, -1.9293]), np.array([-0.8645, -1.0915, -1.0260])
    np.testing.assert_array_equal(seen(joint[None, None], place)[0, 0], [89, 112])
    assert np.linalg.det(R) == pytest.approx(-1)
    world = world_body()
    assert handedness(world[:, SIXTEEN_OF_24]).mean() > 0.1  # a real body, in a right-handed world
    assert handedness((world @ R.T)[:, SIXTEEN_OF_24]).mean() < -0.1
    assert (world[..., 1].argmin(axis=1) == 15).all()  # the head is up, at -y


def test_tree(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    tree = write_tree(tmp_path / "cmu", ("train", "val", "test"))
    (tree / "train/run0/01_01/._01_01_c0001_info.mat").write_bytes(b"attributes that macOS adds")
    (tree / "train/run0/01_01/01_01_c0001_depth.mat").write_bytes(b"not wanted")
    outcome = prepare("--from-surreal", tree, "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["surreal_test.h5", "surreal_train.h5", "surreal_val.h5"]
    for split in ("train", "val", "test"):
        held = assert_sound(tmp_path / "out" / f"surreal_{split}.h5")
        assert held["clips"] == list(CLIPS) == sorted(CLIPS)
        assert held["attrs"]["source"] == "SURREAL"
        for i, motion in enumerate(CLIPS.values()):
            rows = slice(held["clip_start"][i], held["clip_stop"][i])
            assert set(held["clip"][rows]) == {i}
            pixels, metres = camera_body(motion, i)
            np.testing.assert_allclose(held["joints_3d"][rows], metres, atol=1e-5)
            np.testing.assert_array_equal(held["joints_2d"][rows], np.round(pixels))
        assert f"surreal_{split}.h5: {len(held['clip'])} frames of 3 clips" in outcome.stdout
    poses = load_surreal(tmp_path / "out", "val")
    assert len(poses) == len(load_surreal_2d(tmp_path / "out", "val")) == len(held["clip"])


def test_splits_are_found_and_chosen(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    write_tree(tmp_path / "SURREAL" / "data" / "cmu", ("train", "val"))
    assert prepare("--from-surreal", tmp_path / "SURREAL", "--split", "val", "--out", tmp_path / "out").code == 0
    assert os.listdir(tmp_path / "out") == ["surreal_val.h5"]
    outcome = prepare("--from-surreal", tmp_path / "SURREAL", "--split", "test", "--out", tmp_path / "other")
    assert_refused(outcome, tmp_path / "other", "no split 'test'", "it has: train, val")


def test_the_number_of_workers_changes_nothing(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    tree = write_tree(tmp_path / "cmu")
    for i in range(40):
        write_info(tree / f"train/run2/09_{i:02d}/09_{i:02d}_c0001_info.mat", info(world_body("walk", i, frames=1 + i % 3)))
    for workers in ("1", "3"):
        assert prepare("--from-surreal", tree, "--workers", workers, "--out", tmp_path / workers).code == 0
    assert (tmp_path / "1/surreal_train.h5").read_bytes() == (tmp_path / "3/surreal_train.h5").read_bytes()


def one_clip(tmp_path: Path, fields: dict[str, Any]) -> Path:
    """A tree with one good clip, and before it one of `fields`."""
    tree = tmp_path / "cmu"
    write_info(tree / "train/run0/01_01/01_01_c0001_info.mat", fields)
    write_info(tree / "train/run1/02_02/02_02_c0001_info.mat", info(world_body("walk")))
    return tree


def test_clip_of_one_frame_without_its_last_axis(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    world = world_body("punch", frames=1)
    fields = info(world)
    fields["joints2D"], fields["joints3D"] = fields["joints2D"][..., 0], fields["joints3D"][..., 0]
    tree = one_clip(tmp_path, fields)
    on_disk = scipy.io.loadmat(tree / "train/run0/01_01/01_01_c0001_info.mat")
    assert on_disk["joints3D"].shape == (3, 24)
    assert prepare("--from-surreal", tree, "--out", tmp_path / "out", "--workers", "1").code == 0
    held = assert_sound(tmp_path / "out/surreal_train.h5")
    assert held["clip_stop"][0] == 1
    np.testing.assert_array_equal(held["joints_2d"][0], seen(world, camera_place(world))[0, SIDES])


def test_stride_keeps_every_nth_frame_of_each_clip(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    tree = write_tree(tmp_path / "cmu")
    for stride in ("1", "4"):
        arguments = ("--from-surreal", tree, "--stride", stride, "--workers", "1", "--out", tmp_path / stride)
        assert prepare(*arguments).code == 0
    full, thin = (read(tmp_path / stride / "surreal_train.h5") for stride in ("1", "4"))
    rows = np.concatenate([np.arange(a, b, 4) for a, b in zip(full["clip_start"], full["clip_stop"])])
    np.testing.assert_array_equal(thin["joints_3d"], full["joints_3d"][rows])


def test_frames_that_show_nobody_are_dropped_and_counted(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    world = world_body("walk", frames=6)
    world[1] += [0, 0, 30]  # far to the side
    world[2] += [20, 0, 0]  # behind the camera
    world[3, :, 0] += camera_place(world)[0] - world[3, 22, 0] + 0.05  # the left hand alone is behind it
    world[4] -= [0, 0, 1.9]  # half out of the image, to the right: kept
    place = camera_place(world)
    pixels = seen(world, place)
    tree = one_clip(tmp_path, info(world, place))
    outcome = prepare("--from-surreal", tree, "--out", tmp_path / "out", "--workers", "1")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "left out 3 frames: nobody in the image" in outcome.stdout
    held = assert_sound(tmp_path / "out/surreal_train.h5")
    assert held["clip_stop"][0] == 3
    np.testing.assert_array_equal(held["joints_2d"][:3], pixels[[0, 4, 5]][:, SIDES])
    assert 0 < np.sum(held["joints_2d"][1, :, 0] >= 320) < 24


def bad_clips() -> dict[str, tuple[dict[str, Any], str]]:
    world = world_body("walk", frames=3)
    moved = camera_place(world) + np.array([0, 0, 0.05], np.float32)
    not_a_number = world.copy()
    not_a_number[1, 2, 0] = np.nan
    return {
        "no joints2D": (info(world, joints2D=None), "it has no joints2D"),
        "nothing": (info(world, joints2D=None, joints3D=None, camLoc=None), "it has no joints2D, joints3D, camLoc"),
        "another camera": (info(world, camLoc=moved), "inconsistent: its joints3D, seen from camLoc, lie up to"),
        "frames differ": (info(world, joints2D=np.zeros((2, 24, 2))), "2 frames of joints2D and 3 of joints3D"),
        "16 joints": (info(world, joints3D=np.zeros((3, 16, 3))), "joints3D has shape (3, 16, 3)"),
        "no frames": (info(world, joints2D=np.zeros((2, 24, 0))), "joints2D has shape (2, 24, 0)"),
        "text": (info(world, joints2D="lost"), "its joints2D has shape"),
        "sparse": (info(world, joints3D=scipy.sparse.eye(3, 24, format="csc")), "damaged or cut off"),
        "camera of two numbers": (info(world, camLoc=np.zeros(2)), "camLoc has shape"),
        "not finite": (info(world, joints3D=not_a_number.transpose(2, 1, 0)), "joints3D: 1 joints are NaN or infinite"),
    }


@pytest.mark.parametrize("kind", [*bad_clips(), "cut off", "empty", "HDF5", "gone"])
def test_bad_clips_are_named_and_skipped(tmp_path: Path, prepare: Callable[..., Outcome], kind: str) -> None:
    fields, words = bad_clips().get(kind, (info(world_body("walk")), "damaged or cut off"))
    tree = one_clip(tmp_path, fields)
    bad = tree / "train/run0/01_01/01_01_c0001_info.mat"
    if kind == "cut off":
        bad.write_bytes(bad.read_bytes()[:600])
    elif kind == "empty":
        bad.write_bytes(b"")
    elif kind == "gone":
        bad.unlink()
        bad.symlink_to("nowhere")
    elif kind == "HDF5":
        bad.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(1000))
        words = "MATLAB 7.3"
    outcome = prepare("--from-surreal", tree, "--out", tmp_path / "out", "--workers", "1")
    assert outcome.code == 0
    assert outcome.stderr.startswith(f"skipped {bad}: ")
    assert len(outcome.stderr.splitlines()) == 1
    assert words in outcome.stderr
    assert "skipped 1 that are damaged or inconsistent" in outcome.stdout
    assert assert_sound(tmp_path / "out/surreal_train.h5")["clips"] == ["run1/02_02/02_02_c0001"]
    strict = prepare("--from-surreal", tree, "--out", tmp_path / "strict", "--workers", "1", "--strict")
    assert_refused(strict, tmp_path / "strict", bad, words, "--strict")


def test_nothing_usable(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    out = tmp_path / "out"
    write_info(tmp_path / "cmu/train/run0/01_01/01_01_c0001_info.mat", info(world_body(frames=2), camLoc=None))
    outcome = prepare("--from-surreal", tmp_path / "cmu", "--out", out)
    assert outcome.code == 2
    assert "no usable frame" in outcome.stderr.splitlines()[-1]
    assert not os.listdir(out)
    (tmp_path / "empty/cmu/train/run0").mkdir(parents=True)
    assert_refused(prepare("--from-surreal", tmp_path / "empty", "--out", out), out, "holds no run*/SEQUENCE/*_info.mat")
    assert_refused(prepare("--from-surreal", tmp_path / "out", "--out", out), out, "holds no train, val or test")
    assert_refused(prepare("--from-surreal", tmp_path / "missing", "--out", out), out, tmp_path / "missing")


def test_existing_files_are_kept_without_overwrite(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    tree, out = write_tree(tmp_path / "cmu", ("train", "val")), tmp_path / "out"
    out.mkdir()
    (out / "surreal_val.h5").write_bytes(b"old")
    outcome = prepare("--from-surreal", tree, "--out", out, "--workers", "1")
    assert outcome.code == 2
    assert f"{out / 'surreal_val.h5'} exists already and was kept" in outcome.stderr
    assert os.listdir(out) == ["surreal_val.h5"]  # nothing is begun that cannot be ended
    assert (out / "surreal_val.h5").read_bytes() == b"old"
    assert prepare("--from-surreal", tree, "--out", out, "--workers", "1", "--overwrite").code == 0
    assert_sound(out / "surreal_val.h5")
    assert sorted(os.listdir(out)) == ["surreal_train.h5", "surreal_val.h5"]


# ------------------------------------------------------------------------------------------------- when it does not end well


def slow_tree(tmp_path: Path, clips: int) -> Path:
    """Many clips, all of them one file."""
    first = write_info(tmp_path / "cmu/train/run0/01_01/01_01_c0001_info.mat", info(world_body("walk")))
    for i in range(2, clips):
        (first.parent / f"01_01_c{i:04d}_info.mat").hardlink_to(first)
    return tmp_path / "cmu"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.campaign)])
def test_interrupted(tmp_path: Path, number: int, code: int) -> None:
    tree, out = slow_tree(tmp_path, 20_000), tmp_path / "out"
    process = start("--from-surreal", tree, "--out", out, "--workers", "2", start_new_session=True)
    deadline = time.monotonic() + 60
    while not (out.is_dir() and any((out / name).stat().st_size > 100_000 for name in os.listdir(out))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal does: every process of the group
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert not list(out.glob("*.h5"))
    if number == signal.SIGINT:
        assert os.listdir(out) == []
        assert stderr == "interrupted\n"


def test_full_disk(tmp_path: Path) -> None:
    tree, out = slow_tree(tmp_path, 150), tmp_path / "out"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = start("--from-surreal", tree, "--out", out, "--workers", "1", preexec_fn=limit)
    outcome = Outcome(process.wait(60), *process.communicate())
    assert_refused(outcome, out, f"cannot write {out / 'surreal_train.h5'}", "free some space")


def test_a_reader_that_dies_is_reported(tmp_path: Path, prepare: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.preparation.surreal_tree._load_info", lambda path: os._exit(1))
    outcome = prepare("--from-surreal", write_tree(tmp_path / "cmu"), "--out", tmp_path / "out", "--workers", "2")
    assert_refused(outcome, tmp_path / "out", "process", "fewer --workers")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--from-surreal", "a", "--from-npy", "b"),
        ("--from-npy", "b"),
        ("--from-surreal", "a", "--stride", "0"),
        ("--from-surreal", "a", "--workers", "x"),
        ("--from-surreal", "a", "--split", "validation"),
    ],
)
def test_bad_usage(prepare: Callable[..., Outcome], arguments: tuple[str, ...]) -> None:
    outcome = prepare(*arguments)
    assert outcome.code == 2
    assert outcome.stderr.startswith("usage: ")
    assert outcome.stdout == ""


# ----------------------------------------------------------------------------------------------------- Pose2Mesh's .json


def annotations(unit: float = 1.0, mirrored: bool = False) -> dict[str, Any]:
    """What Pose2Mesh's file holds for `CLIPS`, every third frame of them, in no good order."""
    images, entries = [], []
    for heading, (name, motion) in enumerate(CLIPS.items()):
        joints_3d = camera_body(motion, heading)[1][::3]
        for frame, joints in enumerate(joints_3d[:, SIDES] if mirrored else joints_3d):
            number = len(images)
            image = {"id": number, "width": 320, "height": 240, "file_name": f"{name}_{3 * frame:03d}.jpg"}
            images.append(image | {"cam_param": {"focal": [600.0, 600.0], "princpt": [160.0, 120.0]}})
            entry = {"id": number, "image_id": number, "bbox": [0.0, 0.0, 9.0, 9.0], "smpl_param": {"pose": [0.0] * 72}}
            entries.append(entry | {"joint_cam": (joints * unit).tolist()})
    return {"images": images, "annotations": entries[::-1]}


def write_json(folder: Path, content: Any, split: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(("unit", "mirrored"), [(1.0, False), (1000.0, False), (1.0, True)])
def test_pose2mesh(tmp_path: Path, prepare: Callable[..., Outcome], unit: float, mirrored: bool) -> None:
    folder = write_json(tmp_path / "json", annotations(unit, mirrored))
    write_json(folder, annotations(unit, mirrored), "val")
    outcome = prepare("--from-pose2mesh", folder, "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    for split in ("train", "val"):
        held = assert_sound(tmp_path / "out" / f"surreal_{split}.h5", off=1e-3)
        assert held["clips"] == list(CLIPS) == sorted(CLIPS)
        for i, motion in enumerate(CLIPS.values()):
            rows = slice(held["clip_start"][i], held["clip_stop"][i])
            np.testing.assert_allclose(held["joints_3d"][rows], camera_body(motion, i)[1][::3], atol=1e-5)
    assert [s.action for s in load_surreal(tmp_path / "out").sequences] == ["01 01", "02 03", "01 01"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cam_param", None, ("image 3 has no cam_param",)),
        ("cam_param", {"focal": [600.0, 600.0]}, ("image 3 has no cam_param",)),
        ("cam_param", {"focal": [1145.0, 1143.0], "princpt": [512.0, 515.0]}, ("image 3", "1145", "not SURREAL")),
        ("width", 1000, ("image 3", "1000", "not SURREAL")),
        ("id", 99, ("is damaged or no annotation file", "KeyError: 3")),
        ("file_name", ..., ("is damaged or no annotation file", "file_name")),
    ],
)
def test_pose2mesh_images(tmp_path: Path, prepare: Callable[..., Outcome], key: str, value: Any, words: tuple) -> None:
    content = annotations()
    content["images"][3][key] = value
    if value is ...:
        del content["images"][3][key]
    outcome = prepare("--from-pose2mesh", write_json(tmp_path / "json", content), "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", tmp_path / "json" / "train.json", *words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "no joint_cam"),
        ([[0.0, 0.0, 1.0]] * 17, "17 joints, 24 were expected"),
        ("text", "no joint_cam of 24 x 3 numbers"),
        ([[float("nan"), 0.0, 1.0]] * 24, "24 joints are NaN"),
    ],
)
def test_pose2mesh_annotations(tmp_path: Path, prepare: Callable[..., Outcome], value: Any, words: str) -> None:
    content = annotations()
    content["annotations"][-1]["joint_cam"] = value
    folder = write_json(tmp_path / "json", content)
    outcome = prepare("--from-pose2mesh", folder, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert f"{folder / 'train.json'}: annotation 0: " in outcome.stderr
    assert words in outcome.stderr
    assert len(assert_sound(tmp_path / "out/surreal_train.h5", off=1e-3)["clip"]) == len(content["annotations"]) - 1
    strict = prepare("--from-pose2mesh", folder, "--out", tmp_path / "strict", "--strict")
    assert_refused(strict, tmp_path / "strict", words)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"images": 3, "annotations": []}', '{"images": [3], "annotations": []}', "[" * 10_000],
)
def test_pose2mesh_damaged(tmp_path: Path, prepare: Callable[..., Outcome], content: str) -> None:
    outcome = prepare("--from-pose2mesh", write_json(tmp_path / "json", content), "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", tmp_path / "json" / "train.json", "is damaged or no annotation file")


def test_pose2mesh_nothing_there(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    assert_refused(prepare("--from-pose2mesh", tmp_path, "--out", tmp_path / "out"), tmp_path / "out", "no train.json")
    write_json(tmp_path, {"images": [], "annotations": []})
    assert_refused(prepare("--from-pose2mesh", tmp_path, "--out", tmp_path / "out"), tmp_path / "out", "it is empty")
    content = annotations(unit=100)
    write_json(tmp_path, content)
    assert_refused(prepare("--from-pose2mesh", tmp_path, "--out", tmp_path / "out"), tmp_path / "out", "pelvis and neck")


# ------------------------------------------------------------------------------------------ the published DUA code's .npy


def bodies() -> tuple[np.ndarray, np.ndarray]:
    """Pixels, whole as SURREAL's are, and metres of all `CLIPS`."""
    parts = [camera_body(motion, heading) for heading, motion in enumerate(CLIPS.values())]
    return np.round(np.concatenate([pixels for pixels, _ in parts])), np.concatenate([metres for _, metres in parts])


def write_npy(path: Path, joints_2d: Any, joints_3d: Any) -> Path:
    np.save(path, np.array({"3d_joints": joints_3d, "2d_joints": joints_2d}, dtype=object), allow_pickle=True)
    return path


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1000.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_npy(tmp_path: Path, prepare: Callable[..., Outcome], centred: bool, unit: float, mirrored: bool) -> None:
    joints_2d, joints_3d = bodies()
    shown = (joints_3d - joints_3d[:, :1] if centred else joints_3d) * unit
    sides = SIDES if mirrored else slice(None)
    path = write_npy(tmp_path / "surreal.npy", joints_2d[:, sides], shown[:, sides])
    outcome = prepare("--from-npy", path, "--split", "val", "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    held = assert_sound(tmp_path / "out/surreal_val.h5", off=1.0)
    np.testing.assert_array_equal(held["joints_2d"], joints_2d)
    # whole pixels tell the distance of a body 7 m away to a few centimetres
    np.testing.assert_allclose(held["joints_3d"], joints_3d, atol=0.1 if centred else 1e-5)
    np.testing.assert_allclose(held["joints_3d"] - held["joints_3d"][:, :1], joints_3d - joints_3d[:, :1], atol=1e-5)
    assert held["clips"] == ["surreal 0/rows_0"]
    assert {s.base_action for s in load_surreal(tmp_path / "out", "val").sequences} == {"surreal"}


def test_places_seen_is_exact_without_rounding() -> None:
    joints_2d, joints_3d = camera_body("kick")
    centred = joints_3d - joints_3d[:, :1]
    np.testing.assert_allclose(places_seen(centred, joints_2d), joints_3d[:, 0], atol=1e-6)


def test_npy_rows_that_do_not_belong_together(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    joints_2d, joints_3d = bodies()
    joints_2d[5, 3] += 4
    path = write_npy(tmp_path / "surreal.npy", joints_2d, joints_3d)
    outcome = prepare("--from-npy", path, "--split", "train", "--out", tmp_path / "out")
    assert outcome.code == 0
    assert f"2D and 3D differ in 1 of {len(joints_3d)} rows" in outcome.stderr
    held = assert_sound(tmp_path / "out/surreal_train.h5")
    np.testing.assert_array_equal(held["joints_2d"], np.delete(joints_2d, 5, axis=0))


def bad_npys() -> dict[str, tuple[Any, str]]:
    joints_2d, joints_3d = bodies()
    world = world_body()
    return {
        "list": ([1, 2], "no dictionary with '3d_joints' and '2d_joints'"),
        "no 2D": ({"3d_joints": joints_3d}, "no dictionary with"),
        "16 joints": ({"3d_joints": joints_3d[:, :16], "2d_joints": joints_2d}, "3d_joints has shape"),
        "rows differ": ({"3d_joints": joints_3d, "2d_joints": joints_2d[1:]}, "2d_joints has shape"),
        "no rows": ({"3d_joints": joints_3d[:0], "2d_joints": joints_2d[:0]}, "2d_joints has shape (0, 24, 2)"),
        "number": ({"3d_joints": 1.0, "2d_joints": 2.0}, "2d_joints has shape ()"),
        "not finite": ({"3d_joints": joints_3d * np.nan, "2d_joints": joints_2d}, "3d_joints: "),
        "centimetres": ({"3d_joints": joints_3d * 100, "2d_joints": joints_2d}, "pelvis and neck"),
        "world": ({"3d_joints": world, "2d_joints": seen(world, camera_place(world))}, "pixels away from its 2d_joints"),
        "other 2D": ({"3d_joints": joints_3d, "2d_joints": joints_2d[::-1]}, "pixels away from its 2d_joints"),
    }


@pytest.mark.parametrize("kind", list(bad_npys()))
def test_npy_of_another_kind(tmp_path: Path, prepare: Callable[..., Outcome], kind: str) -> None:
    content, words = bad_npys()[kind]
    path = tmp_path / "surreal.npy"
    array = np.empty((), dtype=object)
    array[()] = content
    np.save(path, array, allow_pickle=True)
    outcome = prepare("--from-npy", path, "--split", "train", "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", path, words)


class _Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def test_npy_that_holds_code(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    joints_2d, joints_3d = bodies()
    path = write_npy(tmp_path / "surreal.npy", joints_2d, joints_3d)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump({"3d_joints": joints_3d, "2d_joints": _Evil(tmp_path / "trace")}, file)
    outcome = prepare("--from-npy", path, "--split", "train", "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", path, "mkdir", "can run code")
    assert not (tmp_path / "trace").exists()


def test_prepared_files_of_the_tests_are_sound(tmp_path: Path) -> None:
    assert_sound(write_prepared(tmp_path), off=1e-3)
