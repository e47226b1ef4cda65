"""`train_surreal.py`: which experiment it is, DUA's modules one by one, and that no target label shapes what is learnt."""

import csv
import json
import shutil
from unittest import mock

import h5py
import numpy as np
import pytest
import torch

from common.adaptation.converter import CHECK
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.evaluation.evaluate import evaluate
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from tests.conftest import run_script
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    change_positions,
    copy_data,
    copy_repository,
    only_run,
    run_here,
    trained,
    weights,
)

SCRIPT = "train_surreal.py"
ALL_OFF = ("--no_converter", "--no_uncertainty", "--no_domain")


def adapt(demo, converter, folder, *arguments, run=run_here):
    """A short DUA run; (run folder, process)."""
    named = () if "--no_converter" in arguments else ("--converter", converter)
    return trained(folder, run(SCRIPT, "--dua", "--data_dir", demo, *named, "--checkpoint", folder, *QUICK, *arguments))


@pytest.fixture(scope="module")
def finished(demo, converter, tmp_path_factory):
    """(run folder, process) of two epochs of DUA with all modules."""
    folder = tmp_path_factory.mktemp("sur_dua")
    return adapt(demo, converter, folder, "--epochs", 2, "--snapshot", 1, run=run_script)


@pytest.fixture(scope="module")
def in_domain(demo, tmp_path_factory):
    """(run folder, process) of two epochs in domain."""
    folder = tmp_path_factory.mktemp("surreal")
    return trained(folder, run_here(SCRIPT, "--data_dir", demo, "--checkpoint", folder, *QUICK, "--epochs", 2, "--snapshot", 1))


def assert_same_calibration(a, b):
    first, second = (load_checkpoint(run / "ckpt_last.pth.tar")["calibration"] for run in (a, b))
    assert first is not None
    assert first == second


def results_of(run):
    return json.loads((run / "results.json").read_text())


# --- the two experiments ------------------------------------------------------------------------------------------------


def test_dua_leaves_what_it_promises(finished, demo, converter):
    run, process = finished
    assert {path.name for path in run.iterdir()} == {
        "ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_1.pth.tar", "snapshot_epoch_2.pth.tar", "config.json", "log.csv",
        "curves.png", "results.json",
    }  # fmt: skip
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["experiment"] == "surreal_dua"
    assert set(checkpoint["networks"]) == set(checkpoint["weights"]) == {"lifter", "uncertainty", "domain", "converter"}
    assert (checkpoint["source"], checkpoint["target"]) == ("surreal", "h36m")
    assert checkpoint["skeleton"]["definition"] == "h36m"
    assert checkpoint["selection"] == "source validation"
    rows = list(csv.DictReader((run / "log.csv").open()))
    assert all(0 <= float(row["domain_accuracy"]) <= 1 for row in rows)
    assert {"pose_loss", "uncertainty_loss", "domain_loss"} <= set(rows[0])
    results = results_of(run)
    assert results["poses"] == len(load_h36m(demo, subjects=TEST_SUBJECTS, downsample=3))
    facts = {"source": "surreal", "target": "h36m", "network": "martinez", "seed": 0, "keypoints": "gt"}
    assert {key: results[key] for key in facts} == facts
    assert results["modules"] == ["converter", "uncertainty", "domain"]
    assert "surreal -> h36m: martinez + converter + uncertainty + domain" in process.stdout
    assert f"converter: {converter}, as --converter says" in process.stdout


def test_the_converter_is_frozen(finished, converter):
    """What the checkpoint holds is the converter that was given, bit for bit, after all training."""
    given = load_checkpoint(converter / "ckpt_best.pth.tar")["weights"]["converter"]
    kept = load_checkpoint(finished[0] / "ckpt_last.pth.tar")["weights"]["converter"]
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_in_domain_leaves_what_it_promises(in_domain):
    run, _ = in_domain
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["experiment"] == "surreal_prob"
    assert set(checkpoint["networks"]) == {"lifter", "uncertainty"}
    assert (checkpoint["source"], checkpoint["target"]) == ("surreal", None)
    assert checkpoint["skeleton"]["definition"] == "smpl"
    assert results_of(run)["test"] == "surreal"
    assert "domain_loss" not in (run / "log.csv").read_text()


