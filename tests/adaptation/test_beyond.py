"""Options that go beyond DUA, as the two training scripts take them."""

import json
from unittest import mock

import numpy as np
import pytest
import torch

from common.adaptation.training_views import adapted_batches
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m, load_h36m_2d
from common.datasets.poses import split_validation
from common.datasets.surreal import load_surreal
from common.datasets.views import Scale
from common.evaluation.evaluate import predict, validate
from common.geometry.camera import image_coordinates
from common.prediction.predictor import Predictor
from common.training.arguments import Arguments
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from common.uncertainty.consistency import distance_from_rays
from common.uncertainty.shown import source_validation
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    change_positions,
    only_run,
    run_here,
    trained,
    weights,
)

OFF = ("--no_converter", "--no_uncertainty", "--no_domain")
OPTIONS = {
    "gpa": ("--align", "gpa"),
    "canonical": ("--align", "canonical"),
    "canonical+gpa+augment": ("--align", "gpa", "canonical", "--augment"),
    "mkmmd": ("--discrepancy", "mkmmd"),
    "reproject": ("--reproject",),
    "new_poses": ("--new_poses",),
    "target_poses": ("--target_poses", "--epochs", 2),
    "coral+tta+test_bn": ("--discrepancy", "coral", "--tta", "--test_bn"),
    "canonical+views": ("--align", "views", "canonical", "--epochs", 2),
    "boxes of one size": ("--scale", "box"),
    "canonical+gpa+views+boxes of one size+augment+new_poses+target_poses": (
        "--align", "views", "gpa", "canonical", "--augment", "--new_poses", "--target_poses", "--scale", "box", "--epochs", 3, "--views_every", 2,
    ),
}  # fmt: skip
VIEWS = OPTIONS["canonical+gpa+views+boxes of one size+augment+new_poses+target_poses"]
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
    pool = {"view_pool"} if "views" in name or "target_poses" in name else set()
    assert set(load_checkpoint(run / "ckpt_best.pth.tar")["networks"]) == {"lifter"} | pool


def test_each_changes_what_is_learnt(demo, tmp_path):
    plain, _ = adapt(demo, tmp_path / "plain", *OFF)
    fed, _ = adapt(demo, tmp_path / "fed", *OFF[:2], "--domain_weight", 0)  # target batches alone
    options = {name: OPTIONS[name] for name in ("gpa", "canonical", "mkmmd", "boxes of one size", "new_poses")}
    options |= {"augment": ("--augment",), "spread": ("--scale", "spread")}
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


def test_views_follow_the_target_s_2d_after_the_warm_up(demo, tmp_path):
    """A first epoch of two is as if it were a run's without them, but for the lens that is left out of views that are projected."""
    options = ("--epochs", 2, "--snapshot", 1)
    plain, _ = adapt(demo, tmp_path / "plain", *OFF, *options, source="surreal")
    views, _ = adapt(demo, tmp_path / "views", *OFF, *options, "--align", "views", source="surreal")
    pools = [weights(views / f"snapshot_epoch_{epoch}.pth.tar")["view_pool.kept"] for epoch in (1, 2)]
    assert not pools[0].any()
    assert pools[1].float().mean() > 0.3
    assert (
        load_checkpoint(views / "ckpt_last.pth.tar")["trained_range"]
        != load_checkpoint(plain / "ckpt_last.pth.tar")["trained_range"]
    )

    other, _ = adapt(moved_target(demo, tmp_path), tmp_path / "other", *OFF, *options, "--align", "views")
    assert_part_in_the_second_epoch(views, other)


def moved_target(demo, tmp_path):
    """The data with other 2D of Human3.6M's training."""

    def shift(positions):
        for cameras in positions["S1"].values():
            for pixels in cameras:
                pixels[:, 3] += 5

    return change_positions(demo, tmp_path / "data", "data_2d_h36m_gt.npz", shift)


