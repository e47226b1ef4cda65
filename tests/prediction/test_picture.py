"""Pictures and lenses that no camera has are refused, those that few have are asked about."""

import re

import numpy as np
import pytest
import torch

from common.datasets.h36m import load_h36m
from common.errors import DuaError
from common.geometry.camera import image_coordinates
from common.predictor import Predictor
from common.training.checkpoint import load_checkpoint, save_checkpoint
from tests.helpers.script_tools import QUICK, assert_same_bits, run_here, trained


@pytest.fixture(scope="module")
def run(quick_run):
    return quick_run


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.load(run, "cpu")


@pytest.fixture(scope="module")
def clip(demo):
    """(T, 16, 2) pixels of 1000 x 1002, and (T, 16, 3) the same people five metres before a camera."""
    poses = load_h36m(demo, "gt", ("S9",))
    sequence = poses.sequences[0]
    rows = slice(sequence.start, sequence.stop)
    return image_coordinates(poses.inputs_2d[rows].double().numpy(), *sequence.resolution), poses.targets_3d[rows].numpy()


def somebody(low, high, size):
    """(8, 16, 2) joints of somebody between two corners."""
    joints = np.random.default_rng(0).uniform(low, high, (8, 16, 2))
    assert (joints < size).all()
    return joints


def said(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]


def test_sides_that_are_exchanged(predictor, capsys):
    right = somebody((800, 200), (1100, 700), (1280, 720))
    assert len(predictor(right, (1280, 720))) == 8
    with pytest.raises(
        DuaError, match=r"100% of the joints lie outside a picture of 720 x 1280.*0% outside one of 1280 x 720.*exchanged"
    ):
        predictor(right, (720, 1280))
    upright = somebody((200, 800), (700, 1100), (720, 1280))
    with pytest.raises(DuaError, match="width and height are exchanged"):
        predictor(upright, (1280, 720))
    said(capsys)
    at_the_edge = somebody((300, 200), (760, 700), (1280, 720))  # a tenth of the joints beyond 720
    predictor(at_the_edge, (720, 1280))
    assert any("exchanged" in line and line.endswith("?") for line in said(capsys))
    leaving = somebody((500, 300), (760, 1200), (1280, 1280))  # as many, of somebody who walks out of an upright picture
    predictor(leaving, (720, 1280))
    assert not any("exchanged" in line and line.endswith("?") for line in said(capsys))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((1280, 100), "1280 x 100 is a strip"),
        ((100, 1280), "100 x 1280 is a strip"),
        ((200_000, 150_000), "people are [0-9]+ pixels long in a picture of 200000 x 150000"),
    ],
)
def test_sizes_that_are_absurd(predictor, clip, size, words):
    pixels = clip[0] * 0.09 if min(size) == 100 else clip[0]
    with pytest.raises(DuaError, match=words):
        predictor(pixels, size)


def test_lenses(run, predictor, clip, tmp_path, capsys):
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    save_checkpoint(tmp_path / "turned", checkpoint | {"arguments": checkpoint["arguments"] | {"align": ["canonical"]}})
    turned = Predictor.load(tmp_path / "turned", "cpu")
    pixels = clip[0]
    for focal_length, degrees in ((1, "180"), (26, "174"), (10**6, "0.0573")):
        for network in (turned, predictor):
            with pytest.raises(
                DuaError,
                match=rf"{re.escape(f'{focal_length:g}')} pixels sees {degrees} degrees of a picture 1000 pixels wide.*36 mm",
            ):
                network(pixels, (1000, 1002), focal_length=focal_length)
    said(capsys)
    turned(pixels, (1000, 1002), focal_length=1148)
    assert said(capsys) == []
    turned(pixels, (1000, 1002), focal_length=250)
    assert re.search("250 pixels sees 127 degrees", said(capsys)[0])


# --- what the network was trained on ------------------------------------------------------------------------------------


def test_the_data_sets_own_view_is_like_it(predictor, clip, capsys):
    predictor(clip[0], (1000, 1002), focal_length=1147)
    assert said(capsys) == []


