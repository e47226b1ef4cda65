"""`predict.py` as its users run it."""

import csv
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from common.datasets.h36m import load_h36m
from common.files.arrays import load_arrays
from common.geometry.skeleton import H36M_JOINTS_TO_16, JOINT_NAMES, MIRROR
from common.prediction.outputs import Clip
from common.prediction.predictor import Predictor
from common.prediction.smoothing import smooth, smooth_roots
from common.prediction.trajectory import roots_in_camera
from common.prediction.upright import camera_to_y_up
from common.rendering.prediction_scene import prediction_scene
from common.rendering.scene import upright
from common.training.checkpoint import load_checkpoint, save_checkpoint
from tests.helpers import keypoint_text
from tests.helpers.script_tools import assert_one_line, run_here
from tests.helpers.trc_files import read_trc

SIZE = ("--image_size", 1000, 1002)


@pytest.fixture(scope="module")
def run(quick_run):
    return quick_run


@pytest.fixture(scope="module")
def pixels(demo):
    """(T, 16, 2) of a clip of the demo, as detectors can see it."""
    sequence = load_h36m(demo, "gt", ["S9"]).sequences[0]
    joints = load_arrays(demo / "data_2d_h36m_gt.npz")["positions_2d"]["S9"][sequence.action][0]
    return keypoint_text.by_rule(joints[:30, list(H36M_JOINTS_TO_16[joints.shape[1]])].astype(float))


def test_a_folder_of_runs_stands_for_its_newest(run, files, tmp_path):
    outputs = [tmp_path / "run.npz", tmp_path / "folder.npz"]
    for given, out in zip((run, run.parent), outputs, strict=True):
        process = run_here("predict.py", files["d2.npz"], "--checkpoint", given, "--out", out)
        assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[0] == f"{run.parent}: its newest run is taken, {run.name}"
    poses = [np.load(out)["poses_3d"] for out in outputs]
    assert np.array_equal(*poses)


