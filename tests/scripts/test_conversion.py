"""`conversion.py`: as good as least squares, from training subjects alone, in both directions."""

import argparse
import json
import math
import os
import shutil

import numpy as np
import pytest
import torch

from common.adaptation.converter import (
    CHECK,
    FORMATS,
    failed_check,
    find_or_train_converter,
    least_squares,
    load_converter,
    newest_converter,
)
from common.datasets.batches import ShuffledBatches
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS
from common.datasets.poses import split_validation
from common.datasets.smpl import load_pairs
from common.errors import DuaError
from common.geometry.joints_in_2d import BackToInputs
from common.geometry.skeleton import JOINT_NAMES
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from models.pose_converter import ARCHITECTURES, PoseConverter
from tests.conftest import run_script
from tests.helpers.script_tools import (
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    change_positions,
    copy_data,
    only_run,
    run_here,
    trained,
)

SHORT = ("--device", "cpu", "--epochs", 1, "--batch_size", 256, "--limit_batches", 5)


def train(folder, *arguments, run=run_here):
    return trained(folder, run("conversion.py", "--checkpoint", folder, *arguments))


@pytest.fixture(scope="module")
def finished(demo, tmp_path_factory):
    """(run folder, process) of a run that trains all its epochs, from no correction at all."""
    folder = tmp_path_factory.mktemp("conversion")
    options = ("--format", "smpl", "--architecture", "map", "--snapshot", 5, "--device", "cpu", "--start", "identity")
    return train(folder, "--data_dir", demo, *options, run=run_script)


@pytest.fixture(scope="module")
def pairs(demo):
    return load_pairs(demo)


def against_least_squares(run):
    report = json.loads((run / "conversion.json").read_text())
    before, after, closed_form = report["mean"]
    assert before > 5 * closed_form, "there is nothing to convert"
    return after / closed_form - 1


def test_a_run_leaves_what_it_promises(finished):
    run, process = finished
    assert {path.name for path in run.iterdir()} == {
        "ckpt_best.pth.tar", "ckpt_last.pth.tar", "snapshot_epoch_5.pth.tar", "snapshot_epoch_10.pth.tar", "config.json", "log.csv",
        "curves.png", "conversion.json",
    }  # fmt: skip
    for word in (*JOINT_NAMES, "Punch", "before", "after", "least squares", "to the skeleton of smpl", "trained against"):
        assert word in process.stdout
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["experiment"] == "conversion"
    assert checkpoint["skeleton"]["definition"] == "smpl"
    assert checkpoint["source"] == "h36m"
    assert checkpoint["networks"] == {"converter": {"name": "converter", "num_joints": 16, "architecture": "map"}}


def test_the_report_counts_what_its_columns_say(finished, pairs):
    """Errors on held-out pairs, in millimetres, counted again from the files."""
    run, _ = finished
    report = json.loads((run / "conversion.json").read_text())
    train, held_out = split_validation(pairs)
    converter, _ = load_converter(run, "smpl", "shoulder")
    solved = least_squares(train.h36m, train.smpl, "map")
    with torch.no_grad():
        columns = [held_out.h36m, converter.convert(held_out.h36m), solved.convert(held_out.h36m)]
        errors = [torch.linalg.vector_norm(c - held_out.smpl, dim=-1).double() * 1000 for c in columns]
    np.testing.assert_allclose(report["mean"], [float(e.mean()) for e in errors], rtol=1e-4)
    np.testing.assert_allclose(
        report["joints"]["Head"], [float(e[:, JOINT_NAMES.index("Head")].mean()) for e in errors], rtol=1e-4
    )
    assert set(report["actions"]) == {"Punch"}  # the demo's validation clip
    assert report["joints"]["Hip"] == [0, 0, 0]


@pytest.mark.campaign
def test_default_options_come_within_5_percent_of_least_squares(tmp_path):
    """On the demo as it is built for users: the small one of the other tests has a sixth of the steps."""
    built = run_script("data/prepare_data_demo.py", "--out", tmp_path / "demo")
    assert built.returncode == 0, built.stderr
    run, process = train(tmp_path / "runs", "--data_dir", tmp_path / "demo", "--device", "cpu")
    assert against_least_squares(run) < 0.05
    assert "more than 5%" not in process.stdout


