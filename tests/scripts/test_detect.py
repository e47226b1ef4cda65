"""`detect.py`, and `predict.py` of a video, with a stand-in for MediaPipe; with MediaPipe itself where DUA_DETECTOR names one."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.detections import detector
from common.detections.files import read_keypoints
from common.prediction.predictor import Predictor
from tests.helpers.script_tools import QUICK, assert_one_line, run_here, trained
from tests.helpers.video_files import BODY, ffmpeg, film, stand_in

REAL, REAL_VIDEO = os.environ.get("DUA_DETECTOR"), os.environ.get("DUA_VIDEO")

BOXES = [(30 + 2 * i, 20, 24, 60) for i in range(20)]


def landmarks(box):
    """(33, 2) pixels."""
    left, top, width, height = box
    return np.array([left, top]) + BODY * (width, height)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return stand_in(tmp_path_factory.mktemp("detector"))


@pytest.fixture(autouse=True)
def installed(python, monkeypatch):
    monkeypatch.setenv("DUA_DETECTOR", str(python))
    monkeypatch.delenv("STAND_IN", raising=False)


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Twenty frames at 25 a second; nobody in the fifth."""
    boxes = [None if i == 5 else box for i, box in enumerate(BOXES)]
    return film(tmp_path_factory.mktemp("video") / "walk.mp4", boxes)


def detected(video, out):
    process = run_here("detect.py", video, "--out", out)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""  # no terminal, no progress bar
    return process.stdout.splitlines(), read_keypoints(out)


@pytest.mark.parametrize("ending", [".json", ".npz"])
def test_joints_are_in_pixels_with_the_size_and_rate_of_the_video(walk, tmp_path, ending):
    out = tmp_path / f"joints{ending}"
    lines, file = detected(walk, out)
    assert lines == [
        f"{walk}: 160 x 120 pixels, 20 frames, 25 a second", "MediaPipe 0.10.14: a person in 19 of 20 frames", str(out),
    ]  # fmt: skip
    assert (file.image_size, file.fps, file.skeleton, file.threshold) == ((160, 120), 25.0, "blazepose", 0.5)
    seen = [detection for detection in file.detections if np.isfinite(detection.keypoints_2d).all()]
    assert [detection.frame for detection in seen] == [i for i in range(20) if i != 5]
    for detection in seen:
        np.testing.assert_allclose(detection.keypoints_2d, landmarks(BOXES[detection.frame]), atol=1.5)
        np.testing.assert_allclose(detection.confidences, 0.9, atol=1e-6)


def test_what_the_file_says(walk, tmp_path):
    detected(walk, tmp_path / "joints.json")
    content = json.loads((tmp_path / "joints.json").read_text())
    assert content["detector"] == "MediaPipe 0.10.14"
    assert (content["video"], content["image_size"], content["fps"]) == ("walk.mp4", [160, 120], 25.0)
    assert [frame["frame"] for frame in content["frames"]] == list(range(20))
    assert content["frames"][5]["pose_landmarks"] == []
    with np.load(_npz(walk, tmp_path), allow_pickle=False) as arrays:
        assert arrays["keypoints"].shape == (20, 33, 4)
        assert np.isnan(arrays["keypoints"][5]).all()


def _npz(video, folder):
    detected(video, folder / "joints.npz")
    return folder / "joints.npz"


def test_a_turned_video_s_joints_are_in_what_is_shown(walk, tmp_path):
    ffmpeg("-display_rotation", 90, "-i", walk, "-c", "copy", tmp_path / "phone.mp4")
    lines, file = detected(tmp_path / "phone.mp4", tmp_path / "joints.json")
    assert lines[0].endswith("120 x 160 pixels, turned by 90 degrees as its metadata say, 20 frames, 25 a second")
    assert file.image_size == (120, 160)
    left, top, width, height = BOXES[0]
    np.testing.assert_allclose(file.detections[0].keypoints_2d, landmarks((top, 160 - left - width, height, width)), atol=1.5)


