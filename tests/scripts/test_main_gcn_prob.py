"""`main_gcn_prob.py` as its users run it; what it shares with `main_prob.py` is tested there."""

import csv
import json

import pytest

from common.training.checkpoint import load_checkpoint
from tests.conftest import run_script
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    attempt,
    only_run,
    run_here,
    trained,
)

SCRIPT = "main_gcn_prob.py"
TINY = (*QUICK, "--hid_dim", 16, "--num_layers", 1, "--limit_batches", 20)


@pytest.fixture(scope="module")
def finished(demo, tmp_path_factory):
    """(run folder, process) of three epochs with non-local layers."""
    folder = tmp_path_factory.mktemp("gcn")
    options = ("--non_local", "--epochs", 3, "--snapshot", 2)
    return trained(folder, run_script(SCRIPT, "--data_dir", demo, "--checkpoint", folder, *TINY, *options))


def test_a_run_leaves_what_it_promises(finished):
    run, process = finished
    assert {path.name for path in run.iterdir()} == {
        "ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_2.pth.tar", "config.json", "log.csv", "curves.png", "results.json",
    }  # fmt: skip
    rows = list(csv.DictReader((run / "log.csv").open()))
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    assert float(rows[2]["val_mpjpe_mm"]) < float(rows[0]["val_mpjpe_mm"])
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["experiment"] == "gcn_prob"
    assert set(checkpoint["weights"]) == {"lifter", "uncertainty"}
    lifter = checkpoint["networks"]["lifter"]
    assert {key: lifter[key] for key in ("name", "hid_dim", "num_layers", "non_local", "dropout")} == {
        "name": "semgcn", "hid_dim": 16, "num_layers": 1, "non_local": True, "dropout": None,
    }  # fmt: skip
    assert checkpoint["networks"]["uncertainty"]["feature_size"] == 16 * 16
    results = json.loads((run / "results.json").read_text())
    assert results["per_joint_mpjpe"]["Hip"] == 0
    assert "h36m: semgcn + uncertainty" in process.stdout


def test_resuming_a_snapshot_ends_in_the_same_bits(finished, tmp_path):
    assert_resumes_to_the_same_bits(SCRIPT, finished[0], "snapshot_epoch_2.pth.tar", tmp_path)


def test_evaluate_needs_no_options(finished, tmp_path):
    moved = tmp_path / "moved.pth.tar"
    moved.write_bytes((finished[0] / "ckpt_best.pth.tar").read_bytes())
    process = run_here(SCRIPT, "--evaluate", moved)
    assert process.returncode == 0, process.stderr
    again = json.loads((tmp_path / "results_moved_gt.json").read_text())
    results = json.loads((finished[0] / "results.json").read_text())
    assert again["average"] == pytest.approx(results["average"], rel=1e-5)


def test_a_gaussian_estimator_comes_back_from_the_file_alone(demo, tmp_path):
    """It trains, goes on to the same bits and is evaluated without naming the option; another estimator cannot be made of it."""
    options = ("--uncertainty_loss", "nll", "--epochs", 2, "--snapshot", 1)
    process = run_here(SCRIPT, "--data_dir", demo, "--checkpoint", tmp_path / "nll", *TINY, *options)
    run, _ = trained(tmp_path / "nll", process)
    assert "semgcn + uncertainty (nll)" in process.stdout
    assert "negative log-likelihood" in process.stdout
    checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
    assert checkpoint["networks"]["uncertainty"]["name"] == "gaussian"
    assert checkpoint["calibration"]["unit"] == "metres"
    losses = [row["uncertainty_loss"] for row in checkpoint["training"]["history"]]
    assert losses[1] < losses[0]
    assert_resumes_to_the_same_bits(SCRIPT, run, "snapshot_epoch_1.pth.tar", tmp_path)
    again = run_here(SCRIPT, "--evaluate", run)
    lines = [line for line in process.stdout.splitlines() if "negative log-likelihood" in line]
    assert lines[0] in again.stdout
    judged = json.loads((run / "results.json").read_text())["uncertainty"]
    assert set(judged) == {"true_mm", "expected_mm", "l1_mm", "nll"}
    refused = run_here(SCRIPT, "--evaluate", run, "--uncertainty_loss", "relative")
    assert_one_line(refused, "--uncertainty_loss relative differs")


def test_the_uncertaintys_weight_is_an_option(demo, tmp_path):
    process = run_here(SCRIPT, "--data_dir", demo, "--checkpoint", tmp_path, *TINY, "--uncertainty_weight", 2, "--dropout", 0.1)
    assert process.returncode == 0, process.stderr
    checkpoint = load_checkpoint(only_run(tmp_path) / "ckpt_last.pth.tar")
    row = checkpoint["training"]["history"][0]
    assert row["loss"] == pytest.approx(row["pose_loss"] + 2 * row["uncertainty_loss"], rel=1e-5)
    assert checkpoint["networks"]["lifter"]["dropout"] == 0.1


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_of_the_other_network(finished, demo, tmp_path, option):
    process = attempt(tmp_path, "main_prob.py", "--data_dir", demo, option, finished[0])
    assert_one_line(process, "experiment 'gcn_prob'", "'semgcn'", "experiment 'prob'", "'martinez'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num_layers", "-1"], ["--num_layers -1"]),
        (["--hid_dim", "0"], ["--hid_dim 0"]),
        (["--dropout", "1"], ["--dropout 1.0"]),
        (["--uncertainty_weight", "inf"], ["--uncertainty_weight inf"]),
    ],
)
def test_values_that_cannot_be_meant(demo, tmp_path, arguments, words):
    assert_one_line(attempt(tmp_path, SCRIPT, "--data_dir", demo, *arguments), *words)


def test_missing_data_names_the_command_that_makes_it(tmp_path):
    assert_one_line(attempt(tmp_path, SCRIPT, "--data_dir", tmp_path), "does not exist", "prepare_data_h36m.py")