@pytest.fixture
def files(pixels, tmp_path):
    """{format: file} of the clip, from frame 2 on, with nobody in frame 9."""
    coco = keypoint_text.in_order(pixels, "coco")
    people = {frame + 2: [pose] for frame, pose in enumerate(coco) if frame + 2 != 9}
    keypoint_text.detectron(tmp_path / "d2.npz", people, (1000, 1002))
    contents = {
        "mmpose.json": keypoint_text.mmpose(people),
        "alphapose.json": keypoint_text.alphapose(people),
        "yolo.jsonl": keypoint_text.ultralytics(people, layout="lines"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: tmp_path / name for name in ("d2.npz", *contents)}


def predict_here(run, keypoints, *options):
    return run_here("predict.py", keypoints, "--checkpoint", run, "--device", "cpu", *options)


def test_every_format_gives_the_poses_of_the_predictor(run, pixels, files, tmp_path):
    gapped = pixels.copy()
    gapped[7] = np.nan
    expected = Predictor.load(run, "cpu")(gapped, (1000, 1002))
    for name, path in files.items():
        out = tmp_path / "out.npz"
        process = predict_here(run, path, "--out", out, *(() if name == "d2.npz" else SIZE))
        assert process.returncode == 0, process.stderr
        assert "30 poses, frames 2 to 31" in process.stdout
        assert "16 of 480 joints were not seen (the whole person in 1 frames)" in process.stdout
        assert "people:" not in process.stdout
        with np.load(out, allow_pickle=False) as arrays:
            np.testing.assert_allclose(arrays["poses_3d"], expected.poses_3d, atol=1e-5, err_msg=name)
            np.testing.assert_allclose(arrays["uncertainty"], expected.uncertainty, atol=1e-5)
            np.testing.assert_allclose(arrays["uncertainty_mm"], expected.uncertainty_mm, atol=1e-2)
            assert np.array_equal(arrays["missing"], expected.missing)
            assert arrays["frames"].tolist() == list(range(2, 32))
            assert arrays["joints"].tolist() == list(JOINT_NAMES)
            assert (str(arrays["skeleton"]), str(arrays["uncertainty_unit"])) == ("h36m", "relative")


def test_outputs_say_the_same(run, files, tmp_path):
    names = [tmp_path / f"out{ending}" for ending in (".npz", ".json", ".csv", ".bvh")]
    options = [word for name in names for word in ("--out", name)]
    process = predict_here(run, files["mmpose.json"], *SIZE, *options, "--fps", 20, "--camera_pitch", 5)
    assert process.returncode == 0, process.stderr
    assert "hip at the origin" in process.stdout
    with np.load(names[0], allow_pickle=False) as file:
        arrays = dict(file)
    content = json.loads(names[1].read_text())
    assert content.keys() == arrays.keys() | {"units"}
    np.testing.assert_allclose(content["poses_3d"], arrays["poses_3d"], atol=1e-6)
    assert content["missing"] == arrays["missing"].tolist()
    assert content["fps"] == 20
    rows = list(csv.DictReader(names[2].open()))
    assert len(rows) == 30 * 16
    row = rows[16 * 7 + 12]
    assert (row["frame"], row["joint"], row["missing"]) == ("9", "LWrist", "1")
    np.testing.assert_allclose([float(row[axis]) for axis in "xyz"], arrays["poses_3d"][7, 12], atol=1e-6)
    assert float(row["uncertainty_mm"]) == pytest.approx(arrays["uncertainty_mm"][7, 12], rel=1e-4)
    assert "Frames: 30\nFrame Time: 0.05" in names[3].read_text()


def test_a_bvh_file_stands_on_the_floor_when_told(run, files, tmp_path):
    out = tmp_path / "out.bvh"
    heights = {}
    for options in ((), ("--floor",)):
        process = predict_here(run, files["d2.npz"], "--out", out, *options)
        assert process.returncode == 0, process.stderr
        assert "left and right bones of one length" in process.stdout
        assert ("lowest joint of each frame on the floor" in process.stdout) == bool(options)
        assert ("hip at the origin (--floor puts the feet on the floor)" in process.stdout) != bool(options)
        rows = out.read_text().partition("Frame Time")[2].splitlines()[1:]
        heights[bool(options)] = [float(row.split()[1]) for row in rows]
    assert set(heights[False]) == {0.0}
    assert min(heights[True]) > 0.3  # metres from the hip down to a foot, even of a network that has learnt little
    assert_one_line(predict_here(run, files["d2.npz"], "--out", tmp_path / "a.npz", "--floor"), "--floor", ".bvh")
    process = run_here("predict.py", "--checkpoint", run, "--export", tmp_path / "a.onnx", "--floor")
    assert_one_line(process, "--floor changes nothing")


def test_a_trajectory_is_in_every_output(run, pixels, files, tmp_path):
    """At 70 degrees, of poses that are not smoothed; what is written is the least squares' place, smoothed."""
    names = [tmp_path / f"out{ending}" for ending in (".npz", ".json", ".csv", ".bvh", ".trc")]
    outputs = [word for name in names for word in ("--out", name)]
    process = predict_here(run, files["d2.npz"], *outputs, "--trajectory", "--fov", 70, "--camera_pitch", 10, "--camera_roll", -4)
    assert process.returncode == 0, process.stderr
    assert "assumed" not in process.stderr
    assert re.search(r"\d\.\d to \d+\.\d m from the camera, a path of \d+\.\d m\n", process.stdout)
    arrays = dict(np.load(names[0]))
    focal = 501 / np.tan(np.radians(35))
    assert arrays["focal_length"] == pytest.approx(focal)
    seen = arrays["keypoints_2d"], (1000, 1002), focal, arrays["missing"]
    expected = smooth_roots(roots_in_camera(arrays["poses_3d"], *seen), np.arange(2, 32), 30)
    np.testing.assert_allclose(arrays["roots_3d"], expected, atol=1e-5)
    content = json.loads(names[1].read_text())
    np.testing.assert_allclose(content["roots_3d"], expected, atol=1e-5)
    assert content["units"].keys() >= {"roots_3d", "focal_length"}
    rows = list(csv.DictReader(names[2].open()))
    written = [[float(row[f"root_{axis}"]) for axis in "xyz"] for row in rows]
    np.testing.assert_allclose(written, np.repeat(expected, 16, axis=0), atol=1e-5)
    upright = camera_to_y_up(expected, 10, -4)
    channels = [line.split()[:3] for line in names[3].read_text().partition("Frame Time")[2].splitlines()[1:]]
    np.testing.assert_allclose(np.array(channels, dtype=float), upright, atol=1e-5)
    _, joints, _, places = read_trc(names[4])
    np.testing.assert_allclose(places[:, joints.index("Hip")], upright, atol=1e-5)
    wrist = arrays["poses_3d"][7, JOINT_NAMES.index("RWrist")] + expected[7]
    np.testing.assert_allclose(places[7, joints.index("RWrist")], camera_to_y_up(wrist, 10, -4), atol=1e-5)
    process = predict_here(run, files["d2.npz"], "--out", names[0], "--trajectory")
    assert process.stderr.count("55 degrees along the picture's longer side are assumed") == 1
    assert np.load(names[0])["roots_3d"].std(axis=0).max() > 0


def test_on_the_floor_a_path_keeps_its_ground_plan(run, files, tmp_path):
    names = [tmp_path / "out.bvh", tmp_path / "out.trc"]
    outputs = [word for name in names for word in ("--out", name)]
    found = {}
    for options in (("--trajectory",), ("--trajectory", "--floor"), ("--floor",), ()):
        process = predict_here(run, files["d2.npz"], *outputs, *options)
        assert process.returncode == 0, process.stderr
        rows = names[0].read_text().partition("Frame Time")[2].splitlines()[1:]
        found[options] = np.array([row.split()[:3] for row in rows], dtype=float), read_trc(names[1])[3]
    (walking, walking_trc), (both, both_trc), (standing, standing_trc), (hanging, hanging_trc) = found.values()
    np.testing.assert_allclose(both[:, [0, 2]], walking[:, [0, 2]])
    np.testing.assert_allclose(both[:, 1], standing[:, 1])
    np.testing.assert_allclose(both_trc[..., [0, 2]], walking_trc[..., [0, 2]])
    np.testing.assert_allclose(both_trc[..., 1], standing_trc[..., 1], atol=2e-6)
    for places in (both_trc, standing_trc):
        np.testing.assert_allclose(places[..., 1].min(axis=1), 0, atol=1e-9)
    np.testing.assert_array_equal(hanging_trc[:, 0], 0)
    np.testing.assert_array_equal(hanging, 0)
    assert np.abs(walking).max() > 1


def test_smoothed_poses_are_those_of_the_filter(run, files, tmp_path):
    found = {}
    for options in ((), ("--smooth",), ("--smooth", "--fps", 4)):
        process = predict_here(run, files["d2.npz"], "--out", tmp_path / "out.npz", *options)
        assert process.returncode == 0, process.stderr
        found[options] = np.load(tmp_path / "out.npz")["poses_3d"]
        assert ("nothing is smoothed in 4 poses a second" in process.stdout) == ("--fps" in options)
    plain, smoothed, slow = found.values()
    np.testing.assert_allclose(smoothed, smooth(plain, np.arange(30), 30), atol=1e-6)
    assert np.abs(np.diff(smoothed, 2, axis=0)).mean() < np.abs(np.diff(plain, 2, axis=0)).mean()
    assert np.array_equal(slow, plain)


def test_everybody_has_a_file_and_all_are_in_one_scene(run, pixels, tmp_path):
    """Three people; one is seen twice alone, one has no left knee: both are left out, the others are as if they were alone."""
    coco = keypoint_text.in_order(pixels, "coco")
    lame = coco + np.array([200, 0])
    lame[:, 13] = np.nan
    # Numbers as the file has them: 3 is there in all frames, 5 in the first two, 7 never with its knee, 8 from frame 10 on.
    people = {
        frame: {
            3: coco[frame],
            **({5: coco[frame] / 3} if frame < 2 else {}),
            7: lame[frame],
            **({8: coco[frame] / 2} if frame >= 10 else {}),
        }
        for frame in range(30)
    }
    entries = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "score": 2.5, "idx": number,
         "keypoints": np.concatenate([np.nan_to_num(pose), np.isfinite(pose[:, :1]) * 0.9], axis=1).ravel().tolist()}
        for frame, present in people.items() for number, pose in present.items()
    ]  # fmt: skip
    path = tmp_path / "four.json"
    path.write_text(json.dumps(entries))
    out, page = tmp_path / "poses.npz", tmp_path / "all.html"
    for options in ((), ("--trajectory", "--fov", 60)):
        process = predict_here(run, path, *SIZE, "--all_people", "--out", out, "--render", page, *options)
        assert process.returncode == 0, process.stderr
        assert re.search(r"person 5 is left out: seen in 2 frames, 5 are needed\n", process.stdout)
        assert re.search(r"person 7 is left out: never seen in 30 frames.*LKnee", process.stdout)
        assert "person 8: 20 poses, frames 10 to 29" in process.stdout
        assert sorted(file.name for file in tmp_path.glob("*.npz")) == ["poses_person3.npz", "poses_person8.npz"]
        for number, expected in ((3, pixels), (8, pixels[10:] / 2)):
            with np.load(tmp_path / f"poses_person{number}.npz") as arrays:
                poses_3d = Predictor.load(run, "cpu")(expected, (1000, 1002)).poses_3d
                np.testing.assert_allclose(arrays["poses_3d"], poses_3d, atol=1e-5)
                assert arrays["frames"].tolist() == list(range(30 - len(expected), 30))
        data = json.loads(re.search(r'type="application/json">(.*)</script>', page.read_text())[1])
        assert data["people"] == ["3", "8"]
        rows = data["panels"][0]["poses"]
        assert all(len(row) == 2 * 48 for row in rows)
        assert [row[48] is None for row in rows] == [True] * 10 + [False] * 20
        assert not any(None in row[:48] for row in rows)
        apart = [rows[20][48] - rows[20][0], rows[20][49] - rows[20][1]]  # mm, of hips on the floor
        if options:
            roots = [np.load(tmp_path / f"poses_person{n}.npz")["roots_3d"][20 - first] for n, first in ((3, 0), (8, 10))]
            np.testing.assert_allclose(apart, 1000 * (roots[1] - roots[0])[[0, 2]], atol=1.5)
        else:
            assert apart == [-1400, 0]  # side by side: person 8 is farther to the left in the picture
    process = predict_here(run, path, *SIZE, "--all_people", "--out", tmp_path / "a.npz", "--min_confidence", 0.95)
    assert_one_line(process, "nobody can be lifted", "person 3: no joint")
    renamed = path.rename(tmp_path / "a_person3.json")
    process = predict_here(run, renamed, *SIZE, "--all_people", "--out", tmp_path / "a.json")
    assert_one_line(process, "a_person3.json is the file of 2D joints itself")
    alone = predict_here(run, renamed, *SIZE, "--all_people", "--render", tmp_path / "all.png")
    assert alone.returncode == 0, alone.stderr
    with Image.open(tmp_path / "all.png") as sheet:
        assert np.asarray(sheet.convert("RGB")).std() > 10