def assert_part_in_the_second_epoch(*runs):
    first, last = ([weights(run / name) for run in runs] for name in ("snapshot_epoch_1.pth.tar", "ckpt_last.pth.tar"))
    assert all(torch.equal(value, first[1][name]) for name, value in first[0].items())
    assert not torch.equal(last[0]["lifter.output.weight"], last[1]["lifter.output.weight"])


def test_poses_are_the_target_s_after_the_warm_up(demo, tmp_path):
    """Without `--align views` they stand where the source's do and before its cameras; validation poses are nobody's but their own."""
    options = (*OFF, "--target_poses", "--epochs", 2, "--snapshot", 1)
    run, process = adapt(demo, tmp_path / "run", *options)
    assert "source poses are seen anew: some of them posed like the target's" in process.stdout
    other, _ = adapt(moved_target(demo, tmp_path), tmp_path / "other", *options)
    assert_part_in_the_second_epoch(run, other)
    checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
    plain, _ = adapt(demo, tmp_path / "plain", *OFF)
    alone = load_checkpoint(plain / "ckpt_last.pth.tar")["trained_range"]
    assert checkpoint["trained_range"]["focal_length"] == alone["focal_length"]
    assert weights(run / "ckpt_last.pth.tar")["view_pool.bones"].abs().sum() > 0
    validation = source_validation(run, checkpoint, rebuild_networks(checkpoint, run), str(demo), 10).poses
    filmed = split_validation(load_surreal(demo, "train", downsample=10))[1]
    assert torch.equal(validation.targets_3d, filmed.targets_3d)


@pytest.mark.parametrize("source", SCRIPTS)
def test_a_run_with_views_that_is_stopped_within_an_epoch_ends_in_the_same_bits(demo, converter, tmp_path, source):
    """In the third epoch, whose pool was made at the second's start: what predicted it is gone."""
    arguments = ("--converter", converter, *VIEWS)
    whole, _ = adapt(demo, tmp_path / "whole", *arguments, source=source)
    asked = iter([False] * 7 + [True] + [False] * 100)  # in the eighth step, of three an epoch
    with mock.patch("common.training.loop.any_of", side_effect=asked):
        command = (*SCRIPTS[source], "--data_dir", demo, "--checkpoint", tmp_path / "stopped", *QUICK, *arguments)
        process = run_here(*command)
    assert process.returncode == 130, process.stderr
    stopped = only_run(tmp_path / "stopped")
    assert load_checkpoint(stopped / "ckpt_last.pth.tar")["training"]["batch"] == 2
    process = run_here(SCRIPTS[source][0], "--resume", stopped)
    assert process.returncode == 0, process.stderr
    assert_same_bits(whole / "ckpt_last.pth.tar", stopped / "ckpt_last.pth.tar")
    assert results_of(whole)["average"] == results_of(stopped)["average"]


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


@pytest.mark.parametrize("options", [(), ("--scale", "box"), ("--scale", "spread")])
def test_canonical_checkpoints_are_tested_in_their_cameras(demo, tmp_path, options):
    """`evaluate.py` counts what the script counted."""
    run, _ = adapt(demo, tmp_path / "runs", *OFF, "--align", "canonical", *options)
    process = run_here("evaluate.py", run, "--data_dir", demo, "--downsample", 3, "--out", tmp_path / "table")
    assert process.returncode == 0, process.stderr
    assert f"{results_of(run)['average']['mpjpe']:.1f}" in (tmp_path / "table.csv").read_text()


