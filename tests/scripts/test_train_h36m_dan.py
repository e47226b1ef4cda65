"""`train_h36m_dan.py`: DUA from Human3.6M to SURREAL, raw and converted labels, and that no target label shapes what is learnt."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest
import torch

from common.adaptation.converter import convert_labels
from common.datasets.surreal import load_surreal
from common.evaluation.evaluate import evaluate
from common.training.checkpoint import load_checkpoint, rebuild_networks
from tests.conftest import run_script
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    copy_data,
    only_run,
    run_here,
    start,
    trained,
    wait_for,
)

SCRIPT = "train_h36m_dan.py"
CONVERTED, RAW = "surreal, labels converted to h36m", "surreal, raw labels"


def adapt(demo, converter, folder, *arguments, run=run_here):
    """A short run; (run folder, process)."""
    named = () if "--no_converter" in arguments else ("--converter", converter)
    process = run(SCRIPT, "--data_dir", demo, *named, "--checkpoint", folder, *QUICK, *arguments)
    return trained(folder, process)


@pytest.fixture(scope="module")
def finished(demo, converter, tmp_path_factory):
    """(run folder, process) of three epochs with all modules."""
    return adapt(demo, converter, tmp_path_factory.mktemp("h36_dua"), "--epochs", 3, "--snapshot", 2, run=run_script)


def results_of(run):
    return json.loads((run / "results.json").read_text())


def change_surreal(demo, folder, change, split="train"):
    """A data folder as the demo's, in which `change` has worked on an open surreal_{split}.h5."""
    name = f"surreal_{split}.h5"
    copy_data(demo, folder, name)
    shutil.copy(demo / name, folder)
    with h5py.File(folder / name, "r+") as file:
        change(file)
    return folder


def test_a_run_leaves_what_it_promises(finished, demo):
    run, process = finished
    assert {path.name for path in run.iterdir()} == {
        "ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_2.pth.tar", "config.json", "log.csv", "curves.png", "results.json",
    }  # fmt: skip
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["experiment"] == "h36m_dua"
    assert set(checkpoint["weights"]) == {"lifter", "uncertainty", "domain", "converter"}
    assert (checkpoint["source"], checkpoint["target"]) == ("h36m", "surreal")
    assert checkpoint["skeleton"]["definition"] == "h36m"
    assert all(0 <= float(row["domain_accuracy"]) <= 1 for row in csv.DictReader((run / "log.csv").open()))
    results = results_of(run)
    assert results["test"] == CONVERTED
    assert list(results["also"]) == [RAW]
    assert f"test: {CONVERTED}" in process.stdout
    assert f"test: {RAW}" in process.stdout
    assert results["selection"] == "source validation"


def test_both_errors_are_what_they_are_called(finished, demo):
    """Counted again: the network against SURREAL's labels as they are, and against the same through the converter."""
    run, _ = finished
    networks = rebuild_networks(load_checkpoint(run / "ckpt_best.pth.tar"), run)
    raw = load_surreal(demo, "test", downsample=3)
    results = results_of(run)
    expected = {RAW: raw, CONVERTED: convert_labels(raw, networks["converter"])}
    found = {RAW: results["also"][RAW], CONVERTED: results}
    for name, poses in expected.items():
        average = evaluate(networks, poses, torch.device("cpu"), "target").average
        assert found[name]["average"] == pytest.approx(average, rel=1e-5)
    assert found[RAW]["average"]["mpjpe"] != pytest.approx(found[CONVERTED]["average"]["mpjpe"], rel=1e-3)


def test_resuming_a_snapshot_ends_in_the_same_bits(finished, tmp_path):
    assert_resumes_to_the_same_bits(SCRIPT, finished[0], "snapshot_epoch_2.pth.tar", tmp_path)


def test_a_snapshot_that_is_never_bettered_is_reported_all_the_same(finished, tmp_path):
    """Resumed outside its run, where the best epoch's checkpoint is not."""
    checkpoint = load_checkpoint(finished[0] / "snapshot_epoch_2.pth.tar")
    checkpoint["training"]["best"] = 0.0
    torch.save(checkpoint, tmp_path / "snapshot.pth.tar")
    process = run_here(SCRIPT, "--resume", tmp_path / "snapshot.pth.tar")
    assert process.returncode == 0, process.stderr
    assert "has no ckpt_best.pth.tar" in process.stdout
    assert results_of(tmp_path)["epoch"] == 3