def test_a_crop_another_size_and_a_phone_are_unlike_it(run, predictor, clip, capsys):
    pixels, poses_3d = clip
    predictor(pixels, (2000, 2004))
    (line,) = said(capsys)
    assert str(run) in line
    assert "hips are off the picture's middle" in line
    low, high = pixels.min(axis=(0, 1)) - 10, pixels.max(axis=(0, 1)) + 10
    predictor(pixels - low, tuple((high - low).astype(int)))
    (line,) = said(capsys)
    assert re.search(r"people are \d+ % of the picture's width long, in training \d+ to \d+ %: [\d.]+ times the largest", line)
    points = poses_3d + np.array([0, 0, 2.5])
    phone = points[..., :2] / points[..., 2:] * 1000 + (360, 640)
    predictor(phone, (720, 1280), focal_length=1000)
    (line,) = said(capsys)
    assert "times the largest" in line
    assert "the focal length is 1.39 times the picture's width, in training 1.15" in line


def test_older_checkpoints_say_nothing(run, clip, tmp_path, capsys):
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    del checkpoint["trained_range"]
    save_checkpoint(tmp_path / "old", checkpoint)
    Predictor.load(tmp_path / "old", "cpu")(clip[0], (2000, 2004))
    assert said(capsys) == []


def test_scripts_say_it(run, demo, clip, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        positions_2d=np.array({"clip": {"custom": [clip[0]]}}, dtype=object),
        metadata=np.array({"layout_name": "h36m", "num_joints": 16}, dtype=object),
    )
    for size, lines in (((1000, 1002), 0), ((2000, 2004), 1)):
        options = ("--image_size", *size, "--out", tmp_path / "o.npz", "--device", "cpu")
        process = run_here("predict.py", tmp_path / "a.npz", "--checkpoint", run, *options)
        assert process.returncode == 0, process.stderr
        assert process.stderr.count("is unlike what") == lines, process.stderr
    who = ("--data_dir", demo, "--evaluate", run, "--viz_limit", 3, "--viz_output", tmp_path / "a.png", "--device", "cpu")
    process = run_here("viz.py", *who, "--viz_subject", "S9", "--viz_action", "Run")
    assert process.returncode == 0, process.stderr
    assert "is unlike what" not in process.stderr
    process = run_here("viz.py", *who, "--dataset", "surreal", "--viz_action", "Run")
    assert process.returncode == 0, process.stderr
    assert re.search(r"warning: SURREAL .* is unlike what .*the focal length is 1.88 times the picture's width", process.stderr)


def test_measuring_changes_no_bit_of_a_training(run, demo, tmp_path, monkeypatch):
    """The same run, whose range is not measured but given."""
    monkeypatch.setattr("common.training.trained_range.TrainedRange.of", lambda *_: Given())
    other, _ = trained(tmp_path / "runs", run_here("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path / "runs", *QUICK))
    assert load_checkpoint(other / "ckpt_best.pth.tar")["trained_range"] == {"size": [0, 9]}
    assert_same_bits(run / "ckpt_last.pth.tar", other / "ckpt_last.pth.tar")
    first, second = (load_checkpoint(folder / "ckpt_last.pth.tar")["training"]["random"] for folder in (run, other))
    assert torch.equal(first["cpu"], second["cpu"])


class Given:
    def to_dict(self):
        return {"size": [0, 9]}


def test_a_run_that_goes_on_keeps_what_it_began_with(run, tmp_path):
    checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
    kept = {**checkpoint["trained_range"], "size": [0.125, 0.25]}
    (tmp_path / "copy").mkdir()
    save_checkpoint(tmp_path / "copy" / "ckpt_last.pth.tar", checkpoint | {"trained_range": kept})
    process = run_here("main_prob.py", "--resume", tmp_path / "copy", "--epochs", 2)
    assert process.returncode == 0, process.stderr
    assert load_checkpoint(tmp_path / "copy" / "ckpt_last.pth.tar")["trained_range"] == kept