def test_a_size_is_the_mean_of_the_training_and_everybody_s_who_predicts(demo, tmp_path):
    run, _ = adapt(demo, tmp_path / "runs", *OFF, "--scale", "box", source="h36m")
    file = run / "ckpt_best.pth.tar"
    checkpoint = load_checkpoint(file)
    train, _ = split_validation(load_h36m(demo, subjects=TRAIN_SUBJECTS, downsample=3))
    boxes = train.inputs_2d.amax(1) - train.inputs_2d.amin(1)
    size = checkpoint["arguments"]["scale_size"]
    assert size == pytest.approx(float(boxes.square().sum(-1).sqrt().mean()), rel=1e-5)
    poses = load_surreal(demo, "test", downsample=10)
    inputs = Scale("box", size)(poses.inputs_2d)
    expected, _ = predict(rebuild_networks(checkpoint, file), inputs, "cpu")
    pixels = image_coordinates(poses.inputs_2d.numpy(), 320, 240)
    predicted = Predictor.load(run, "cpu")(pixels, (320, 240))
    np.testing.assert_allclose(predicted.poses_3d, expected.numpy(), atol=1e-4)
    raw, _ = predict(rebuild_networks(checkpoint, file), poses.inputs_2d, "cpu")
    assert (raw - expected).abs().max() > 1e-3  # or the size would not matter
    # Whoever stands twice as far away, or before another lens, is lifted alike.
    nearer = Predictor.load(run, "cpu")((pixels - (160, 120)) * 0.5 + (160, 120), (320, 240))
    np.testing.assert_allclose(nearer.poses_3d, predicted.poses_3d, atol=1e-4)


def test_a_size_of_one_s_own(demo, tmp_path):
    run, _ = adapt(demo, tmp_path, *OFF, "--scale", "box", "--scale_size", 0.5)
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    assert checkpoint["arguments"]["scale_size"] == 0.5
    low, high = checkpoint["trained_range"]["size"]
    assert 0.5 / np.sqrt(2) - 1e-3 < low < high <= 0.5001  # the longer side of a box with that diagonal


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
    assert_one_line(refused("h36m", "--no_converter"), "--converter", "--no_converter", "leave it out")
    for option in (
        ("--domain_weight", 5),
        ("--grl", "constant"),
        ("--domain_of", "features"),
        ("--domain_hid_dim", 9),
        ("--grl_steps", 9),
    ):
        assert_one_line(refused("surreal", *option, "--no_domain"), option[0], "--no_domain leaves out")
        assert_one_line(refused("surreal", *option, "--discrepancy", "coral"), option[0], "in whose place --discrepancy is")
    assert_one_line(refused("surreal", "--grl", "constant", "--grl_alpha", 3), "--grl_alpha is of --grl warm")
    assert_one_line(
        refused("surreal", "--no_uncertainty", "--uncertainty_weight", 3), "--uncertainty_weight", "--no_uncertainty leaves out"
    )
    for option in ("--augment", "--new_poses", "--target_poses"):
        process = refused("h36m", option, "--keypoints", "cpn_ft_h36m_dbb", "--epochs", 2)
        assert_one_line(process, "cpn_ft_h36m_dbb", "perfect 2D")
        process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--data_dir", demo, option)
        assert_one_line(process, option, "of no use in domain")
    for options in (("--scale", "box"), ("--scale_size", 0.5), ("--views_every", 2), ("--views_warm_up", 1)):
        process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--data_dir", demo, *options)
        assert_one_line(process, options[0], "of no use in domain")
    views = ("--align", "views", "--epochs", 2)
    assert_one_line(refused("surreal", *views, "--augment", "any"), "--augment any", "leave one of them out")
    for asked in (views, ("--target_poses", "--epochs", 2)):
        assert_one_line(refused("surreal", *asked, "--views_warm_up", 2), "--views_warm_up 2 leaves none of 2 epochs")
    assert_one_line(refused("surreal", *views, "--views_every", 0), "--views_every 0: at least 1")
    assert_one_line(refused("surreal", "--views_every", 2), "--views_every", "--align views", "leave it out")
    assert_one_line(refused("surreal", "--views_warm_up", 2), "--views_warm_up", "--align views", "leave it out")
    assert_one_line(refused("h36m", *views, "--keypoints", "cpn_ft_h36m_dbb"), "cpn_ft_h36m_dbb", "perfect 2D")
    assert_one_line(refused("h36m", "--scale_size", 0.5), "--scale_size", "--scale box", "leave it out")
    assert_one_line(refused("h36m", "--scale", "box", "--scale_size", 0), "--scale_size 0: a length above 0")