@pytest.mark.campaign
def test_kill_9_loses_no_result(finished, demo, converter, tmp_path):
    process = start(
        SCRIPT, "--data_dir", demo, "--converter", converter, "--checkpoint", tmp_path, *QUICK, "--epochs", 3, "--snapshot", 2
    )
    wait_for(lambda: list(tmp_path.glob("*/ckpt_last.pth.tar")) or process.poll() is not None)
    process.kill()
    process.communicate()
    folder = only_run(tmp_path)
    resumed = run_here(SCRIPT, "--resume", folder)
    if resumed.returncode == 2:  # it had finished before it was killed
        assert "has done 3 epochs" in resumed.stderr
    assert_same_bits(finished[0] / "ckpt_last.pth.tar", folder / "ckpt_last.pth.tar")


def test_evaluate_needs_no_options(finished, tmp_path):
    run, _ = finished
    moved = tmp_path / "moved.pth.tar"
    moved.write_bytes((run / "ckpt_best.pth.tar").read_bytes())
    process = run_here(SCRIPT, "--evaluate", moved)
    assert process.returncode == 0, process.stderr
    again, results = json.loads((tmp_path / "results_moved_gt.json").read_text()), results_of(run)
    assert again["average"] == pytest.approx(results["average"], rel=1e-5)
    assert again["also"][RAW]["average"] == pytest.approx(results["also"][RAW]["average"], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "roles", "tests"),
    [
        (["--no_converter"], {"uncertainty", "domain"}, [RAW]),
        (["--no_uncertainty"], {"domain", "converter"}, [CONVERTED, RAW]),
        (["--no_domain"], {"uncertainty", "converter"}, [CONVERTED, RAW]),
        (["--no_converter", "--no_uncertainty", "--no_domain"], set(), [RAW]),
    ],
)
def test_each_module_switches_off_by_itself(demo, converter, tmp_path, options, roles, tests):
    run, _ = adapt(demo, converter, tmp_path, *options)
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert set(checkpoint["weights"]) == roles | {"lifter"}
    assert checkpoint["skeleton"]["definition"] == "h36m"
    results = results_of(run)
    assert [results["test"], *results["also"]] == tests
    assert set(results["modules"]) == roles


def test_semgcn_with_everything(demo, converter, tmp_path):
    small = ("--network", "semgcn", "--non_local", "--hid_dim", 8, "--num_layers", 1, "--domain_bn", "--select", "target")
    run, process = adapt(demo, converter, tmp_path, *small)
    assert "h36m -> surreal: semgcn + converter + uncertainty + domain" in process.stdout
    assert results_of(run)["selection"] == "oracle selection (target labels)"
    description = load_checkpoint(run / "ckpt_best.pth.tar")["networks"]["lifter"]
    assert description["non_local"] is True
    assert description["domain_bn"] is True


# --- honesty ------------------------------------------------------------------------------------------------------------


def blank(file):
    file["joints_3d"][:] = np.nan


def remove(file):
    del file["joints_3d"]


ON_TARGET = ["--no_domain", "--reproject", "--reproject_weight", 1, "--teacher", "--teacher_weight", 1, "--teacher_warmup", 1]
VIEWS = ["--epochs", 2, "--align", "views", "canonical", "--scale", "box", "--new_poses", "--target_poses", "--target_joints"]
OTHERS = (["--domain_bn", "--grl", "constant", "--domain_weight", 1], ON_TARGET, VIEWS)


@pytest.mark.parametrize("options", [[], *(pytest.param(other, marks=pytest.mark.campaign) for other in OTHERS)])
def test_the_targets_training_labels_change_nothing(demo, converter, tmp_path, options):
    """Bit for bit, whether they are NaN or not there at all."""
    first, _ = adapt(demo, converter, tmp_path / "first", *options)
    for change in (blank, remove):
        data = change_surreal(demo, tmp_path / change.__name__, change)
        second, _ = adapt(data, converter, tmp_path / f"{change.__name__}_runs", *options)
        assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")
        assert results_of(first)["average"] == results_of(second)["average"]


def test_the_targets_test_labels_choose_nothing(demo, converter, tmp_path):
    def enlarge(file):
        file["joints_3d"][:] = file["joints_3d"][:] * 1.1

    data = change_surreal(demo, tmp_path / "data", enlarge, "test")
    first, _ = adapt(demo, converter, tmp_path / "first", "--epochs", 2)
    second, _ = adapt(data, converter, tmp_path / "second", "--epochs", 2)
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar"):
        assert_same_bits(first / name, second / name)
    assert results_of(first)["average"] != results_of(second)["average"]


@pytest.mark.parametrize("options", [[], ["--no_domain", "--reproject"], ["--no_domain", "--teacher", "--teacher_warmup", 0]])
def test_the_targets_2d_does_count(demo, converter, tmp_path, options):
    """Or the tests above would prove nothing."""

    def shift(file):
        file["joints_2d"][:] = file["joints_2d"][:] + 5

    first, _ = adapt(demo, converter, tmp_path / "first", *options)
    second, _ = adapt(change_surreal(demo, tmp_path / "data", shift), converter, tmp_path / "second", *options)
    with pytest.raises(AssertionError):
        assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")


