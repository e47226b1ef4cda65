"""Options that go beyond DUA, as the two training scripts take them."""

import json

import numpy as np
import pytest
import torch

from common.adaptation.beyond import adapted_batches
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m_2d
from common.datasets.poses import split_validation
from common.datasets.surreal import load_surreal
from common.evaluation.evaluate import validate
from common.training.arguments import Arguments
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from common.uncertainty.report import source_validation
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    run_here,
    trained,
)

OFF = ("--no_converter", "--no_uncertainty", "--no_domain")
OPTIONS = {
    "gpa": ("--align", "gpa"),
    "canonical": ("--align", "canonical"),
    "canonical+gpa+augment": ("--align", "gpa", "canonical", "--augment"),
    "mkmmd": ("--discrepancy", "mkmmd"),
    "coral+tta+test_bn": ("--discrepancy", "coral", "--tta", "--test_bn"),
}
SCRIPTS = {"surreal": ("train_surreal.py", "--dua"), "h36m": ("train_h36m_dan.py",)}


def adapt(demo, folder, *arguments, source="surreal"):
    return trained(folder, run_here(*SCRIPTS[source], "--data_dir", demo, "--checkpoint", folder, *QUICK, *arguments))


def results_of(run):
    return json.loads((run / "results.json").read_text())


@pytest.mark.parametrize("source", SCRIPTS)
@pytest.mark.parametrize("name", OPTIONS)
def test_each_works_alone_and_is_named(demo, tmp_path, source, name):
    off = OFF[:2] if "--discrepancy" in OPTIONS[name] else OFF
    run, process = adapt(demo, tmp_path, *off, *OPTIONS[name], source=source)
    results = results_of(run)
    assert "+".join(results["modules"]) == name
    assert f" + {results['modules'][0]}" in process.stdout
    assert np.isfinite(results["average"]["mpjpe"])
    assert set(load_checkpoint(run / "ckpt_best.pth.tar")["networks"]) == {"lifter"}


def test_each_changes_what_is_learnt(demo, tmp_path):
    plain, _ = adapt(demo, tmp_path / "plain", *OFF)
    fed, _ = adapt(demo, tmp_path / "fed", *OFF[:2], "--domain_weight", 0)  # target batches alone
    options = {"gpa": OPTIONS["gpa"], "canonical": OPTIONS["canonical"], "augment": ("--augment",), "mkmmd": OPTIONS["mkmmd"]}
    for name, given in options.items():
        off, rival = (OFF[:2], fed) if name == "mkmmd" else (OFF, plain)
        other, _ = adapt(demo, tmp_path / name, *off, *given)
        with pytest.raises(AssertionError):
            assert_same_bits(rival / "ckpt_last.pth.tar", other / "ckpt_last.pth.tar")


def test_a_run_with_drawn_views_resumes_to_the_same_bits(demo, converter, tmp_path):
    folder = tmp_path / "runs"
    arguments = ("--converter", converter, "--epochs", 2, "--snapshot", 1, *OPTIONS["canonical+gpa+augment"])
    run, _ = adapt(demo, folder, *arguments)
    assert_resumes_to_the_same_bits("train_surreal.py", run, "snapshot_epoch_1.pth.tar", tmp_path)


def test_options_of_the_test_can_be_given_to_a_trained_run(demo, tmp_path):
    run, _ = adapt(demo, tmp_path, *OFF)
    plain = results_of(run)["average"]["mpjpe"]
    for option in ("--tta", "--test_bn"):
        process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, option)
        assert process.returncode == 0, process.stderr
        tested = json.loads((run / f"results_ckpt_best_gt_{option[2:]}.json").read_text())
        assert tested["modules"] == [option[2:]]
        assert tested["average"]["mpjpe"] != plain
    assert results_of(run)["average"]["mpjpe"] == plain


def test_canonical_checkpoints_are_tested_in_their_cameras(demo, tmp_path):
    """`evaluate.py` counts what the script counted."""
    run, _ = adapt(demo, tmp_path / "runs", *OFF, "--align", "canonical")
    process = run_here("evaluate.py", run, "--data_dir", demo, "--downsample", 3, "--out", tmp_path / "table")
    assert process.returncode == 0, process.stderr
    assert f"{results_of(run)['average']['mpjpe']:.1f}" in (tmp_path / "table.csv").read_text()