def test_a_rendering_shows_the_poses(run, files, tmp_path):
    for ending in (".png", ".html"):
        out = tmp_path / f"picture{ending}"
        process = predict_here(run, files["d2.npz"], "--render", out, "--camera_pitch", 10)
        assert process.returncode == 0, process.stderr
        assert process.stdout.splitlines()[-1] == str(out)
    with Image.open(tmp_path / "picture.png") as sheet:
        assert np.asarray(sheet.convert("RGB")).std() > 10
    assert "Martinez" in (tmp_path / "picture.html").read_text()


def test_a_scene_stands_upright(run, pixels):
    predictor = Predictor.load(run, "cpu")
    prediction = predictor(pixels, (1000, 1002))
    clip = Clip(prediction, np.arange(30), 25.0, "h36m", "relative")
    scene = prediction_scene({1: clip}, predictor, "a file")
    assert (scene.first, scene.step) == (0, 1)
    late = prediction_scene({1: replace(clip, frames=100 + 5 * np.arange(30))}, predictor, "a file")
    assert (late.first, late.step) == (100, 5)
    smoothed = replace(prediction, poses_3d=prediction.poses_3d * 1.5)  # what is said of it stays what was said of the prediction
    shown = prediction_scene({1: replace(clip, prediction=smoothed)}, predictor, "a file").panels[0].uncertainty
    assert np.array_equal(shown[:, 0], prediction.uncertainty_mm)
    np.testing.assert_allclose(scene.panels[0].poses_3d[:, 0], upright(prediction.poses_3d.astype(float)))
    assert scene.unit == "mm"
    assert np.array_equal(scene.panels[0].uncertainty[:, 0], prediction.uncertainty_mm)
    up = np.array([0.0, -np.cos(0.2), -np.sin(0.2)])  # for a camera that looks down by 0.2
    standing = replace(prediction, poses_3d=np.tile(up, (30, 16, 1)), uncertainty_mm=None)
    predictor.lifter.checkpoint["calibration"] = None
    scene = prediction_scene({1: replace(clip, prediction=standing, camera_pitch=np.degrees(0.2))}, predictor, "a file")
    np.testing.assert_allclose(scene.panels[0].poses_3d[:, 0], np.tile([0.0, 0, 1], (30, 16, 1)), atol=1e-9)
    assert scene.unit == "%"