@pytest.mark.parametrize(("made", "architecture"), [("smpl", "residual"), ("h36m", "map")])
def test_other_formats_and_architectures_come_within_5_percent(demo, tmp_path, made, architecture):
    options = ("--format", made, "--architecture", architecture, "--device", "cpu")
    run, process = train(tmp_path, "--data_dir", demo, *options)
    assert against_least_squares(run) < 0.05
    assert f"to the skeleton of {made}" in process.stdout


def test_the_defaults_suffice_even_for_the_small_demo_with_the_map(finished):
    assert against_least_squares(finished[0]) < 0.05


def test_too_little_training_is_said(demo, tmp_path):
    run, process = train(tmp_path, "--data_dir", demo, *SHORT, "--start", "identity")
    assert against_least_squares(run) > 0.05
    verdict = load_checkpoint(run / "ckpt_best.pth.tar")[CHECK]
    assert verdict == json.loads((run / "conversion.json").read_text())["trained_against_least_squares"]
    assert verdict["held_out"] == pytest.approx(against_least_squares(run))
    assert failed_check(verdict)
    assert "more than 5%: training did not reach the best converter; train longer, --epochs" in process.stdout


# --- where training starts, and when it has settled ---------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("made", FORMATS)
def test_from_the_closed_form_training_settles_at_once_and_is_no_worse(demo, tmp_path, made, architecture):
    run, process = train(tmp_path, "--data_dir", demo, "--format", made, "--architecture", architecture, "--device", "cpu")
    checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
    assert -0.05 < against_least_squares(run) < 1e-4
    epochs, errors = checkpoint["training"]["epoch"], [row["val_mpjpe_mm"] for row in checkpoint["training"]["history"]]
    assert 1 <= epochs < 10
    assert checkpoint["training"]["settled"]
    assert f"settled: epoch {epochs} lowered the error by less than 0.1%; --settled 0 trains all 10" in process.stdout
    # Every epoch but the last lowered the least error so far, of which the closed form's is the first, by a thousandth.
    closed_form = json.loads((run / "conversion.json").read_text())["mean"][2]
    steps = [after / before for before, after in zip([closed_form, *errors[:-1]], errors, strict=True)]
    assert all(step <= 0.999 for step in steps[:-1])
    assert steps[-1] > 0.999
    best = load_checkpoint(run / "ckpt_best.pth.tar")
    assert best["training"]["best"] == pytest.approx(min([closed_form, *errors]), rel=1e-4)
    assert (checkpoint["arguments"]["batch_size"], checkpoint["arguments"]["lr"]) == (1024, 3e-5)


def test_the_start_is_the_closed_form_itself(pairs):
    """Weights in whitened coordinates are others, the map is the same."""
    for architecture in ARCHITECTURES:
        solved, started = least_squares(pairs.smpl, pairs.h36m, architecture), PoseConverter(architecture=architecture)
        started.whiten(pairs.smpl[:, 1:].flatten(1))
        started.become(solved)
        poses = pairs.smpl[::50]
        with torch.no_grad():
            torch.testing.assert_close(started.convert(poses), solved.convert(poses), atol=2e-6, rtol=0)
        again = PoseConverter(architecture=architecture)
        again.become(started)
        with torch.no_grad():
            torch.testing.assert_close(again.convert(poses), solved.convert(poses), atol=2e-6, rtol=0)


def test_a_settled_run_goes_on_only_when_asked_and_to_the_same_bits(demo, tmp_path):
    """Whole epochs by `--settled 0`; from a snapshot of one of them, the same run; and where the rule ends it, resuming ends there too."""
    options = ("--data_dir", demo, "--device", "cpu", "--epochs", 3)
    whole, process = train(tmp_path / "whole", *options, "--settled", 0, "--snapshot", 1)
    assert len(load_checkpoint(whole / "ckpt_last.pth.tar")["training"]["history"]) == 3
    assert "settled: " not in process.stdout
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(whole / "snapshot_epoch_1.pth.tar", copy)
    assert run_here("conversion.py", "--resume", copy / "snapshot_epoch_1.pth.tar").returncode == 0
    assert_same_bits(whole / "ckpt_last.pth.tar", copy / "ckpt_last.pth.tar")

    short, _ = train(tmp_path / "short", *options, "--settled", 0.5, "--snapshot", 1)
    assert load_checkpoint(short / "ckpt_last.pth.tar")["training"]["epoch"] == 1
    assert_one_line(run_here("conversion.py", "--resume", short), "has settled after 1 epochs", "--settled 0")
    (short / "conversion.json").unlink()  # killed before its report, which is all that is left to do
    process = run_here("conversion.py", "--resume", short)
    assert process.returncode == 0, process.stderr
    assert load_checkpoint(short / "ckpt_last.pth.tar")["training"]["epoch"] == 1
    assert (short / "conversion.json").exists()
    process = run_here("conversion.py", "--resume", short, "--settled", 0)
    assert process.returncode == 0, process.stderr
    assert_same_bits(whole / "ckpt_last.pth.tar", short / "ckpt_last.pth.tar")