@pytest.mark.parametrize("kind", ["finished", "in_domain"])
def test_resuming_a_snapshot_ends_in_the_same_bits(kind, request, tmp_path):
    """And the checkpoint says which experiment goes on: no --dua, and a folder without 'dua' in its name."""
    run, _ = request.getfixturevalue(kind)
    process = assert_resumes_to_the_same_bits(SCRIPT, run, "snapshot_epoch_1.pth.tar", tmp_path)
    experiment = "surreal_dua" if kind == "finished" else "surreal_prob"
    assert process.stdout.splitlines()[0].endswith(f"snapshot.pth.tar is of experiment '{experiment}'")


@pytest.mark.parametrize("kind", ["finished", "in_domain"])
def test_evaluate_needs_no_options(kind, request, tmp_path):
    run, _ = request.getfixturevalue(kind)
    moved = tmp_path / "moved.pth.tar"
    moved.write_bytes((run / "ckpt_best.pth.tar").read_bytes())
    process = run_here(SCRIPT, "--evaluate", moved)
    assert process.returncode == 0, process.stderr
    again = json.loads((tmp_path / "results_moved_gt.json").read_text())
    results = results_of(run)
    for key in ("poses", "test", "modules"):
        assert again[key] == results[key]
    assert again["average"] == pytest.approx(results["average"], rel=1e-5)
    assert not (tmp_path / "checkpoint").exists()


def test_the_first_line_says_which_experiment_and_why(demo, converter, tmp_path, finished, in_domain):
    dua, alone = "experiment: DUA, SURREAL -> Human3.6M; ", "experiment: in domain, SURREAL; "
    assert finished[1].stdout.splitlines()[0] == f"{dua}--dua was given"
    first = in_domain[1].stdout.splitlines()[0]
    assert first.startswith(f"{alone}neither --dua nor --no_dua was given, and the checkpoint folder 'surreal")
    assert first.endswith("lacks 'dua' in its name")
    common = ("--data_dir", demo, "--converter", converter, *QUICK)
    by_name = run_here(SCRIPT, *common, "--checkpoint", f"{tmp_path}/sur_dua/")  # as the README writes it
    assert by_name.stdout.splitlines()[0] == (
        f"{dua}neither --dua nor --no_dua was given, and the checkpoint folder 'sur_dua' has 'dua' in its name"
    )
    assert load_checkpoint(only_run(tmp_path / "sur_dua") / "ckpt_best.pth.tar")["experiment"] == "surreal_dua"
    against_it = run_here(SCRIPT, "--data_dir", demo, *QUICK, "--no_dua", "--checkpoint", tmp_path / "dua_not")
    assert against_it.stdout.splitlines()[0] == f"{alone}--no_dua was given"
    assert load_checkpoint(only_run(tmp_path / "dua_not") / "ckpt_best.pth.tar")["experiment"] == "surreal_prob"


def test_semgcn_does_both(demo, converter, tmp_path):
    small = ("--network", "semgcn", "--non_local", "--hid_dim", 8, "--num_layers", 1)
    run, process = adapt(demo, converter, tmp_path / "dua", *small)
    assert load_checkpoint(run / "ckpt_best.pth.tar")["networks"]["lifter"]["non_local"] is True
    assert "surreal -> h36m: semgcn + converter + uncertainty + domain" in process.stdout
    process = run_here(SCRIPT, "--data_dir", demo, "--no_dua", "--checkpoint", tmp_path / "in", *QUICK, *small)
    assert "surreal: semgcn + uncertainty" in process.stdout