def test_somebody_of_several(run, pixels, tmp_path):
    coco = keypoint_text.in_order(pixels, "coco")
    people = {frame: [pose[:, ::-1] / 4, pose][: 1 + (frame < 20)] for frame, pose in enumerate(coco)}
    path = tmp_path / "two.json"
    path.write_text(keypoint_text.alphapose(people, numbers=[5, 8]))
    out = tmp_path / "out.npz"
    process = predict_here(run, path, *SIZE, "--out", out)
    assert "5 (30 frames from 0 to 29), 8 (20 frames from 0 to 19)" in process.stdout
    assert "person 5 is taken" in process.stdout
    process = predict_here(run, path, *SIZE, "--out", out, "--person", 8)
    assert "20 poses, frames 0 to 19" in process.stdout
    expected = Predictor.load(run, "cpu")(pixels[:20], (1000, 1002)).poses_3d
    np.testing.assert_allclose(np.load(out)["poses_3d"], expected, atol=1e-5)
    assert_one_line(predict_here(run, path, *SIZE, "--out", out, "--person", 6), "no person 6", "5 (30", "8 (20")


def test_joints_that_were_not_found_are_filled(run, pixels, tmp_path):
    """However they are written: NaN, (0, 0), (-1, -1), or confidence 0 in a third column."""
    coco = keypoint_text.in_order(pixels, "coco")
    lost = np.zeros(coco.shape[:2], dtype=bool)
    lost[10:20, [7, 9]] = True  # left elbow and wrist
    marked = {mark: np.where(lost[..., None], mark, coco) for mark in (np.nan, 0.0, -1.0)}
    three = np.concatenate([np.where(lost[..., None], 900.0, coco), np.where(lost, 0, 0.8)[..., None]], axis=-1)
    results = {}
    for name, keypoints in (("ok", coco), *marked.items(), ("third", three)):
        keypoint_text.prepared(tmp_path / f"{name}.npz", {"v.mp4": keypoints}, (1000, 1002))
        process = predict_here(run, tmp_path / f"{name}.npz", "--out", tmp_path / "out.npz")
        assert process.returncode == 0, process.stderr
        assert ("20 of 480 joints were not seen" in process.stdout) == (name != "ok")
        results[name] = dict(np.load(tmp_path / "out.npz"))
    for name in (0.0, -1.0, "third"):
        assert results[name]["missing"].sum() == 20
        np.testing.assert_allclose(results[name]["poses_3d"], results[np.nan]["poses_3d"], atol=1e-6)
    yolo = json.loads(keypoint_text.ultralytics({frame: [pose] for frame, pose in enumerate(marked[0.0])}))
    for frame in yolo:
        del frame[0]["keypoints"]["visible"]
    (tmp_path / "yolo.json").write_text(json.dumps(yolo))
    assert "20 of 480" in predict_here(run, tmp_path / "yolo.json", *SIZE, "--out", tmp_path / "out.npz").stdout