def test_validation_poses_are_seen_as_training_sees_them(demo):
    poses = load_surreal(demo, "train", downsample=10)

    def target():
        return load_h36m_2d(demo, subjects=TRAIN_SUBJECTS, downsample=10)

    def batches(align):
        args = Arguments(align=align, augment=False, given=set(), domain_on=False, batch_size=64, seed=5)
        anew, chosen_on, sizes = adapted_batches(args, *split_validation(poses), target, torch.device("cpu"))
        return anew, chosen_on(), sizes

    _, plain, sizes = batches([])
    assert torch.equal(plain.inputs_2d, split_validation(poses)[1].inputs_2d)
    assert "target_train_2d" not in sizes
    anew, aligned, sizes = batches(["gpa"])
    assert sizes["target_train_2d"] == len(target())
    roots_t = {tuple(root.tolist()) for root in target().inputs_2d[:, 0]}
    near = [min(np.hypot(x - a, y - b) for a, b in roots_t) for x, y in aligned.inputs_2d[:20, 0].tolist()]
    assert max(near) < 1e-4  # each stands where a target's root was seen
    assert torch.equal(aligned.targets_3d, plain.targets_3d)
    assert torch.equal(batches(["gpa"])[1].inputs_2d, aligned.inputs_2d)
    assert len(next(anew.epoch(0))) == 2  # nothing compares the domains


def test_bad_combinations(demo, converter, tmp_path):
    data = ("--data_dir", demo, "--converter", converter, *QUICK)

    def refused(script, *options):
        return attempt(tmp_path, *SCRIPTS[script], *data, *options)

    assert_one_line(refused("surreal", "--discrepancy", "coral", "--no_domain"), "--no_domain", "--discrepancy")
    assert_one_line(refused("surreal", "--discrepancy_weight", -1), "--discrepancy_weight -1")
    assert_one_line(refused("surreal", "--discrepancy_weight", 1), "--discrepancy_weight", "leave it out")
    assert_one_line(refused("surreal", "--discrepancy", "coral", "--grl", "warm"), "--grl", "leave it out")
    assert_one_line(refused("h36m", "--domain_bn", "--no_domain"), "--domain_bn", "leave it out")
    assert_one_line(refused("h36m", "--augment", "--keypoints", "cpn_ft_h36m_dbb"), "cpn_ft_h36m_dbb", "perfect 2D")
    process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--data_dir", demo, "--augment")
    assert_one_line(process, "--augment", "of no use in domain")


def test_a_run_keeps_its_options(demo, tmp_path):
    run, _ = adapt(demo, tmp_path / "made", *OFF, "--align", "gpa", "canonical", "--epochs", 2)
    for option in (("--align", "canonical"), ("--augment",), ("--discrepancy", "coral")):
        process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, *option)
        assert_one_line(process, option[0], "leave it out")
    process = run_here(
        "train_surreal.py", "--evaluate", run, "--data_dir", demo, "--align", "canonical", "gpa", "--downsample", 3
    )
    assert process.returncode == 0, process.stderr
    # A checkpoint that is older than the options had none of them.
    path = run / "ckpt_best.pth.tar"
    checkpoint = load_checkpoint(path)
    for name in ("align", "augment", "discrepancy", "tta", "test_bn"):
        del checkpoint["arguments"][name]
    save_checkpoint(path, checkpoint)
    process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, "--align", "canonical")
    assert_one_line(process, "--align", "leave it out")


@pytest.mark.parametrize("options", [OPTIONS["canonical"], OPTIONS["canonical+gpa+augment"]])
def test_a_calibration_can_be_made_again_from_the_source(demo, tmp_path, options):
    """Of validation poses as the run saw them; so MC-dropout is calibrated on what the estimator was."""
    run, _ = adapt(demo, tmp_path / "made", *OFF[::2], *options)
    path = run / "ckpt_best.pth.tar"
    checkpoint = load_checkpoint(path)
    networks = rebuild_networks(checkpoint, path)
    poses = source_validation(path, checkpoint, networks, str(demo), downsample=3)
    again = validate(networks, poses, torch.device("cpu")).calibration
    assert again.to_dict() == checkpoint["calibration"]


@pytest.mark.parametrize(
    ("options", "selection"),
    [
        (("--select", "target", "--align", "canonical"), "oracle selection (target labels)"),
        (("--domain_bn", "--test_bn", "--align", "gpa", "--augment"), "source validation"),
    ],
)
def test_options_that_meet_go_together(demo, converter, tmp_path, options, selection):
    run, _ = adapt(demo, tmp_path, "--converter", converter, *options)
    results = results_of(run)
    assert results["selection"] == selection
    assert np.isfinite(results["average"]["mpjpe"])