# --- modules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "roles"),
    [
        (["--no_converter"], {"uncertainty", "domain"}),
        (["--no_uncertainty"], {"domain", "converter"}),
        (["--no_domain"], {"uncertainty", "converter"}),
        (ALL_OFF, set()),
    ],
)
def test_each_module_switches_off_by_itself(demo, converter, tmp_path, options, roles):
    run, process = adapt(demo, converter, tmp_path, *options)
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert set(checkpoint["weights"]) == roles | {"lifter"}
    assert checkpoint["skeleton"]["definition"] == ("h36m" if "converter" in roles else "smpl")
    assert set(results_of(run)["modules"]) == roles
    row = checkpoint["training"]["history"][0]
    assert ("domain_accuracy" in row) == ("domain" in roles)
    assert ("uncertainty_loss" in row) == ("uncertainty" in roles)
    assert ("passes in it" in process.stdout) == ("domain" in roles)
    again = run_here(SCRIPT, "--evaluate", run)  # the checkpoint knows what is off
    assert again.returncode == 0, again.stderr
    assert json.loads((run / "results_ckpt_best_gt.json").read_text())["average"] == pytest.approx(results_of(run)["average"])


def statistics(run, ending="running_mean"):
    return {
        name: value
        for name, value in weights(run / "ckpt_last.pth.tar").items()
        if name.startswith("lifter") and name.endswith(ending)
    }


def test_the_control_differs_from_no_domain_in_what_batchnorm_sees_alone(demo, converter, tmp_path):
    """Without dropout, whose masks target batches would shift, every learnt weight is the same to the bit."""
    control, process = adapt(demo, converter, tmp_path / "control", "--domain_weight", 0, "--dropout", 0)
    without, _ = adapt(demo, converter, tmp_path / "without", "--no_domain", "--dropout", 0)
    first, second = weights(control / "ckpt_last.pth.tar"), weights(without / "ckpt_last.pth.tar")
    for name, value in second.items():
        if "running" in name:
            assert not torch.allclose(first[name], value, rtol=1e-3), name
        elif "num_batches" not in name:
            assert torch.equal(first[name], value), name
    assert "domain (weight 0)" in process.stdout
    assert results_of(control)["modules"] == ["converter", "uncertainty", "domain (weight 0)"]
    assert results_of(control)["average"] != results_of(without)["average"]


def test_the_control_has_no_adversary(demo, converter, tmp_path):
    """With weight 0 neither the classifier learns nor does the schedule of its reversed gradient matter to the lifter."""
    warm, _ = adapt(demo, converter, tmp_path / "warm", "--domain_weight", 0)
    constant, _ = adapt(demo, converter, tmp_path / "constant", "--domain_weight", 0, "--grl", "constant")
    assert_same_bits(warm / "ckpt_last.pth.tar", constant / "ckpt_last.pth.tar")


def test_the_reversed_gradient_warms_up_or_is_constant(demo, converter, tmp_path):
    """The first step tells them apart: warm starts at 0, so that it is the control's for the lifter."""
    options = ("--limit_batches", 1, "--domain_weight", 1)
    warm, _ = adapt(demo, converter, tmp_path / "warm", *options)
    constant, _ = adapt(demo, converter, tmp_path / "constant", *options, "--grl", "constant")
    first, second = weights(warm / "ckpt_last.pth.tar"), weights(constant / "ckpt_last.pth.tar")
    lifter = [name for name in first if name.startswith("lifter") and name.endswith("weight")]
    assert any(not torch.equal(first[name], second[name]) for name in lifter)
    assert load_checkpoint(constant / "ckpt_last.pth.tar")["arguments"]["grl"] == "constant"
    assert load_checkpoint(warm / "ckpt_last.pth.tar")["arguments"]["grl"] == "warm"