def test_shares_of_the_image_and_unnamed_orders_are_said(run, pixels, tmp_path):
    expected = Predictor.load(run, "cpu")(pixels, (1000, 1002))
    coco = keypoint_text.in_order(pixels, "coco")
    np.save(tmp_path / "shares.npy", coco / (1000, 1002))
    process = predict_here(run, tmp_path / "shares.npy", *SIZE, "--out", tmp_path / "out.npz")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "places from 0 to 1 are taken for shares of the image, and multiplied by its 1000 x 1002 pixels" in process.stdout
    assert "in the order coco (as eyes and ears lie; --skeleton names another)" in process.stdout
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["poses_3d"], expected.poses_3d, atol=1e-5)
    np.save(tmp_path / "h36m.npy", keypoint_text.in_order(pixels, "h36m17"))
    process = predict_here(run, tmp_path / "h36m.npy", *SIZE, "--out", tmp_path / "out.npz")
    assert_one_line(process, "h36m.npy", "17 joints: name their order", "--skeleton")


def test_a_folder_of_openpose(run, pixels, tmp_path):
    body = keypoint_text.in_order(pixels, "body25")
    folder = keypoint_text.openpose(
        tmp_path / "json", {frame: [pose] if frame != 9 else [] for frame, pose in enumerate(body)}, step=2
    )
    process = predict_here(run, folder, *SIZE, "--out", tmp_path / "out.npz")
    assert process.returncode == 0, process.stderr
    gapped = pixels.copy()
    gapped[9] = np.nan
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_allclose(arrays["poses_3d"], Predictor.load(run, "cpu")(gapped, (1000, 1002)).poses_3d, atol=1e-5)
        assert arrays["frames"].tolist() == list(range(0, 60, 2))