def test_without_held_out_pairs_the_training_loss_settles_it(demo, tmp_path):
    run, process = train(tmp_path, "--data_dir", demo, "--device", "cpu", "--select", "last", "--settled", 0.5)
    history = load_checkpoint(run / "ckpt_last.pth.tar")["training"]["history"]
    assert len(history) == 2
    assert history[1]["loss"] > 0.5 * history[0]["loss"]
    assert "settled: epoch 2" in process.stdout
    assert "epoch   0" not in process.stdout


def test_the_published_start_is_random_numbers_of_the_seed(demo, tmp_path):
    runs = {
        name: train(tmp_path / name, "--data_dir", demo, *SHORT, "--start", "random", "--lr", 1e-9, "--seed", seed)[0]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    first, same, other = (load_checkpoint(runs[name] / "ckpt_last.pth.tar")["weights"]["converter"] for name in "abc")
    assert torch.equal(first["weight"], same["weight"])
    assert not torch.allclose(first["weight"], other["weight"], atol=1e-3)
    assert torch.equal(first["whitening"], torch.eye(45)[None])
    assert not first["mean"].any()
    assert first["weight"].abs().max() <= 45**-0.5 + 1e-6
    assert first["weight"].std() == pytest.approx((45 * 3) ** -0.5, rel=0.05)  # of the uniform distribution
    # What is used is the same map, which knows the poses that it was made of.
    checkpoint = load_checkpoint(runs["a"] / "ckpt_best.pth.tar")
    used, begun = (
        rebuild_networks(of, runs["a"])["converter"] for of in (checkpoint, checkpoint | {"weights": {"converter": first}})
    )
    assert used.knows_its_inputs()
    assert not begun.knows_its_inputs()
    poses = load_pairs(demo, downsample=40).smpl
    with torch.no_grad():
        torch.testing.assert_close(used.convert(poses), begun.convert(poses), atol=1e-4, rtol=0)
    BackToInputs.of(used)
    with pytest.raises(DuaError, match=r"train one anew: python conversion\.py"):
        BackToInputs.of(begun)


def test_few_pairs_make_smaller_batches(demo, tmp_path):
    run, _ = train(tmp_path, "--data_dir", demo, "--device", "cpu", "--downsample", 40, "--epochs", 1)
    config = json.loads((run / "config.json").read_text())
    size, poses = config["arguments"]["batch_size"], config["poses"]["train"]
    assert size <= poses < 2 * size
    assert poses < 1024


def test_resuming_a_snapshot_ends_in_the_same_bits(finished, tmp_path):
    assert_resumes_to_the_same_bits("conversion.py", finished[0], "snapshot_epoch_5.pth.tar", tmp_path)


def test_evaluate_needs_no_options(finished, tmp_path):
    run, _ = finished
    moved = tmp_path / "moved.pth.tar"
    moved.write_bytes((run / "ckpt_best.pth.tar").read_bytes())
    process = run_here("conversion.py", "--evaluate", moved)
    assert process.returncode == 0, process.stderr
    again, first = (json.loads((folder / "conversion.json").read_text()) for folder in (tmp_path, run))
    assert again == first


def test_another_test_of_a_converter_leaves_its_report(finished, tmp_path):
    """Of other pairs, or of another checkpoint; its verdict stays that of all pairs."""
    run = shutil.copytree(finished[0], tmp_path / "run")
    report, verdict = (run / "conversion.json").read_bytes(), load_checkpoint(run / "ckpt_best.pth.tar")[CHECK]
    for options, made in (
        (("--evaluate", run, "--downsample", 5), "conversion_ckpt_best_every_5.json"),
        (("--evaluate", run / "snapshot_epoch_5.pth.tar"), "conversion_snapshot_epoch_5.json"),
    ):
        process = run_here("conversion.py", *options)
        assert process.returncode == 0, process.stderr
        assert json.loads((run / made).read_text())["mean"] != json.loads(report)["mean"]
        assert (run / "conversion.json").read_bytes() == report
    assert json.loads((run / "conversion_ckpt_best_every_5.json").read_text())["downsample"] == 5
    assert load_checkpoint(run / "ckpt_best.pth.tar")[CHECK] == verdict
    assert run_here("conversion.py", "--evaluate", run).returncode == 0
    assert json.loads((run / "conversion.json").read_text()) == json.loads(report)


@pytest.mark.parametrize(("option", "value", "stored"), [("--format", "h36m", "smpl"), ("--architecture", "residual", "map")])
def test_a_checkpoint_is_not_evaluated_as_what_it_is_not(finished, tmp_path, option, value, stored):
    process = attempt(tmp_path, "conversion.py", "--evaluate", finished[0], option, value)
    assert_one_line(process, option, value, stored)


# --- pairs --------------------------------------------------------------------------------------------------------------


def test_the_test_subjects_joints_change_nothing(demo, tmp_path):
    """Neither where they are NaN, nor where those subjects are gone."""

    def blank(positions):
        for subject in TEST_SUBJECTS:
            for joints in positions[subject].values():
                joints[:] = np.nan

    def remove(positions):
        for subject in TEST_SUBJECTS:
            del positions[subject]

    first, _ = train(tmp_path / "first", "--data_dir", demo, *SHORT)
    for name, change in (("blank", blank), ("remove", remove)):
        data = change_positions(demo, tmp_path / name, "data_3d_h36m_smpl.npz", change)
        second, _ = train(tmp_path / f"{name}_runs", "--data_dir", data, *SHORT)
        assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")


def test_the_training_subjects_joints_do_change_it(demo, tmp_path):
    """Or the test above would prove nothing. Frames without a fit are counted, in all four cameras."""

    def blank(positions):
        positions["S1"]["Walk"][:7] = np.nan

    first, _ = train(tmp_path / "first", "--data_dir", demo, *SHORT)
    data = change_positions(demo, tmp_path / "data", "data_3d_h36m_smpl.npz", blank)
    second, process = train(tmp_path / "second", "--data_dir", data, *SHORT)
    assert "left out 28" in process.stdout
    with pytest.raises(AssertionError):
        assert_same_bits(first / "ckpt_last.pth.tar", second / "ckpt_last.pth.tar")


# --- least squares, whitening -------------------------------------------------------------------------------------------


def design(poses, architecture):
    """(inputs of every linear problem that the architecture consists of), float64: one of 45 columns, or three of 15."""
    vectors = poses[:, 1:].double().flatten(1).numpy()
    return [vectors] if architecture == "residual" else [vectors[:, axis::3] for axis in range(3)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("made", FORMATS)
def test_least_squares_is_numpys(pairs, made, architecture):
    """Predictions, not weights, are compared: joints of rigid parts depend on each other, so weights are not unique."""
    source, goal = (getattr(pairs, name) for name in FORMATS[made])
    converter = least_squares(source, goal, architecture)
    with torch.no_grad():
        converted = design(converter.convert(source), architecture)
    for x, y, got in zip(design(source, architecture), design(goal, architecture), converted, strict=True):
        padded = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        expected = padded @ np.linalg.lstsq(padded, y, rcond=1e-6)[0]
        np.testing.assert_allclose(got, expected, atol=2e-6)  # a five-hundredth of a millimetre, in float32
        # What numpy's own cut-off gains lies below what float32 rounds.
        finest = padded @ np.linalg.lstsq(padded, y, rcond=None)[0]
        assert np.mean((got - y) ** 2) < np.mean((finest - y) ** 2) * 1.01 + 1e-12
    assert converter.weight.abs().max() < 100


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_whitening_changes_no_map(pairs, architecture):
    """The closed form, written with a whitening as V P and without one as W, converts alike; and V = 0 is no correction."""
    solved = least_squares(pairs.smpl, pairs.h36m, architecture).double()
    whitened = PoseConverter(architecture=architecture).double()
    whitened.whiten(pairs.smpl[:, 1:].flatten(1).double())
    poses = pairs.smpl[::50].double()
    with torch.no_grad():
        assert torch.equal(whitened.convert(poses), poses)
        whitened.weight.copy_(solved.weight @ torch.linalg.inv(whitened.whitening))
        whitened.bias.copy_(solved.bias + torch.einsum("cji,ci->cj", solved.weight, whitened.mean))
        torch.testing.assert_close(whitened.convert(poses), solved.convert(poses), atol=1e-8, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_whitened_inputs_are_white(pairs, architecture):
    converter = PoseConverter(architecture=architecture).double()
    vectors = pairs.h36m[:, 1:].flatten(1).double()
    converter.whiten(vectors)
    x = vectors.unflatten(1, (-1, len(converter.weight))) - converter.mean.T
    for axis in range(len(converter.weight)):
        white = x[:, :, axis] @ converter.whitening[axis].T
        variances, covariance = white.var(dim=0), white.T @ white / len(white)
        assert white.mean(dim=0).abs().max() < 1e-9
        assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-6
        assert variances.max() < 1.01
        assert (variances > 0.99).sum() > len(variances) / 2  # the rest are directions that do not vary


def test_whitening_is_of_use(pairs):
    """The same few steps of gradient descent come nearer to the closed form with it than without."""
    train, _ = split_validation(pairs)
    errors = {}
    for whiten in (False, True):
        converter = PoseConverter()
        if whiten:
            converter.whiten(train.smpl[:, 1:].flatten(1))
        optimizer = torch.optim.Adam(converter.parameters(), lr=1e-3)
        for x, y in ShuffledBatches(train.smpl, train.h36m, batch_size=256, seed=0).epoch(0):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(converter.convert(x), y).backward()
            optimizer.step()
        errors[whiten] = torch.nn.functional.mse_loss(converter.convert(train.smpl), train.h36m).item()
    assert errors[True] < errors[False]


# --- finding a converter ------------------------------------------------------------------------------------------------


def test_the_newest_of_the_right_format_is_found(finished, converter, tmp_path):
    assert newest_converter(tmp_path, "h36m", "shoulder") is None
    places = {"a": converter, "deep/b": converter, "c": finished[0]}
    (tmp_path / "unfinished").mkdir()  # no conversion.json: it was cut off, or still trains
    for file in ("ckpt_best.pth.tar", "config.json"):
        (tmp_path / "unfinished" / file).write_bytes((converter / file).read_bytes())
    for age, (name, run) in enumerate(places.items()):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for file in ("ckpt_best.pth.tar", "config.json", "conversion.json"):
            (folder / file).write_bytes((run / file).read_bytes())
        stamp = 1_000_000_000 + age
        os.utime(folder / "ckpt_best.pth.tar", (stamp, stamp))
    assert newest_converter(tmp_path, "h36m", "shoulder") == tmp_path / "deep/b/ckpt_best.pth.tar"
    assert newest_converter(tmp_path, "smpl", "shoulder") == tmp_path / "c/ckpt_best.pth.tar"
    (tmp_path / "deep/b/ckpt_best.pth.tar").write_bytes(b"damaged")
    assert newest_converter(tmp_path, "h36m", "shoulder") == tmp_path / "a/ckpt_best.pth.tar"


def test_the_given_converter_is_used_and_said(converter, capsys):
    network, description = find_or_train_converter(str(converter), "h36m", argparse.Namespace(smpl_shoulders="shoulder"))
    assert description["name"] == "converter"
    assert isinstance(network, PoseConverter)
    assert capsys.readouterr().out == f"converter: {converter}, as --converter says\n"


def checked(converter, folder, **verdict):
    """A copy of a converter's run in `folder` whose checkpoint says what its check found, or nothing, as older ones."""
    run = shutil.copytree(converter, folder / "checkpoint" / "conversion" / "run")
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    del checkpoint[CHECK]
    save_checkpoint(run / "ckpt_best.pth.tar", checkpoint | ({CHECK: verdict} if verdict else {}))
    return run


@pytest.mark.parametrize("worst", [9.82, 0.05, math.nan])
def test_a_converter_that_failed_its_check_must_be_named(converter, tmp_path, capsys, monkeypatch, worst):
    run = checked(converter, tmp_path, held_out=0.01, training_pairs=worst)
    monkeypatch.setattr("common.adaptation.converter._ROOT", tmp_path)
    args = argparse.Namespace(smpl_shoulders="shoulder", data_dir="data/demo")
    with pytest.raises(
        DuaError, match=r"ckpt_best.pth.tar failed its own check: .*--format h36m --data_dir data/demo --epochs N.*--converter"
    ):
        find_or_train_converter(None, "h36m", args)
    capsys.readouterr()
    network, _ = find_or_train_converter(str(run), "h36m", args)
    assert isinstance(network, PoseConverter)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"warning: {run / 'ckpt_best.pth.tar'} failed its own check: it errs {worst:.0%} more")


@pytest.mark.parametrize("verdict", [{"held_out": 0.049, "training_pairs": -0.02}, {}])
def test_one_that_passed_or_is_older_than_the_check_is_taken_without_a_word(converter, tmp_path, capsys, monkeypatch, verdict):
    run = checked(converter, tmp_path, **verdict)
    monkeypatch.setattr("common.adaptation.converter._ROOT", tmp_path)
    args = argparse.Namespace(
        smpl_shoulders="shoulder", data_dir=load_checkpoint(run / "ckpt_best.pth.tar")["arguments"]["data_dir"]
    )
    for given in (None, str(run), str(run.parent)):
        assert isinstance(find_or_train_converter(given, "h36m", args)[0], PoseConverter)
    assert capsys.readouterr().err == ""
    save_checkpoint(run / "ckpt_best.pth.tar", load_checkpoint(run / "ckpt_best.pth.tar") | {CHECK: "passed"})
    with pytest.raises(DuaError, match=f"its {CHECK} is not what"):
        load_converter(run, "h36m", "shoulder")


def test_a_converter_to_the_other_skeleton_is_refused(finished):
    with pytest.raises(DuaError, match=r"'smpl' skeleton, 'h36m' is needed: python conversion.py --format h36m"):
        load_converter(finished[0], "h36m", "shoulder")


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_missing_pairs_name_the_command_that_makes_them(demo, tmp_path):
    data = copy_data(demo, tmp_path / "data", "data_3d_h36m_smpl.npz")
    process = attempt(tmp_path, "conversion.py", "--data_dir", data)
    assert_one_line(process, "data_3d_h36m_smpl.npz does not exist", "data/prepare_data_h36m_smpl.py")


def test_a_missing_training_subject_lists_the_known(demo, tmp_path):
    data = change_positions(demo, tmp_path / "data", "data_3d_h36m_smpl.npz", lambda positions: positions.pop("S7"))
    assert_one_line(attempt(tmp_path, "conversion.py", "--data_dir", data), "S7", "S1, S11, S5, S6, S8, S9")


def test_pairs_without_any_fit(demo, tmp_path):
    def blank(positions):
        for subject in TRAIN_SUBJECTS:
            for joints in positions[subject].values():
                joints[:] = np.nan

    data = change_positions(demo, tmp_path / "data", "data_3d_h36m_smpl.npz", blank)
    assert_one_line(attempt(tmp_path, "conversion.py", "--data_dir", data), "data_3d_h36m_smpl.npz", "no usable sequence")


def test_pairs_with_another_joint_count(demo, tmp_path):
    def cut(positions):
        positions["S1"]["Walk"] = positions["S1"]["Walk"][:, :22]

    data = change_positions(demo, tmp_path / "data", "data_3d_h36m_smpl.npz", cut)
    assert_one_line(attempt(tmp_path, "conversion.py", "--data_dir", data), "S1 Walk", "22, 3", "24 joints of SMPL")


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
def test_a_checkpoint_of_another_experiment(demo, tmp_path, option):
    other = tmp_path / "other"
    assert run_here("main_prob.py", "--data_dir", demo, "--checkpoint", other, *SHORT, "--hid_dim", 8).returncode == 0
    process = attempt(tmp_path, "conversion.py", option, only_run(other))
    assert_one_line(process, "experiment 'prob'", "experiment 'conversion'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--actions", "Flying"], ["Flying", "Walk"]), (["--actions", "Walk"], ["no clip for validation"]), (["--batch_size", "9999999"], ["9999999"])],
)  # fmt: skip
def test_values_that_cannot_be_meant(demo, tmp_path, arguments, words):
    assert_one_line(attempt(tmp_path, "conversion.py", "--data_dir", demo, *arguments), *words)


def test_a_converter_for_other_shoulders_is_refused(finished):
    with pytest.raises(DuaError, match="smpl_shoulders"):
        load_converter(finished[0], "smpl", "collar")
