"""train_open.py, as its user runs it."""

import json
import re

import pytest
import torch

from common.prediction.predictor import Predictor
from common.training.checkpoint import BEST, LAST, load_checkpoint
from common.training.open_weights import write_open_weights
from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import assert_one_line, run_here


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    process = run_script("data/prepare_data_people.py", ROOT / "data/demo/motion.h5", "--bodies", 1, "--out", out)
    assert process.returncode == 0, process.stderr
    assert "train        1 people    13 clips" in process.stdout
    return out


SMALL = ("--epochs", 4, "--limit_batches", 3, "--batch_size", 64, "--hid_dim", 16, "--device", "cpu")


def trained(people, out, *options, run=run_here):
    process = run("train_open.py", "--data_dir", people, "--checkpoint", out, *SMALL, *options)
    assert process.returncode == 0, process.stderr
    return next(path for path in out.iterdir() if path.is_dir()), process.stdout


def test_it_trains_tests_and_says_on_what(people, tmp_path):
    run, said = trained(people, tmp_path, "--test_dirs", people, run=run_script)
    assert "people are seen anew: any cameras, joints of detector, noise 0.3" in said
    results = json.loads((run / "results.json").read_text())
    assert results["keypoints"] == "detector"
    assert results["test"] == "held-out people, any camera"
    assert list(results["also"]) == [
        "held-out people, any camera, lens unknown",
        f"{people.name}, any camera",
        f"{people.name}, any camera, lens unknown",
    ]
    checkpoint = load_checkpoint(run / BEST)
    assert set(checkpoint["networks"]) == {"lifter", "uncertainty", "to_detector"}
    assert checkpoint["calibration"]["poses"] > 0
    predictor = Predictor.load(run, "cpu")
    poses = torch.randn(9, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    converter = predictor.lifter.networks["to_detector"]
    with torch.no_grad():
        exact, predicted = (converter.convert(poses, predicted=of) for of in (False, True))
    assert (predictor.to_detector(poses.numpy()) == predicted.numpy()).all()
    assert (exact - predicted).abs().max() > 0.01
    again = run_here("train_open.py", "--evaluate", tmp_path)
    assert again.returncode == 0, again.stderr
    assert "MPJPE by joint" in again.stdout
    assert (
        said.split("test: held-out people, any camera\n")[1][:300]
        == again.stdout.split("test: held-out people, any camera\n")[1][:300]
    )


def test_a_test_is_as_it_is_and_a_run_goes_on_with_its_own_people(people, tmp_path):
    run, _ = trained(people, tmp_path, "--epochs", 1)
    process = run_here("train_open.py", "--evaluate", run, "--keypoints", "gt", "--roll", 5)
    assert_one_line(process, "--keypoints, --roll: of training", "leave it out")
    config = json.loads((run / "config.json").read_text())
    config["poses"]["train"] += 1
    (run / "config.json").write_text(json.dumps(config))
    before = (run / LAST).read_bytes()
    process = run_here("train_open.py", "--resume", run)
    assert_one_line(process, f"it began with {config['poses']['train']:,} poses (train)", "name its own with --data_dir")
    assert (run / LAST).read_bytes() == before


def test_two_tests_of_one_name_are_refused(people):
    process = run_here("train_open.py", "--data_dir", people, "--test_dirs", people, people)
    assert_one_line(process, "--test_dirs", f"'{people.name}'", "rename")


def test_the_lenses_that_were_seen_are_those_of_the_cameras_that_were_drawn(people, tmp_path):
    for cameras, expected in (
        ("any", (1.0, 5.638)),
        ("h36m", (2.290, 2.299)),
    ):  # 90 degrees of 1, 35 of 16/9; the calibrated ones
        run, _ = trained(people, tmp_path / cameras, "--cameras", cameras, "--epochs", 1)
        assert load_checkpoint(run / BEST)["trained_range"]["focal_length"] == pytest.approx(expected, abs=1e-3)


def test_a_run_that_goes_on_is_the_run_that_was_not_stopped(people, tmp_path):
    whole, _ = trained(people, tmp_path / "whole", "--snapshot", 2)
    one = load_checkpoint(whole / LAST)
    (whole / LAST).unlink()
    process = run_here("train_open.py", "--resume", whole / "snapshot_epoch_2.pth.tar")
    assert process.returncode == 0, process.stderr
    two = load_checkpoint(whole / LAST)
    assert two["training"]["step"] == one["training"]["step"] == 12
    for role, state in one["weights"].items():
        assert all(torch.equal(two["weights"][role][name], tensor) for name, tensor in state.items())


def test_the_last_epoch_is_kept_without_a_look_at_the_held_out_and_tests_are_called_what_they_are(people, tmp_path):
    run, said = trained(people, tmp_path, "--select", "last", "--keypoints", "gt")
    checkpoint = load_checkpoint(run / BEST)
    assert (checkpoint["training"]["epoch"], checkpoint["calibration"]) == (4, None)
    assert checkpoint["selection"] == "last epoch, nothing held out"
    assert "validation " not in said.split("run folder")[1].split("test:")[0]
    assert (
        json.loads((run / "results.json").read_text())["keypoints"] == "detector"
    )  # trained on exact 2D, tested as people are seen


def test_weights_that_were_passed_on_are_tested_and_not_trained_on(people, tmp_path):
    run, said = trained(people, tmp_path)
    packed = tmp_path / "packed.safetensors"
    write_open_weights(packed, load_checkpoint(run / BEST))
    process = run_here("train_open.py", "--resume", packed)
    assert process.returncode == 2
    assert "holds weights alone" in process.stderr
    process = run_here("train_open.py", "--evaluate", packed)
    assert process.returncode == 0, process.stderr
    errors = [float(re.findall(r"average of actions +([\d.]+)", text)[0]) for text in (said, process.stdout)]
    assert abs(errors[0] - errors[1]) < 0.1 * errors[0] / 100  # mm; float16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--keypoints", "cpn_ft_h36m_dbb"), "--keypoints cpn_ft_h36m_dbb: 'detector' or 'gt'"),
        (("--roll", "-3"), "--roll -3"),
        (("--actions", "Walking", "--downsample", "5"), "--actions, --downsample: of no use to train_open.py"),
        (("--data_dir", "tests"), "people.npz does not exist; make it with: python data/prepare_data_people.py"),
    ],
)
def test_bad_options_end_in_one_line(people, options, said):
    process = run_here("train_open.py", "--data_dir", people, *options)
    assert process.returncode == 2
    assert said in process.stderr
    assert "Traceback" not in process.stderr