def test_a_number_that_everybody_has_makes_nobody_jump(run, pixels, tmp_path):
    coco = keypoint_text.in_order(pixels, "coco")
    path, out = tmp_path / "two.json", tmp_path / "out.npz"
    path.write_text(keypoint_text.alphapose({frame: [pose / 2, pose / 2 + 450] for frame, pose in enumerate(coco)}, [0, 0]))
    process = predict_here(run, path, *SIZE, "--out", out)
    assert "people are told apart by place: the number 0 is nobody's alone\n" in process.stdout
    assert "people: 1 (30 frames from 0 to 29), 2 (30 frames from 0 to 29)" in process.stdout
    np.testing.assert_allclose(np.load(out)["keypoints_2d"], pixels / 2, atol=1e-3)
    numbers = [31 if frame >= 20 else None for frame in range(30)]
    frames = [json.loads(keypoint_text.ultralytics({0: [pose]}, [number]))[0] for pose, number in zip(coco, numbers)]
    path.write_text(json.dumps(frames))
    process = predict_here(run, path, *SIZE, "--out", out)
    assert "20 detections without a number are taken for the people whose boxes they continue\n" in process.stdout
    assert np.load(out)["frames"].tolist() == list(range(30))
    assert not np.load(out)["missing"].any()


def test_every_fifth_image_keeps_its_number_and_its_time(run, pixels, tmp_path):
    coco = keypoint_text.in_order(pixels, "coco")[:20]
    path, names = tmp_path / "fifth.json", [tmp_path / f"out{ending}" for ending in (".npz", ".csv", ".bvh")]
    path.write_text(keypoint_text.alphapose({17 + 5 * i: [pose] for i, pose in enumerate(coco)}))
    process = predict_here(run, path, *SIZE, *(word for name in names for word in ("--out", name)), "--fps", 50)
    assert process.returncode == 0, process.stderr
    assert "20 poses, frames 17 to 112" in process.stdout
    assert f"{names[2]}, hip at the origin" in process.stdout
    assert "left and right bones of one length, from frame 17 of the video on\n" in process.stdout
    assert "the detector saw one frame in 5: 10 poses a second of a video of 50 frames a second (--fps)\n" in process.stdout
    with np.load(names[0]) as arrays:
        assert arrays["frames"].tolist() == list(range(17, 113, 5))
        assert arrays["fps"] == 50
        assert not arrays["missing"].any()
    assert [row["frame"] for row in csv.DictReader(names[1].open())][::16] == [str(17 + 5 * i) for i in range(20)]
    assert "Frames: 20\nFrame Time: 0.1" in names[2].read_text()
    predictor = Predictor.load(run, "cpu")
    clip = Clip(predictor(pixels[:20], (1000, 1002)), np.arange(17, 113, 5), 50.0, "h36m", "relative")
    assert prediction_scene({1: clip}, predictor, "a file").fps == 10


