"""`--select last`: nothing is held out, the last epoch is kept and reported, and everything says so."""

import csv
import json

import pytest

from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m
from common.datasets.surreal import load_surreal
from common.training.checkpoint import load_checkpoint
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    only_run,
    run_here,
)

NAME = "last epoch, nothing held out"
LAST = ("--select", "last", *QUICK, "--epochs", 2)


@pytest.fixture(scope="module")
def run(demo, tmp_path_factory):
    out = tmp_path_factory.mktemp("last")
    process = run_here("main_prob.py", "--data_dir", demo, "--checkpoint", out, *LAST, "--snapshot", 1, curves=True)
    assert process.returncode == 0, process.stderr
    return only_run(out), process


def test_all_clips_of_the_training_subjects_train(run, demo):
    folder, process = run
    everything = len(load_h36m(demo, subjects=TRAIN_SUBJECTS, downsample=3))
    assert f"train {everything:,}, validation 0" in process.stdout
    assert json.loads((folder / "config.json").read_text())["poses"] == {"train": everything, "validation": 0}


def test_the_last_epoch_is_kept_and_named(run):
    folder, process = run
    assert_same_bits(folder / "ckpt_best.pth.tar", folder / "ckpt_last.pth.tar")
    checkpoint = load_checkpoint(folder / "ckpt_best.pth.tar")
    assert (checkpoint["selection"], checkpoint["training"]["epoch"], checkpoint["calibration"]) == (NAME, 2, None)
    assert f"epoch 2 (selection: {NAME})" in process.stdout
    assert json.loads((folder / "results.json").read_text())["selection"] == NAME
    assert "validation " not in process.stdout.split("run folder")[1].split("\n\n")[0]


def test_its_log_has_training_errors_alone(run):
    with open(run[0] / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["train_mpjpe_mm"]) > 0 for row in rows] == [True, True]
    assert "val_mpjpe_mm" not in rows[0]
    assert (run[0] / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_it_resumes_to_the_same_bits(run, tmp_path):
    assert_resumes_to_the_same_bits("main_prob.py", run[0], "snapshot_epoch_1.pth.tar", tmp_path)


def test_what_needs_held_out_clips_says_that_there_are_none(run, demo, tmp_path):
    folder, _ = run
    assert_one_line(run_here("plots.py", folder, "--kind", "curves", "--out", tmp_path / "p"), "--select last", "log.csv")
    judged = run_here("evaluate.py", folder, "--on", "h36m", "--data_dir", demo, "--uncertainty", "--out", tmp_path / "u")
    assert_one_line(judged, "--select last", "calibration")


def test_tables_name_the_selection(run, demo, tmp_path):
    process = run_here("evaluate.py", run[0], "--on", "h36m", "--data_dir", demo, "--downsample", 8, "--out", tmp_path / "t")
    assert process.returncode == 0, process.stderr
    with open(tmp_path / "t.csv") as file:
        assert [row["selection"] for row in csv.DictReader(file)] == [NAME]


def test_it_is_the_checkpoint_s(run, demo):
    process = run_here("main_prob.py", "--evaluate", run[0], "--data_dir", demo, "--select", "source")
    assert_one_line(process, "--select source", "trained with last")


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("train_surreal.py", ("--no_dua",)),
        ("train_surreal.py", ("--dua", "--no_converter", "--augment")),
        ("train_h36m_dan.py", ("--no_converter", "--align", "gpa")),
    ],
)
def test_every_training_script_has_it(demo, tmp_path, script, options):
    process = run_here(script, "--data_dir", demo, "--checkpoint", tmp_path / "out", *LAST, *options)
    assert process.returncode == 0, process.stderr
    assert f"selection: {NAME}" in process.stdout
    sizes = json.loads((only_run(tmp_path / "out") / "config.json").read_text())["poses"]
    whole = load_surreal(demo, "train", downsample=3) if script == "train_surreal.py" else load_h36m(demo, downsample=3)
    assert sizes.get("train", sizes.get("source_train")) == len(whole)
    assert sizes.get("validation", sizes.get("source_validation")) == 0


def test_a_converter_without_held_out_pairs_is_judged_on_its_own(demo, tmp_path):
    options = ("--data_dir", demo, "--checkpoint", tmp_path / "out", "--device", "cpu", "--epochs", 1, "--batch_size", 256)
    process = run_here("conversion.py", *options, "--downsample", 3, "--select", "last")
    assert process.returncode == 0, process.stderr
    assert "on the training pairs (--select last: none is held out)" in process.stdout


def test_in_domain_there_is_no_target_to_select_by(demo, tmp_path):
    process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--select", "target", "--data_dir", demo, *QUICK)
    assert_one_line(process, "--select target", "of no use in domain")