def test_a_variable_rate_and_a_cut_are_said(walk, tmp_path):
    ffmpeg("-i", walk, "-vf", "select='lt(n,6)+not(mod(n,4))'", "-fps_mode", "vfr", tmp_path / "uneven.mp4")
    lines, file = detected(tmp_path / "uneven.mp4", tmp_path / "joints.json")
    assert "its frames come at a variable rate; frames are taken at a constant one" in lines[1]
    last = max(detection.frame for detection in file.detections)
    assert last / file.fps == pytest.approx(16 / 25, abs=4 / 25)
    ffmpeg("-i", walk, "-g", 2, tmp_path / "whole.mkv")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) * 2 // 3])
    lines, file = detected(tmp_path / "cut.mkv", tmp_path / "joints.json")
    assert "of 20 frames can be decoded, it is cut or damaged; they are taken" in "".join(lines)
    assert 5 < max(detection.frame for detection in file.detections) < 19


def refused(video, tmp_path, *words, out="joints.json"):
    process = run_here("detect.py", video, "--out", tmp_path / out)
    assert_one_line(process, *words)
    assert not (tmp_path / out).exists()


def test_what_is_refused(walk, tmp_path):
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    refused(tmp_path / "text.mp4", tmp_path, "text.mp4 cannot be decoded as a video")
    refused(tmp_path / "no.mp4", tmp_path, "no.mp4 does not exist")
    refused(walk, tmp_path, "joints.txt", ".json or .npz", out="joints.txt")
    refused(walk, tmp_path, "does not exist; make it first", out="no/joints.json")
    assert_one_line(run_here("detect.py", tmp_path / "a.json", "--out", tmp_path / "a.json"), "is the video itself")


def test_nobody_in_any_frame(tmp_path):
    film(tmp_path / "room.mp4", [None] * 4)
    refused(tmp_path / "room.mp4", tmp_path, "room.mp4: MediaPipe finds no person in any of its 4 frames")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("dies:3", ("ended with code 3 at frame 3: the graph has no packets",)),
        ("killed:0", ("ended by signal 9 at frame 0: a library that talks",)),
        ("other_api", ("cannot be used (AttributeError", "-m pip install mediapipe==0.10.14")),
        ("no_library", ("libGL.so.1", "-m pip install mediapipe==0.10.14")),
    ],
)
def test_a_detector_that_does_not_work(walk, tmp_path, monkeypatch, trouble, words):
    monkeypatch.setenv("STAND_IN", trouble)
    refused(walk, tmp_path, *words)