def test_sides_that_change_in_time_are_said_and_exchanged_back_when_asked(run, pixels, tmp_path):
    swapped = np.isin(np.arange(30), [4, 5, 6, 20])
    clip = np.where(swapped[:, None, None], pixels[:, list(MIRROR)], pixels)
    coco = keypoint_text.in_order(clip, "coco")
    path, out = tmp_path / "swapped.json", tmp_path / "out.npz"
    path.write_text(keypoint_text.mmpose({frame + 100: [pose] for frame, pose in enumerate(coco)}))
    predictor = Predictor.load(run, "cpu")
    right = predictor(pixels, (1000, 1002))
    assert not right.exchanged.any()
    for options, expected, said in (
        ((), clip, "taken as they are; --fix_swaps (fix_swaps=True) exchanges them back"),
        (("--fix_swaps",), pixels, "they are exchanged back"),
    ):
        process = predict_here(run, path, *SIZE, "--out", out, *options)
        assert process.returncode == 0, process.stderr
        assert process.stderr == (
            f"warning: left and right seem exchanged in 4 of 30 frames (104-106, 120), if most are right: {said}\n"
        )
        with np.load(out) as arrays:
            np.testing.assert_allclose(arrays["keypoints_2d"], expected, atol=1e-3)
            assert np.array_equal(arrays["exchanged"], swapped[:, None].repeat(2, axis=1))
            mended = np.allclose(arrays["poses_3d"], right.poses_3d, atol=1e-5)
            assert mended == bool(options)
    path.write_text(keypoint_text.mmpose({frame: [pose] for frame, pose in enumerate(keypoint_text.in_order(pixels, "coco"))}))
    process = predict_here(run, path, *SIZE, "--out", out, "--fix_swaps")
    assert process.stderr == ""
    assert "--fix_swaps: none found\n" in process.stdout
    process = predict_here(run, path, *SIZE, "--out", out, "--fix_swaps", "--fps", 5)
    assert "--fix_swaps: not looked for in 5 poses a second, where a quick turn looks the same\n" in process.stdout


