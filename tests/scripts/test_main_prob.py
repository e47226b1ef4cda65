"""`main_prob.py` as its users run it: it trains, resumes to the same bits, evaluates, and says what is wrong."""

import csv
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
import torch

from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import split_validation
from common.evaluation.calibration import Calibration, stored_calibration
from common.evaluation.evaluate import predict
from common.files.arrays import load_arrays
from common.training.checkpoint import load_checkpoint, rebuild_networks
from tests.conftest import run_script
from tests.helpers.script_tools import (
    SMALL,
    assert_one_line,
    assert_same_bits,
    copy_data,
    only_run,
    run_here,
    start,
    wait_for,
    weights,
)


def train(demo, folder, *arguments, run=run_here):
    process = run("main_prob.py", "--data_dir", demo, "--checkpoint", folder, *SMALL, *arguments)
    assert process.returncode == 0, process.stderr
    return only_run(folder), process


@pytest.fixture(scope="module")
def finished(demo, tmp_path_factory):
    """A whole run of three epochs, with snapshots, in a process of its own; (run folder, process)."""
    return train(demo, tmp_path_factory.mktemp("finished"), "--epochs", 3, "--snapshot", 2, run=run_script)


def test_a_run_leaves_what_it_promises(finished, demo):
    run, process = finished
    names = {path.name for path in run.iterdir()}
    assert names == {
        "ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_2.pth.tar", "config.json", "log.csv", "curves.png", "results.json",
    }  # fmt: skip
    rows = list(csv.DictReader((run / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    assert float(rows[2]["val_mpjpe_mm"]) < float(rows[0]["val_mpjpe_mm"])
    results = json.loads((run / "results.json").read_text())
    test = load_h36m(demo, subjects=("S9", "S11"))
    assert results["poses"] == len(test)
    assert set(results["per_action"]) == {sequence.base_action for sequence in test.sequences}
    assert results["average"]["mpjpe"] == pytest.approx(np.mean([row["mpjpe"] for row in results["per_action"].values()]))
    assert results["average"]["p_mpjpe"] < results["average"]["mpjpe"]
    assert len(results["per_joint_mpjpe"]) == 16
    assert results["per_joint_mpjpe"]["Hip"] == 0
    for word in ("MPJPE", "P-MPJPE", "average of actions", "selection: source validation", *results["per_action"]):
        assert word in process.stdout
    config = json.loads((run / "config.json").read_text())
    assert config["arguments"]["hid_dim"] == 32
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_rebuilds_the_network_from_the_file_alone(finished, demo, tmp_path):
    """No --hid_dim: the checkpoint knows. The figures are those that training ended with."""
    run, _ = finished
    moved = tmp_path / "elsewhere.pth.tar"
    moved.write_bytes((run / "ckpt_best.pth.tar").read_bytes())
    process = run_script("main_prob.py", "--evaluate", moved, "--data_dir", demo)
    assert process.returncode == 0, process.stderr
    again = json.loads((tmp_path / "results_elsewhere_gt.json").read_text())
    results = json.loads((run / "results.json").read_text())
    assert again["average"] == pytest.approx(results["average"], rel=1e-5)
    by_folder = run_here("main_prob.py", "--evaluate", run, "--data_dir", demo, "--actions", "Run,Kick")
    assert by_folder.returncode == 0, by_folder.stderr
    assert "DanceA" not in by_folder.stdout
    assert "Kick" in by_folder.stdout


def test_a_part_of_a_test_takes_the_place_of_no_other(finished, demo, tmp_path):
    """Nor does a test on other data, or of another checkpoint; the content says what each is of."""
    run = shutil.copytree(finished[0], tmp_path / "run")
    whole = "results_ckpt_best_gt.json"
    others = [
        copy_data(demo, folder)
        for folder in (tmp_path / "other", tmp_path / "deep" / "other")
        if not folder.parent.mkdir(exist_ok=True)
    ]
    tests = {
        (): "", ("-a", "Kick"): "_Kick", ("-a", "Run, Kick"): "_Kick+Run", ("--downsample", 5): "_every_5",
        ("-a", "Kick", "--downsample", 2): "_Kick_every_2", ("--data_dir", others[0]): "_on_other_*", ("--data_dir", others[1]): "_on_other_*",
    }  # fmt: skip
    for options in tests:
        process = run_here("main_prob.py", "--evaluate", run, *options, "--device", "cpu")
        assert process.returncode == 0, process.stderr
        assert ("not the run's own test, but with --" in process.stdout) == bool(options)
    results = {path.name: json.loads(path.read_text()) for path in run.glob("results_*.json")}
    assert len(results) == len(tests)
    assert all(list(run.glob(whole.replace(".json", f"{word}.json"))) for word in tests.values())
    assert results[whole]["average"] == json.loads((run / "results.json").read_text())["average"]
    facts = {name: (tuple(of["actions"]), of["downsample"]) for name, of in results.items()}
    every = ("DanceA", "Jump", "Kick", "Run")
    assert facts[whole] == (every, 1)
    assert facts["results_ckpt_best_gt_Kick_every_2.json"] == (("Kick",), 2)
    assert facts["results_ckpt_best_gt_every_5.json"] == (every, 5)
    assert results["results_ckpt_best_gt_Kick.json"]["poses"] == len(load_h36m(demo, subjects=("S9", "S11"), actions="Kick"))
    assert {str(of["data_dir"]) for of in results.values()} == {str(path) for path in (demo, *others)}
    for name in ("a.b.pth.tar", "a.c.pth.tar"):
        (run / name).write_bytes((run / "ckpt_best.pth.tar").read_bytes())
        assert run_here("main_prob.py", "--evaluate", run / name, "-a", "Kick", "--device", "cpu").returncode == 0
        assert (run / f"results_{name.removesuffix('.pth.tar')}_gt_Kick.json").exists()


def test_a_folder_of_runs_stands_for_its_newest(finished, demo):
    run, _ = finished
    process = run_here("main_prob.py", "--evaluate", run.parent, "--actions", "Kick", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(f"{run.parent}: its newest run is taken, {run.name}\n")
    assert process.stdout.endswith(f"{run / 'results_ckpt_best_gt_Kick.json'}\n")
    assert process.stdout.count("newest") == 1
    (run / "results_ckpt_best_gt_Kick.json").unlink()
    assert_one_line(
        run_here("main_prob.py", "--resume", run.parent), f"{run.parent / run.name}/ckpt_last.pth.tar has done 3 epochs of 3"
    )


def test_best_is_the_epoch_with_the_least_validation_error(finished):
    run, _ = finished
    history = load_checkpoint(run / "ckpt_last.pth.tar")["training"]["history"]
    best = min(history, key=lambda row: row["val_mpjpe_mm"])
    assert load_checkpoint(run / "ckpt_best.pth.tar")["training"]["epoch"] == best["epoch"]


def test_the_uncertainty_is_calibrated_on_the_validation_split_of_that_epoch(finished, demo):
    """Best and last are of different weights here or of the same; each holds what a fit to its own predictions gives."""
    run, _ = finished
    _, validation = split_validation(load_h36m(demo, subjects=TRAIN_SUBJECTS))
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_2.pth.tar"):
        checkpoint = load_checkpoint(run / name)
        predicted, uncertainty = predict(rebuild_networks(checkpoint, name), validation.inputs_2d, "cpu")
        expected = Calibration.fit(uncertainty, predicted, validation.targets_3d).to_dict()
        found = stored_calibration(checkpoint, name).to_dict()
        assert found["poses"] == len(validation)
        for key in ("raw_mm", "error_mm", "quantiles", "expected_norms"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3), key


def test_the_same_seed_gives_the_same_bits_and_another_does_not(finished, demo, tmp_path):
    run, _ = finished
    again, _ = train(demo, tmp_path / "again", "--epochs", 3)
    assert_same_bits(run / "ckpt_last.pth.tar", again / "ckpt_last.pth.tar")
    other, _ = train(demo, tmp_path / "other", "--epochs", 1, "--seed", 1)
    assert not torch.equal(
        weights(other / "ckpt_last.pth.tar")["lifter.output.bias"], weights(run / "ckpt_last.pth.tar")["lifter.output.bias"]
    )


def test_resuming_a_snapshot_ends_in_the_same_bits(finished, demo, tmp_path):
    run, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "snapshot.pth.tar").write_bytes((run / "snapshot_epoch_2.pth.tar").read_bytes())
    process = run_here("main_prob.py", "--resume", copy / "snapshot.pth.tar")
    assert process.returncode == 0, process.stderr
    assert_same_bits(run / "ckpt_last.pth.tar", copy / "ckpt_last.pth.tar")
    assert len((copy / "log.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("delay", [0.0, *(pytest.param(delay, marks=pytest.mark.campaign) for delay in (0.15, 0.4))])
def test_kill_9_loses_no_result(finished, demo, tmp_path, delay):
    run, _ = finished
    process = start("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path, *SMALL, "--epochs", 3)
    wait_for(lambda: list(tmp_path.glob("*/ckpt_last.pth.tar")) or process.poll() is not None)
    time.sleep(delay)
    process.kill()
    process.communicate()
    folder = only_run(tmp_path)
    resumed = run_here("main_prob.py", "--resume", folder, "--device", "cpu")
    if resumed.returncode == 2:  # it had finished before it was killed
        assert "has done 3 epochs" in resumed.stderr
    assert_same_bits(run / "ckpt_last.pth.tar", folder / "ckpt_last.pth.tar")
    assert weights(run / "ckpt_best.pth.tar").keys() == weights(folder / "ckpt_best.pth.tar").keys()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.campaign)])
def test_ctrl_c_saves_in_the_middle_of_an_epoch(finished, demo, tmp_path, number):
    process = start("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path / "stopped", *SMALL, "--epochs", 2)
    assert "poses:" in process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, output + errors
    assert "Traceback" not in errors
    folder = only_run(tmp_path / "stopped")
    assert f"--resume {folder / 'ckpt_last.pth.tar'}" in output
    state = load_checkpoint(folder / "ckpt_last.pth.tar")["training"]
    assert (state["epoch"], state["batch"]) < (2, 0)
    calibration = load_checkpoint(folder / "ckpt_last.pth.tar")["calibration"]
    assert calibration is None, "these weights have predicted nothing yet"
    resumed = run_here("main_prob.py", "--resume", folder / "ckpt_last.pth.tar")
    assert resumed.returncode == 0, resumed.stderr
    whole = (
        finished[0] / "snapshot_epoch_2.pth.tar"
    )  # what a run of two epochs ends with: this schedule is the same for any number
    assert_same_bits(whole, folder / "ckpt_last.pth.tar")


def test_more_epochs_can_be_asked_for(finished, demo, tmp_path):
    run, _ = finished
    (tmp_path / "ckpt_last.pth.tar").write_bytes((run / "ckpt_last.pth.tar").read_bytes())
    process = run_here("main_prob.py", "--resume", tmp_path, "--epochs", 4)
    assert process.returncode == 0, process.stderr
    assert load_checkpoint(tmp_path / "ckpt_last.pth.tar")["training"]["epoch"] == 4


def test_smoke_runs_and_every_option_of_the_field(demo, tmp_path):
    process = run_here(
        "main_prob.py", "--data_dir", demo, "-k", "gt", "-a", "Walk,Punch,Run,Kick", "-c", tmp_path, "-dv", "cpu", "-b", 16, "-e", 1, "--lr", 0.002,
        "--lr_decay", 50, "--lr_gamma", 0.9, "--no_max", "--downsample", 2, "--num_workers", 8, "--seed", 5, "--limit_batches", 4,
        "--hid_dim", 16, "--num_layers", 1, "--dropout", 0.25, "--uncertainty_weight", 0.5, "--snapshot", 1,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    checkpoint = load_checkpoint(only_run(tmp_path) / "ckpt_last.pth.tar")
    assert checkpoint["training"]["step"] == 4
    assert checkpoint["training"]["history"][0]["lr"] == pytest.approx(0.002 * 0.9 ** (3 / 50))
    assert checkpoint["networks"]["lifter"] == {
        "name": "martinez",
        "num_joints": 16,
        "hid_dim": 16,
        "num_layers": 1,
        "dropout": 0.25,
    }


# --- bad input: one line, exit code 2, nothing left behind ------------------------------------------------------------


def attempt(tmp_path, *arguments, run=run_here):
    process = run("main_prob.py", "--checkpoint", tmp_path / "runs", *arguments)
    assert not (tmp_path / "runs").exists(), "a run folder was made for a run that never began"
    return process


def test_a_missing_data_file_names_the_command_that_makes_it(tmp_path):
    process = attempt(tmp_path, "--data_dir", tmp_path, run=run_script)
    assert_one_line(process, "data_2d_h36m_gt.npz does not exist", "prepare_data_h36m.py")


def test_a_truncated_npz(demo, tmp_path):
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz"):
        (tmp_path / name).write_bytes((demo / name).read_bytes())
    whole = (demo / "data_3d_h36m.npz").read_bytes()
    (tmp_path / "data_3d_h36m.npz").write_bytes(whole[: len(whole) // 2])
    assert_one_line(attempt(tmp_path, "--data_dir", tmp_path), "data_3d_h36m.npz is damaged")


class Malice:
    """Pickles as a call of os.system."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(demo, tmp_path):
    marker = tmp_path / "it_ran"
    np.savez(tmp_path / "data_2d_h36m_gt.npz", positions_2d=np.array({"S9": Malice(marker)}, dtype=object))
    (tmp_path / "data_3d_h36m.npz").write_bytes((demo / "data_3d_h36m.npz").read_bytes())
    assert_one_line(attempt(tmp_path, "--data_dir", tmp_path), "data_2d_h36m_gt.npz", "posix.system")
    assert not marker.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_joints_that_are_no_numbers_are_counted_and_located(demo, tmp_path, value):
    (tmp_path / "data_2d_h36m_gt.npz").write_bytes((demo / "data_2d_h36m_gt.npz").read_bytes())
    positions = load_arrays(demo / "data_3d_h36m.npz")["positions_3d"]
    positions["S9"]["Run"][5, 7, 1] = value
    positions["S9"]["Run"][6, 2:4] = value
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    assert_one_line(attempt(tmp_path, "--data_dir", tmp_path), "S9 Run", "3 joints", "frame 5, joint 7")


def test_an_unknown_action_lists_the_known(demo, tmp_path):
    assert_one_line(attempt(tmp_path, "--data_dir", demo, "--actions", "Flying"), "Flying", "Run", "DanceA")


def test_unknown_keypoints_list_the_known(demo, tmp_path):
    assert_one_line(attempt(tmp_path, "--data_dir", demo, "-k", "cpn"), "data_2d_h36m_cpn.npz", "gt")


def test_a_missing_subject_lists_the_known(demo, tmp_path):
    (tmp_path / "data_2d_h36m_gt.npz").write_bytes((demo / "data_2d_h36m_gt.npz").read_bytes())
    positions = load_arrays(demo / "data_3d_h36m.npz")["positions_3d"]
    del positions["S11"]
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    assert_one_line(attempt(tmp_path, "--data_dir", tmp_path), "S11", "S1, S5, S6, S7, S8, S9")


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_of_another_network(finished, demo, tmp_path, option):
    checkpoint = load_checkpoint(finished[0] / "ckpt_best.pth.tar")
    checkpoint["networks"]["lifter"]["name"] = "semgcn"
    torch.save(checkpoint, tmp_path / "other.pth.tar")
    assert_one_line(
        attempt(tmp_path, "--data_dir", demo, option, tmp_path / "other.pth.tar"), "other.pth.tar", "semgcn", "martinez"
    )


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_cut_in_half(finished, demo, tmp_path, option):
    whole = (finished[0] / "ckpt_best.pth.tar").read_bytes()
    (tmp_path / "half.pth.tar").write_bytes(whole[: len(whole) // 2])
    assert_one_line(attempt(tmp_path, "--data_dir", demo, option, tmp_path / "half.pth.tar"), "half.pth.tar", "cut short")


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_that_is_not_there(demo, tmp_path, option):
    assert_one_line(attempt(tmp_path, "--data_dir", demo, option, tmp_path / "no.pth.tar"), "no.pth.tar does not exist")


def test_a_checkpoint_with_other_sizes_than_its_description(finished, demo, tmp_path):
    checkpoint = load_checkpoint(finished[0] / "ckpt_best.pth.tar")
    checkpoint["networks"]["lifter"]["hid_dim"] = 64
    torch.save(checkpoint, tmp_path / "odd.pth.tar")
    assert_one_line(attempt(tmp_path, "--data_dir", demo, "--evaluate", tmp_path / "odd.pth.tar"), "odd.pth.tar", "lifter")


def test_a_foreign_file_is_no_checkpoint(demo, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth.tar")
    assert_one_line(
        attempt(tmp_path, "--data_dir", demo, "--evaluate", tmp_path / "foreign.pth.tar"), "foreign.pth.tar", "dua checkpoint"
    )


def test_an_unwritable_checkpoint_folder(demo, tmp_path):
    (tmp_path / "file").write_text("in the way")
    process = run_here("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path / "file", *SMALL)
    assert_one_line(process, "cannot make a run folder", "--checkpoint")


def test_a_resumed_run_is_the_same_run(finished, demo, tmp_path):
    last = finished[0] / "ckpt_last.pth.tar"
    assert_one_line(attempt(tmp_path, "--resume", last, "--lr", 0.5, "--epochs", 9), "--lr 0.5", "0.001")
    assert_one_line(attempt(tmp_path, "--resume", last), "has done 3 epochs of 3", "--epochs")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume", "a", "--evaluate", "b"], ["--resume", "--evaluate", "one of them"]),
        (["--device", "cuda:77"], ["--device cuda:77", "cpu"]),
        (["--device", "toaster"], ["--device toaster", "cpu"]),
        (["--epochs", "0"], ["--epochs 0", "at least 1"]),
        (["--batch_size", "10000000"], ["10000000", "larger than"]),
        (["--batch_size", "1"], ["at least 2"]),
        (["--lr", "-1"], ["--lr -1.0", "positive"]),
        (["--downsample", "0"], ["--downsample 0"]),
        (["--limit_batches", "0"], ["--limit_batches 0"]),
        (["--dropout", "1.5"], ["--dropout 1.5"]),
        (["--hid_dim", "0"], ["--hid_dim 0"]),
        (["--seed", "99999999999999999999"], ["--seed 99999999999999999999", "2**63"]),
        (["--uncertainty_weight", "-1"], ["--uncertainty_weight -1.0"]),
    ],
)
def test_values_that_cannot_be_meant(demo, tmp_path, arguments, words):
    assert_one_line(attempt(tmp_path, "--data_dir", demo, *arguments), *words)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_last_good_checkpoint(demo, tmp_path):
    process = run_here(
        "main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path, *SMALL, "--epochs", 2, "--lr", 1e30, "--no_max"
    )
    assert_one_line(process, "NaN or infinite", "step", "no checkpoint was written yet", "--lr")


def test_a_run_that_was_killed_before_its_report_still_reports(finished, demo, tmp_path):
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar"):
        (tmp_path / name).write_bytes((finished[0] / name).read_bytes())
    process = run_here("main_prob.py", "--resume", tmp_path)
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "results.json").read_text())["average"] == pytest.approx(
        json.loads((finished[0] / "results.json").read_text())["average"]
    )


def test_a_checkpoint_of_another_device_is_evaluated_here(finished, demo, tmp_path):
    checkpoint = load_checkpoint(finished[0] / "ckpt_best.pth.tar")
    checkpoint["arguments"]["device"] = "cuda:77"
    torch.save(checkpoint, tmp_path / "far.pth.tar")
    process = run_here("main_prob.py", "--evaluate", tmp_path / "far.pth.tar", "--data_dir", demo)
    assert process.returncode == 0, process.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_resumes_and_agrees_with_the_cpu(demo, tmp_path):
    """The same code on a GPU: it repeats itself, resumes, and evaluates to what the CPU evaluates."""
    runs = [tmp_path / name for name in ("one", "two")]
    for folder in runs:
        process = run_script(
            "main_prob.py",
            "--data_dir",
            demo,
            "--checkpoint",
            folder,
            "--hid_dim",
            32,
            "--device",
            "cuda",
            "--epochs",
            2,
            "--snapshot",
            1,
        )
        assert process.returncode == 0, process.stderr
    first, second = (only_run(folder) for folder in runs)
    assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")
    (tmp_path / "resumed").mkdir()
    (tmp_path / "resumed" / "snapshot.pth.tar").write_bytes((first / "snapshot_epoch_1.pth.tar").read_bytes())
    assert run_script("main_prob.py", "--resume", tmp_path / "resumed" / "snapshot.pth.tar", "--device", "cuda").returncode == 0
    assert_same_bits(first / "ckpt_last.pth.tar", tmp_path / "resumed" / "ckpt_last.pth.tar")
    assert run_script("main_prob.py", "--evaluate", first, "--device", "cpu").returncode == 0
    on_cpu = json.loads((first / "results_ckpt_best_gt.json").read_text())["average"]
    assert on_cpu == pytest.approx(json.loads((first / "results.json").read_text())["average"], rel=1e-3)