def test_domain_bn_keeps_statistics_apart_and_tests_with_the_targets(demo, converter, tmp_path):
    run, _ = adapt(demo, converter, tmp_path, "--domain_bn", "--limit_batches", 20)
    source, target = (
        {name.replace(f".{domain}.", "."): value for name, value in statistics(run).items() if f".{domain}." in name}
        for domain in ("source", "target")
    )
    assert source.keys() == target.keys() != set()
    assert all(not torch.allclose(value, target[name], rtol=1e-2) for name, value in source.items())
    affine = [name for name in weights(run / "ckpt_last.pth.tar") if name.endswith(".target.weight")]
    assert affine == []  # scale and shift are learnt once, for both
    file = run / "ckpt_best.pth.tar"
    networks = rebuild_networks(load_checkpoint(file), file)
    poses = load_h36m(demo, subjects=TEST_SUBJECTS, downsample=3)
    errors = {d: evaluate(networks, poses, torch.device("cpu"), d).average["mpjpe"] for d in ("source", "target")}
    assert results_of(run)["average"]["mpjpe"] == pytest.approx(errors["target"], rel=1e-5)
    assert errors["source"] != pytest.approx(errors["target"], rel=1e-3)


def test_an_oracle_is_called_one_everywhere(demo, converter, tmp_path):
    words = "oracle selection (target labels)"
    run, process = adapt(demo, converter, tmp_path, "--select", "target")
    assert process.stdout.count(words) == 2  # when it begins and in the report
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar"):
        assert load_checkpoint(run / name)["selection"] == words
    assert json.loads((run / "config.json").read_text())["selection"] == words
    assert results_of(run)["selection"] == words
    again = run_here(SCRIPT, "--evaluate", run)
    assert f"selection: {words}" in again.stdout


def test_the_oracle_chooses_on_the_targets_test_set(demo, converter, tmp_path):
    honest, _ = adapt(demo, converter, tmp_path / "honest")
    oracle, _ = adapt(demo, converter, tmp_path / "oracle", "--select", "target")
    # After one epoch both have the same weights; what the uncertainty means is learnt on the source by either.
    assert_same_calibration(honest, oracle)
    scores = [load_checkpoint(run / "ckpt_last.pth.tar")["training"]["history"][0]["val_mpjpe_mm"] for run in (honest, oracle)]
    networks = rebuild_networks(load_checkpoint(oracle / "ckpt_last.pth.tar"), oracle)
    poses = load_h36m(demo, subjects=TEST_SUBJECTS, downsample=3)
    with torch.no_grad():
        predicted, _ = networks["lifter"](poses.inputs_2d)
    error = torch.linalg.vector_norm(predicted - poses.targets_3d, dim=-1).double().mean().item() * 1000
    assert scores[1] == pytest.approx(error, rel=1e-5)
    assert scores[0] != pytest.approx(error, rel=1e-4)


# --- honesty ------------------------------------------------------------------------------------------------------------


def blank(positions):
    for subject in TRAIN_SUBJECTS:
        for joints in positions[subject].values():
            joints[:] = np.nan


def remove(positions):
    for subject in TRAIN_SUBJECTS:
        del positions[subject]


VIEWS = ["--epochs", 2, "--align", "views", "canonical", "--scale", "box", "--new_poses", "--target_poses"]
BEYOND = ["--align", "canonical", "gpa", "--augment", "--discrepancy", "mkmmd", "--tta", "--test_bn"]
ON_TARGET = ["--no_domain", "--reproject", "--reproject_weight", 1, "--teacher", "--teacher_weight", 1, "--teacher_warmup", 1]
OTHERS = (["--domain_bn", "--grl", "constant", "--domain_weight", 1], BEYOND, ON_TARGET, VIEWS)


@pytest.mark.parametrize("options", [[], *(pytest.param(other, marks=pytest.mark.campaign) for other in OTHERS)])
def test_the_targets_training_labels_change_nothing(demo, converter, tmp_path, options):
    """Bit for bit, whether they are NaN or not there at all; the converter's pairs are gone as well."""
    first, _ = adapt(demo, converter, tmp_path / "first", *options)
    for name, change in (("blank", blank), ("remove", remove)):
        data = change_positions(demo, tmp_path / name, "data_3d_h36m.npz", change)
        (data / "data_3d_h36m_smpl.npz").unlink()
        second, _ = adapt(data, converter, tmp_path / f"{name}_runs", *options)
        assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")
        assert results_of(first)["average"] == results_of(second)["average"]