# --- bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_surreal_names_the_command_that_makes_it(demo, converter, tmp_path, split):
    data = copy_data(demo, tmp_path / "data", f"surreal_{split}.h5")
    process = attempt(tmp_path, SCRIPT, "--data_dir", data, "--converter", converter)
    assert_one_line(process, f"surreal_{split}.h5 does not exist", "data/prepare_data_surreal.py")


def test_a_target_with_another_joint_count(demo, converter, tmp_path):
    def cut(file):
        joints = file["joints_2d"][:, :16]
        del file["joints_2d"]
        file["joints_2d"] = joints

    data = change_surreal(demo, tmp_path / "data", cut)
    process = attempt(tmp_path, SCRIPT, "--data_dir", data, "--converter", converter)
    assert_one_line(process, "surreal_train.h5", "joints_2d", "16, 2", "24 joints of SMPL")


def test_a_damaged_target(demo, converter, tmp_path):
    data = copy_data(demo, tmp_path / "data", "surreal_train.h5")
    whole = (demo / "surreal_train.h5").read_bytes()
    (data / "surreal_train.h5").write_bytes(whole[: len(whole) // 2])
    process = attempt(tmp_path, SCRIPT, "--data_dir", data, "--converter", converter)
    assert_one_line(process, "surreal_train.h5 is damaged", "data/prepare_data_surreal.py")


def test_missing_labels_of_the_source(demo, converter, tmp_path):
    data = copy_data(demo, tmp_path / "data", "data_3d_h36m.npz")
    process = attempt(tmp_path, SCRIPT, "--data_dir", data, "--converter", converter)
    assert_one_line(process, "data_3d_h36m.npz does not exist", "data/prepare_data_h36m.py")


def test_a_converter_that_is_none(demo, finished, tmp_path):
    process = attempt(tmp_path, SCRIPT, "--data_dir", demo, "--converter", finished[0])
    assert_one_line(process, "experiment 'h36m_dua'", "conversion.py")


def test_a_smaller_target_cycles(demo, converter, tmp_path):
    _, process = adapt(demo, converter, tmp_path, "--downsample", 1)
    # 11,008 poses of Human3.6M and 6,730 of SURREAL make 172 and 105 batches of 64.
    assert "172 batches an epoch; passes in it: source 1.00, target 1.64" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--non_local"], ["--non_local", "--network semgcn"]), (["--batch_size", "1"], ["at least 2"]), (["--grl_alpha", "-1"], ["--grl_alpha -1.0"])],
)  # fmt: skip
def test_values_that_cannot_be_meant(demo, converter, tmp_path, arguments, words):
    assert_one_line(attempt(tmp_path, SCRIPT, "--data_dir", demo, "--converter", converter, *arguments), *words)


@pytest.mark.parametrize(("option", "value"), [("--actions", "Kick"), ("--keypoints", "cpn_ft_h36m_dbb")])
def test_what_is_of_no_use_for_its_test_is_refused_there(finished, option, value):
    """SURREAL's test is the whole one whatever they say: its report would bear a wrong name."""
    process = run_here(SCRIPT, "--evaluate", finished[0], option, value)
    assert_one_line(process, option, "SURREAL's", "leave it out with --evaluate")


def test_a_report_names_the_2d_that_it_tested(demo, converter, tmp_path):
    """Human3.6M's may be a detector's, and SURREAL's test its own all the same; SURREAL's files can have a detector's too."""
    data = tmp_path / "data"
    copy_data(demo, data)
    shutil.copy(demo / "data_2d_h36m_gt.npz", data / "data_2d_h36m_cpn_ft_h36m_dbb.npz")
    run, process = adapt(data, converter, tmp_path / "runs", "--keypoints", "cpn_ft_h36m_dbb")
    assert results_of(run)["keypoints"] == "gt"
    assert "2D: gt" in process.stdout
    again = run_here(SCRIPT, "--evaluate", run, "--keypoints", "detector")
    assert again.returncode == 0, again.stderr
    seen = json.loads((run / "results_ckpt_best_detector.json").read_text())
    assert seen["keypoints"] == "detector"
    assert seen["average"] != results_of(run)["average"]
    (data / "data_2d_h36m_gt.npz").unlink()  # the source's is what the run was trained with
    drawn = run_here("plots.py", run, "--kind", "features", "--out", tmp_path / "x", "--device", "cpu")
    assert drawn.returncode == 0, drawn.stderr