def test_another_version_is_said(walk, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN", "version:0.10.21")
    lines, file = detected(walk, tmp_path / "joints.json")
    assert "MediaPipe 0.10.21 is another version than the tested 0.10.14" in lines[2]
    assert len(file.detections) == 19


def test_what_is_no_detector(walk, tmp_path, monkeypatch):
    monkeypatch.setenv("DUA_DETECTOR", str(tmp_path / "no"))
    refused(walk, tmp_path, "DUA_DETECTOR=", "does not exist")
    (tmp_path / "file").write_text("no program")
    monkeypatch.setenv("DUA_DETECTOR", str(tmp_path / "file"))
    refused(walk, tmp_path, "does not start: Permission denied")
    for said, words in (
        ("hello", "says 'hello"),
        ("[1]", "cannot be used ([1])"),
        ("", "before its first frame: it said nothing"),
    ):
        (tmp_path / "file").write_text(f"#!/bin/sh\necho '{said}'" if said else "#!/bin/sh\n")
        (tmp_path / "file").chmod(0o755)
        monkeypatch.setenv("DUA_DETECTOR", str(tmp_path / "file"))
        refused(walk, tmp_path, words)


def test_where_the_detector_is_looked_for(walk, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", {"mediapipe": True}.get)
    monkeypatch.setattr(detector, "_ROOT", tmp_path)
    own = tmp_path / ".detector" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert detector.find_detector() == os.environ["DUA_DETECTOR"]
    monkeypatch.delenv("DUA_DETECTOR")
    assert detector.find_detector() == str(own)
    own.unlink()
    assert detector.find_detector() == sys.executable
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    for folder, named in ((tmp_path, ".detector"), (Path("/"), f"{tmp_path}/.detector")):
        monkeypatch.chdir(folder)
        process = run_here("detect.py", walk, "--out", tmp_path / "joints.json")
        assert process.returncode == 2
        first, second = process.stderr.splitlines()
        assert first.startswith("error: ")
        assert first.endswith(f": python3 -m venv {named}")
        assert second == f"{named}/bin/pip install mediapipe==0.10.14"
    assert process.stdout == ""


# --- predict.py -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prob")
    return trained(folder, run_here("main_prob.py", "--data_dir", demo, "--checkpoint", folder, *QUICK))[0]


def predict(run, video, *options):
    return run_here("predict.py", video, "--checkpoint", run, "--device", "cpu", *options)


def test_a_video_gives_the_poses_of_its_joints(run, walk, tmp_path, monkeypatch):
    joints, out = tmp_path / "joints.json", tmp_path / "out.npz"
    process = predict(run, walk, "--out", out, "--out", tmp_path / "out.bvh", "--joints", joints)
    assert process.returncode == 0, process.stderr
    assert "a person in 19 of 20 frames" in process.stdout
    assert f"{joints}: the 2D joints" in process.stdout
    assert "order blazepose (the detector's), 160 x 120 pixels" in process.stdout
    inputs_2d = np.array([landmarks(box) for box in BOXES])
    inputs_2d[5] = np.nan
    expected = Predictor.load(run, "cpu")(inputs_2d, (160, 120), "blazepose")
    with np.load(out) as arrays:
        assert (arrays["fps"], arrays["image_size"].tolist()) == (25, [160, 120])
        assert arrays["frames"].tolist() == list(range(20))
        assert arrays["missing"].all(axis=1).tolist() == [i == 5 for i in range(20)]
        np.testing.assert_allclose(arrays["keypoints_2d"], expected.keypoints_2d, atol=1.5)
        poses_3d = arrays["poses_3d"]
    assert "Frames: 20\nFrame Time: 0.04" in (tmp_path / "out.bvh").read_text()

    # The file that was kept gives the same, by itself and with the video, and no detector is needed any more.
    monkeypatch.setenv("DUA_DETECTOR", "/no/detector")
    for given in ((joints,), (walk, "--joints", joints)):
        process = predict(run, *given, "--out", out)
        assert process.returncode == 0, process.stderr
        assert ("2D joints of an earlier detection are taken" in process.stdout) == (len(given) > 1)
        with np.load(out) as arrays:
            assert np.array_equal(arrays["poses_3d"], poses_3d)
            assert arrays["fps"] == 25
    joints.write_text(joints.read_text().replace('"fps":25.0', '"fps":50.0'))
    assert_one_line(predict(run, walk, "--joints", joints, "--out", out), f"{joints} is not of {walk}", "at 50 a second")


def test_the_video_lies_under_the_joints(run, walk, tmp_path):
    """From the first frame with somebody on: each joint that is on the box is drawn on red."""
    film(tmp_path / "late.mp4", [None] * 3 + BOXES[:6])
    process = predict(run, tmp_path / "late.mp4", "--render", tmp_path / "a.png")
    assert process.returncode == 0, process.stderr
    assert "frames 3 to 8" in process.stdout
    assert "kept in no file; --joints FILE" in process.stdout
    assert not list(tmp_path.glob("*.json"))
    with Image.open(tmp_path / "a.png") as sheet:
        picture = np.asarray(sheet.convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1:].max(axis=-1) < 60)
    side = picture.shape[1] // 2
    rows = red[:, :side].any(axis=1).astype(int)
    assert (np.diff(rows) == 1).sum() >= 5, "a red box in each of five frames"  # none in the frames before somebody came
    assert not red[:, side:].any()
    process = predict(run, walk, "--render", tmp_path / "a.html", "--fps", 50)
    assert process.returncode == 0, process.stderr
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/jpeg") == 20
    assert '"fps":50' in page


def test_what_a_video_says_itself(run, walk, tmp_path, monkeypatch):
    out = tmp_path / "out.npz"
    assert_one_line(predict(run, walk, "--out", out, "--image_size", 120, 160), "--image_size", "walk.mp4 says it itself")
    assert_one_line(predict(run, walk, "--out", out, "--clip", "a", "--skeleton", "coco"), "--clip, --skeleton")
    assert_one_line(predict(run, walk, "--out", out, "--joints", tmp_path / "a.csv"), "a.csv", ".json or .npz")
    assert_one_line(predict(run, tmp_path / "a.json", "--out", out, "--joints", tmp_path / "b.json"), "a.json is none")
    assert_one_line(predict(run, walk, "--render", walk), "is the file of 2D joints itself")
    assert_one_line(predict(run, walk, "--out", tmp_path / "a.json", "--joints", tmp_path / "a.json"), "a.json is the file")
    (tmp_path / "text.mp4").write_text("[]")
    assert_one_line(predict(run, tmp_path / "text.mp4", "--out", out), "text.mp4 cannot be decoded as a video")
    film(tmp_path / "room.mp4", [None] * 4)
    assert_one_line(predict(run, tmp_path / "room.mp4", "--out", out), "finds no person in any of its 4 frames")
    detected(walk, tmp_path / "walk.json")
    film(tmp_path / "short.mp4", BOXES[:4])
    process = predict(run, tmp_path / "short.mp4", "--out", out, "--joints", tmp_path / "walk.json")
    assert_one_line(process, "walk.json is not of", "short.mp4: it has 20 frames of (160, 120)")
    monkeypatch.setenv("STAND_IN", "dies:1")
    assert_one_line(predict(run, walk, "--out", out, "--joints", tmp_path / "b.json"), "at frame 1: the graph has no packets")
    assert not out.exists()
    assert not (tmp_path / "b.json").exists()


def test_who_leaves_and_returns(run, tmp_path):
    """For less than a second it is the same person, and filled; for longer it is said, and the longer stay is taken."""
    there = [(60, 30, 24, 60)] * 8
    film(tmp_path / "short.mp4", there + [None] * 10 + there)
    process = predict(run, tmp_path / "short.mp4", "--out", tmp_path / "out.npz")
    assert process.returncode == 0, process.stderr
    assert "people:" not in process.stdout
    assert "(the whole person in 10 frames)" in process.stdout
    film(tmp_path / "long.mp4", there + [None] * 40 + there * 2)
    process = predict(run, tmp_path / "long.mp4", "--out", tmp_path / "out.npz")
    assert process.returncode == 0, process.stderr
    assert "people: 2 (16 frames from 48 to 63), 1 (8 frames from 0 to 7)" in process.stdout
    assert "16 poses, frames 48 to 63" in process.stdout


def test_a_detector_that_jumps_to_somebody_else(run, tmp_path):
    """It finds one person: where that is another one, elsewhere, they are two."""
    film(tmp_path / "two.mp4", [(10, 30, 20, 50)] * 8 + [(120, 30, 20, 50)] * 6)
    process = predict(run, tmp_path / "two.mp4", "--out", tmp_path / "out.npz", "--person", 2)
    assert process.returncode == 0, process.stderr
    assert "6 poses, frames 8 to 13" in process.stdout


# --- the detector itself ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL, reason="DUA_DETECTOR names no Python that has MediaPipe")
def test_mediapipe_finds_nobody_in_an_empty_room(tmp_path, monkeypatch):
    monkeypatch.setenv("DUA_DETECTOR", REAL)
    film(tmp_path / "room.mp4", [None] * 4)
    refused(tmp_path / "room.mp4", tmp_path, "room.mp4: MediaPipe finds no person in any of its 4 frames")


@pytest.mark.skipif(not (REAL and REAL_VIDEO), reason="DUA_DETECTOR or DUA_VIDEO, a video of a person, is not set")
def test_mediapipe_finds_the_person(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DUA_DETECTOR", REAL)
    ffmpeg("-i", REAL_VIDEO, "-frames:v", 20, tmp_path / "real.mp4")
    lines, file = detected(tmp_path / "real.mp4", tmp_path / "joints.json")
    assert "MediaPipe 0.10.14: a person in " in lines[-2]
    assert len(file.detections) >= 15
    width, height = file.image_size
    nose, ankles = (np.array([detection.keypoints_2d[joints] for detection in file.detections]) for joints in (0, [27, 28]))
    assert ((nose > 0) & (nose < (width, height))).all()
    assert np.median(ankles[..., 1].mean(axis=1) - nose[:, 1]) > 0.2 * height, "they stand"
    process = predict(run, tmp_path / "real.mp4", "--joints", tmp_path / "joints.json", "--render", tmp_path / "a.html")
    assert process.returncode == 0, process.stderr