def test_the_targets_test_labels_choose_nothing(demo, converter, tmp_path):
    """Other test labels give other results, but the same weights and the same best epoch."""

    def enlarge(positions):
        for subject in TEST_SUBJECTS:
            for joints in positions[subject].values():
                joints *= np.float32(1.1)

    data = change_positions(demo, tmp_path / "data", "data_3d_h36m.npz", enlarge)
    first, _ = adapt(demo, converter, tmp_path / "first", "--epochs", 2)
    second, _ = adapt(data, converter, tmp_path / "second", "--epochs", 2)
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar"):
        assert_same_bits(first / name, second / name)
    assert results_of(first)["average"] != results_of(second)["average"]


def test_the_targets_2d_and_the_sources_labels_do_count(demo, converter, tmp_path):
    """Or the tests above would prove nothing."""
    first, _ = adapt(demo, converter, tmp_path / "first")

    def shift(positions):
        for views in positions["S1"].values():
            for pixels in views:
                pixels += 5

    data = change_positions(demo, tmp_path / "2d", "data_2d_h36m_gt.npz", shift)
    second, _ = adapt(data, converter, tmp_path / "second")
    data = copy_data(demo, tmp_path / "labels", "surreal_train.h5")
    shutil.copy(demo / "surreal_train.h5", data)
    with h5py.File(data / "surreal_train.h5", "r+") as file:
        file["joints_3d"][:] *= 1.1
    third, _ = adapt(data, converter, tmp_path / "third")
    for other in (second, third):
        with pytest.raises(AssertionError):
            assert_same_bits(first / "ckpt_last.pth.tar", other / "ckpt_last.pth.tar")


# --- the converter that is taken where none is given --------------------------------------------------------------------


@pytest.mark.campaign
def test_without_a_converter_one_is_trained_first_and_then_found(demo, tmp_path):
    repository = copy_repository(tmp_path / "repository")

    def keep_few(positions):
        for subject in TRAIN_SUBJECTS:
            positions[subject] = {action: positions[subject][action] for action in ("Walk", "Punch")}

    data = change_positions(demo, tmp_path / "data", "data_3d_h36m.npz", keep_few)
    options = ("--dua", "--data_dir", data, "--checkpoint", tmp_path / "runs", *QUICK)
    process = run_script(repository / SCRIPT, *options, cwd=repository)
    lines = process.stdout.splitlines()
    assert lines[0].startswith("experiment: DUA")
    assert lines[1].startswith("converter: none in checkpoint/, so one is trained first: python conversion.py --format h36m")
    made = only_run(repository / "checkpoint" / "conversion")
    newest = f"converter: checkpoint/conversion/{made.name}/ckpt_best.pth.tar, the newest in checkpoint/, trained on {data}"
    assert newest in lines
    assert process.returncode == 0, process.stderr  # the closed form is good on however few poses
    shutil.rmtree(tmp_path / "runs")

    # One that came nowhere near least squares, and that nobody has named, is not taken.
    failed = {"held_out": 0.2, "training_pairs": 0.2}
    save_checkpoint(made / "ckpt_best.pth.tar", load_checkpoint(made / "ckpt_best.pth.tar") | {CHECK: failed})
    with mock.patch("common.adaptation.converter._ROOT", repository):
        process = run_here(SCRIPT, *options)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith(f"error: {made / 'ckpt_best.pth.tar'} failed its own check")
    assert not (tmp_path / "runs").exists()

    passed = {"held_out": 0.01, "training_pairs": 0.01}
    save_checkpoint(made / "ckpt_best.pth.tar", load_checkpoint(made / "ckpt_best.pth.tar") | {CHECK: passed})
    with mock.patch("common.adaptation.converter._ROOT", repository):
        run, process = trained(tmp_path / "runs", run_here(SCRIPT, *options))
    assert newest in process.stdout.splitlines()
    given = load_checkpoint(made / "ckpt_best.pth.tar")["weights"]["converter"]
    kept = load_checkpoint(run / "ckpt_best.pth.tar")["weights"]["converter"]
    assert all(torch.equal(given[name], kept[name]) for name in given)

    with mock.patch("common.adaptation.converter._ROOT", repository):
        again = run_here(SCRIPT, *options)
        assert again.stdout.splitlines()[1] == newest
        assert only_run(repository / "checkpoint" / "conversion") == made
        on_other_data = run_here(SCRIPT, *options, "--data_dir", demo)
    assert f"note: this run's data is {demo}" in on_other_data.stdout.splitlines()[2]