def test_a_run_keeps_its_options(demo, tmp_path):
    run, _ = adapt(demo, tmp_path / "made", *OFF, "--align", "gpa", "canonical", "--epochs", 2)
    for option in (
        ("--align", "canonical"),
        ("--augment",),
        ("--new_poses",),
        ("--target_poses",),
        ("--target_joints",),
        ("--discrepancy", "coral"),
        ("--scale", "box"),
    ):
        process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, *option)
        assert_one_line(process, option[0], "leave it out")
    process = run_here(
        "train_surreal.py", "--evaluate", run, "--data_dir", demo, "--align", "canonical", "gpa", "--downsample", 3
    )
    assert process.returncode == 0, process.stderr
    # A checkpoint that is older than the options had none of them.
    path = run / "ckpt_best.pth.tar"
    checkpoint = load_checkpoint(path)
    later = ("scale", "scale_size", "new_poses", "target_poses", "target_joints")
    for name in ("align", "augment", "discrepancy", "tta", "test_bn", *later):
        del checkpoint["arguments"][name]
    save_checkpoint(path, checkpoint)
    for option in (("--align", "canonical"), ("--scale", "box")):
        process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, *option)
        assert_one_line(process, option[0], "leave it out")


@pytest.mark.parametrize("options", [OPTIONS["canonical"], OPTIONS["canonical+gpa+augment"], OPTIONS["boxes of one size"], VIEWS])
def test_a_calibration_can_be_made_again_from_the_source(demo, tmp_path, options):
    """Of validation poses as the run saw them; so MC-dropout is calibrated on what the estimator was. Where they are seen is known."""
    run, _ = adapt(demo, tmp_path / "made", *OFF[::2], *options)
    path = run / "ckpt_best.pth.tar"
    checkpoint = load_checkpoint(path)
    networks = rebuild_networks(checkpoint, path)
    shown = source_validation(path, checkpoint, networks, str(demo), downsample=3)
    again = validate(networks, shown.poses, torch.device("cpu")).calibration
    assert again.to_dict() == checkpoint["calibration"]
    pixel = 0.012  # SURREAL's 2D is in whole pixels, metres at seven metres; what is projected anew is exact
    assert distance_from_rays(shown.poses.targets_3d, shown.rays).max() < (1e-4 if "--augment" in options else pixel)


@pytest.mark.parametrize(
    ("options", "selection"),
    [
        (("--select", "target", "--align", "canonical"), "oracle selection (target labels)"),
        (("--domain_bn", "--test_bn", "--align", "gpa", "--augment"), "source validation"),
        (("--select", "target", *VIEWS), "oracle selection (target labels)"),
        (("--domain_bn", "--align", "views", "--scale", "spread", "--epochs", 2), "source validation"),
        (("--select", "last", "--align", "views", "--scale", "box", "--epochs", 2), "last epoch, nothing held out"),
        (("--align", "views", "--discrepancy", "coral", "--schedule", "fast", "--epochs", 2), "source validation"),
        (("--no_domain", "--reproject", "--teacher", "--scale", "spread", "--domain_bn"), "source validation"),
        (("--no_domain", "--reproject", "--teacher", *VIEWS, "--align", "views", "gpa", "--augment"), "source validation"),
    ],
)
def test_options_that_meet_go_together(demo, converter, tmp_path, options, selection):
    run, _ = adapt(demo, tmp_path, "--converter", converter, *options)
    results = results_of(run)
    assert results["selection"] == selection
    assert np.isfinite(results["average"]["mpjpe"])