def test_bad_input_is_one_line(run, converter, files, pixels, tmp_path, monkeypatch):
    path, out = files["mmpose.json"], ("--out", tmp_path / "bad.npz")
    assert_one_line(predict_here(run, path, *out), "mmpose.json", "--image_size")
    assert_one_line(predict_here(run, path, *out, "--image_size", 50, 50), "mmpose.json", "outside the image")
    assert_one_line(predict_here(run, path, *out, *SIZE, "--skeleton", "body25"), "'body25' has 25 joints, the keypoints have 17")
    assert_one_line(
        predict_here(run, path, *out, *SIZE, "--min_confidence", 0.95), "no joint is seen", "0.95", "--min_confidence"
    )
    assert_one_line(predict_here(run, path, *SIZE), "--out")
    assert_one_line(predict_here(run, path, *SIZE, "--out", tmp_path / "a.fbx"), "a.fbx", ".bvh")
    assert_one_line(predict_here(run, path, *SIZE, "--out", tmp_path / "none" / "a.npz"), "none does not exist")
    assert_one_line(predict_here(run, path, *SIZE, "--out", path), "mmpose.json is the file of 2D joints itself")
    assert_one_line(predict_here(run, path, *SIZE, *out, "--fps", 0), "--fps 0")
    assert_one_line(predict_here(run, path, *SIZE, "--render", tmp_path / "a.avi"), "a.avi", ".gif")
    assert_one_line(predict_here(run, path, *SIZE, *out, "--camera_pitch", 3), "--camera_pitch")
    assert_one_line(predict_here(run, path, *SIZE, "--out", tmp_path / "bad.trc", "--camera_roll", 181), "--camera_roll 181")
    assert_one_line(predict_here(run, path, *SIZE, *out, "--camera_roll", 3), "--camera_roll", ".trc")
    for lens in (("--fov", 60), ("--focal_length", 1000)):
        assert_one_line(predict_here(run, path, *SIZE, *out, *lens), lens[0], "--trajectory", "--align canonical")
    lens = ("--trajectory", "--fov", 60, "--focal_length", 1000)
    assert_one_line(predict_here(run, path, *SIZE, *out, *lens), "mmpose.json", "give one of them")
    assert_one_line(predict_here(run, path, *SIZE, *out, "--trajectory", "--fov", 160), "fov 160", "5 to 150 degrees")
    assert_one_line(predict_here(run, path, *SIZE, *out, "--all_people", "--person", 1), "--all_people", "--person")
    process = run_here(
        "predict.py", "--checkpoint", run, "--export", tmp_path / "m.onnx", "--all_people", "--smooth", "--fov", 60
    )
    assert_one_line(process, "--fov, --all_people, --smooth changes nothing")
    assert_one_line(predict_here(run, tmp_path / "no.json", *SIZE, *out), "no.json does not exist")
    (tmp_path / "other.txt").write_text("x, y\n1, 2\n")
    assert_one_line(predict_here(run, tmp_path / "other.txt", *SIZE, *out), "other.txt", "known are", "AlphaPose")
    (tmp_path / "empty.json").write_text("[]")
    assert_one_line(predict_here(run, tmp_path / "empty.json", *SIZE, *out), "empty.json", "no person")
    nowhere = {0: [np.full((17, 2), np.nan)]}
    (tmp_path / "nan.json").write_text(keypoint_text.mmpose(nowhere))
    assert_one_line(predict_here(run, tmp_path / "nan.json", *SIZE, *out), "nan.json", "nobody")
    coco = keypoint_text.in_order(pixels, "coco")
    coco[:, 13] = np.nan
    (tmp_path / "knee.json").write_text(keypoint_text.mmpose({i: [pose] for i, pose in enumerate(coco)}))
    assert_one_line(predict_here(run, tmp_path / "knee.json", *SIZE, *out), "knee.json", "LKnee")
    assert_one_line(predict_here(converter, path, *SIZE, *out), "conversion", "no lifting network")
    (tmp_path / "other.pth.tar").write_bytes(b"PK")
    assert_one_line(predict_here(tmp_path / "other.pth.tar", path, *SIZE, *out), "other.pth.tar cannot be read")
    assert_one_line(run_here("predict.py", "--checkpoint", run, "--export", tmp_path / "m.pt"), "m.pt", ".onnx")
    assert_one_line(predict_here(run, path, "--export", tmp_path / "m.onnx"), "--export", "KEYPOINTS")
    assert_one_line(run_here("predict.py", "--checkpoint", run, "--export", tmp_path / "m.onnx", "--fps", 5), "--fps")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    process = run_here("predict.py", "--checkpoint", run, "--export", tmp_path / "m.onnx")
    assert_one_line(process, "pip install onnx onnxscript")
    assert not list(tmp_path.glob("bad*"))
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize("lifter", ["martinez", "semgcn alone", pytest.param("semgcn non_local", marks=pytest.mark.campaign)])
def test_onnx_gives_the_same_numbers(run, lifter, pixels, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    import torch

    from common.geometry.skeleton import PARENTS
    from common.training.networks import uncertainty_description
    from models import build
    from models.sem_gcn import skeleton_adjacency

    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    if lifter.startswith("semgcn"):
        torch.manual_seed(0)
        description = {"name": "semgcn", "adjacency": skeleton_adjacency(PARENTS).tolist(), "hid_dim": 8, "num_layers": 1}
        description |= {"dropout": None, "non_local": "non_local" in lifter}
        networks = {"lifter": description}
        if lifter != "semgcn alone":
            networks["uncertainty"] = uncertainty_description(description, "nll")
        built = {role: build(sizes) for role, sizes in networks.items()}
        for network in built.values():
            for parameter in network.parameters():  # as after training: nothing is 0 or 1
                torch.nn.init.normal_(parameter, std=0.3)
        checkpoint |= {"networks": networks, "weights": {role: network.state_dict() for role, network in built.items()}}
        checkpoint["calibration"] = None
    save_checkpoint(tmp_path / "checkpoint.pth.tar", checkpoint)
    predictor = Predictor.load(tmp_path / "checkpoint.pth.tar", "cpu")
    process = run_here("predict.py", "--checkpoint", predictor.lifter.file, "--export", tmp_path / "model.onnx")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert len(process.stdout.splitlines()) == 1, process.stdout

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["joints"]) == list(JOINT_NAMES)
    screen = (pixels / 1000 * 2 - np.array([1, 1.002])).astype(np.float32)
    for count in (1, 2, 30):
        expected = predictor(pixels[:count], (1000, 1002))
        outputs = session.run(None, {"inputs_2d": screen[:count]})
        assert len(outputs) == (1 if lifter == "semgcn alone" else 2)
        assert expected.poses_3d.std() > 1e-3
        np.testing.assert_allclose(outputs[0], expected.poses_3d, atol=1e-5)
        if len(outputs) == 2:
            np.testing.assert_allclose(outputs[1], expected.uncertainty, rtol=1e-5, atol=1e-5)