def test_a_converter_that_cannot_be_trained(demo, tmp_path, capfd):
    data = copy_data(demo, tmp_path / "data", "data_3d_h36m_smpl.npz")
    with mock.patch("common.adaptation.converter._ROOT", copy_repository(tmp_path / "repository")):
        process = attempt(tmp_path, SCRIPT, "--dua", "--data_dir", data)
    assert_one_line(process, "training the converter failed", "--converter", "--no_converter")
    why = capfd.readouterr().err  # of conversion.py
    assert "data_3d_h36m_smpl.npz does not exist" in why
    assert len(why.strip().splitlines()) == 1


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_missing_surreal_names_the_command_that_makes_it(demo, converter, tmp_path):
    data = copy_data(demo, tmp_path / "data", "surreal_train.h5", "surreal_test.h5")
    common = ("--data_dir", data)
    assert_one_line(
        attempt(tmp_path, SCRIPT, *common, "--converter", converter, "--dua"),
        "surreal_train.h5 does not exist",
        "data/prepare_data_surreal.py",
    )
    assert_one_line(
        attempt(tmp_path, SCRIPT, *common, "--no_dua"), "surreal_test.h5 does not exist", "data/prepare_data_surreal.py"
    )


def test_a_missing_target_names_the_command_that_makes_it(demo, converter, tmp_path):
    data = copy_data(demo, tmp_path / "data", "data_2d_h36m_gt.npz", "data_2d_h36m_detector.npz", "data_3d_h36m.npz")
    process = attempt(tmp_path, SCRIPT, "--dua", "--data_dir", data, "--converter", converter)
    assert_one_line(process, "data_2d_h36m_gt.npz does not exist", "data/prepare_data_h36m.py")


def test_a_target_with_another_joint_count(demo, converter, tmp_path):
    def cut(positions):
        positions["S1"]["Walk"] = [pixels[:, :14] for pixels in positions["S1"]["Walk"]]

    data = change_positions(demo, tmp_path / "data", "data_2d_h36m_gt.npz", cut)
    process = attempt(tmp_path, SCRIPT, "--dua", "--data_dir", data, "--converter", converter)
    assert_one_line(process, "S1 Walk", "(60, 14, 2)", "J = 16, 17 or 32 was expected")


def test_domains_of_very_different_size_both_cycle(demo, converter, tmp_path):
    def keep_one_take(positions):
        for subject in TRAIN_SUBJECTS:
            positions[subject] = {"Walk": [pixels[:12] for pixels in positions[subject]["Walk"]]}

    data = change_positions(demo, tmp_path / "data", "data_2d_h36m_gt.npz", keep_one_take)
    sizes = ("--downsample", 1, "--limit_batches", 10)
    run, process = adapt(data, converter, tmp_path / "runs", *sizes)
    # 5790 poses of SURREAL are 90 batches of 64; 5 subjects x 4 cameras x 12 frames are 3.
    assert "90 batches an epoch; passes in it: source 1.00, target 30.00" in process.stdout
    assert "source train 5,790" in process.stdout
    assert "target train 2d 240" in process.stdout
    assert load_checkpoint(run / "ckpt_last.pth.tar")["training"]["step"] == 10


def test_a_target_smaller_than_a_batch(demo, converter, tmp_path):
    def keep_little(positions):
        for subject in TRAIN_SUBJECTS:
            positions[subject] = {"Walk": [pixels[:2] for pixels in positions[subject]["Walk"]]}

    data = change_positions(demo, tmp_path / "data", "data_2d_h36m_gt.npz", keep_little)
    process = attempt(tmp_path, SCRIPT, "--dua", "--data_dir", data, "--converter", converter)
    assert_one_line(process, "--batch_size 64 is larger than the 40")


def test_a_converter_to_the_wrong_skeleton(demo, tmp_path):
    wrong = tmp_path / "wrong"
    process = run_here(
        "conversion.py", "--data_dir", demo, "--checkpoint", wrong, "--format", "smpl", "--epochs", 1, "--limit_batches", 1
    )
    assert process.returncode == 0, process.stderr
    process = attempt(tmp_path, SCRIPT, "--dua", "--data_dir", demo, "--converter", only_run(wrong))
    assert_one_line(process, "ckpt_best.pth.tar", "'smpl' skeleton", "'h36m' is needed", "conversion.py --format h36m")


def test_a_converter_that_is_none(demo, finished, tmp_path):
    """A checkpoint of another experiment, even though it holds a converter; no file; no checkpoint."""
    common = (SCRIPT, "--dua", "--data_dir", demo, "--converter")
    assert_one_line(attempt(tmp_path, *common, finished[0]), "experiment 'surreal_dua'", "conversion.py")
    assert_one_line(attempt(tmp_path, *common, tmp_path / "no.pth.tar"), "no.pth.tar does not exist")
    (tmp_path / "text.pth.tar").write_text("no checkpoint")
    assert_one_line(attempt(tmp_path, *common, tmp_path / "text.pth.tar"), "text.pth.tar", "cannot be read")


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_of_the_other_experiment(finished, in_domain, tmp_path, option):
    assert_one_line(attempt(tmp_path, SCRIPT, option, finished[0], "--no_dua"), "'surreal_dua'", "leave out --no_dua")
    assert_one_line(attempt(tmp_path, SCRIPT, option, in_domain[0], "--dua"), "'surreal_prob'", "leave out --dua")
    assert_one_line(attempt(tmp_path, "train_h36m_dan.py", option, finished[0]), "'surreal_dua'", "'h36m_dua'")


def test_a_run_is_not_resumed_as_another(finished, tmp_path):
    run, _ = finished
    for option, name in (
        (["--domain_weight", 1], "domain_weight"),
        (["--select", "target"], "select"),
        (["--network", "semgcn"], "network"),
    ):
        assert_one_line(attempt(tmp_path, SCRIPT, "--resume", run, *option), name, "ckpt_last.pth.tar")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--non_local"], ["--non_local", "--network semgcn"]),
        (["--non_local", "--no_dua"], ["--non_local", "--network semgcn"]),
        (["--domain_weight", "-1"], ["--domain_weight -1.0"]),
        (["--domain_weight", "nan"], ["--domain_weight nan"]),
        (["--grl_steps", "0"], ["--grl_steps 0"]),
        (["--domain_hid_dim", "0"], ["--domain_hid_dim 0"]),
        (["--batch_size", "100000"], ["100000", "larger than"]),
        (["--actions", "Flying"], ["Flying"]),
    ],
)
def test_values_that_cannot_be_meant(demo, converter, tmp_path, arguments, words):
    which = [] if "--no_dua" in arguments else ["--dua", "--converter", converter]
    assert_one_line(attempt(tmp_path, SCRIPT, "--data_dir", demo, *which, *arguments), *words)


@pytest.mark.parametrize("option", [["--no_uncertainty"], ["--select", "target"], ["--domain_weight", 0], ["--keypoints", "cpn"]])
def test_options_of_dua_are_refused_in_domain(demo, tmp_path, option):
    assert_one_line(attempt(tmp_path, SCRIPT, "--data_dir", demo, "--no_dua", *option), option[0], "in domain", "--dua")
