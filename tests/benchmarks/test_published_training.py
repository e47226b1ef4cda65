"""`benchmarks/published_training.py`: it trains what the published scripts train, and counts as they do."""

import csv

import pytest
import torch

from benchmarks.published_training import COLUMNS, Recipe, loss, new_networks, row
from tests.conftest import run_script
from tests.helpers.script_tools import assert_one_line, run_here

WIDTH = ["--hid_dim", "32"]


def batch(count=8):
    generator = torch.Generator().manual_seed(0)
    targets_3d = torch.randn(count, 16, 3, generator=generator)
    return torch.randn(count, 16, 2, generator=generator), targets_3d - targets_3d[:, :1]


def test_martinez_learns_with_an_error_that_is_not_detached():
    torch.manual_seed(0)
    lifter, estimator = new_networks("martinez", WIDTH)
    lifter.eval()
    inputs_2d, targets_3d = batch()
    poses_3d, features = lifter(inputs_2d)
    p, t = poses_3d[:, 1:], targets_3d[:, 1:]
    error = (p - t).norm(dim=-1) / (p.norm(dim=-1) + t.norm(dim=-1))
    expected = (p - t).abs().mean() + 0.1 * (estimator(features)[:, 1:] - error).abs().mean()
    value = loss(lifter, estimator, inputs_2d, targets_3d)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    (theirs,) = torch.autograd.grad(value, lifter.w2.weight)
    (plain,) = torch.autograd.grad((lifter(inputs_2d)[0][:, 1:] - t).abs().mean(), lifter.w2.weight)
    assert (theirs - plain).abs().max() > 1e-6, "the output layer has no part in the error that is learnt"


def test_semgcn_learns_with_l1_where_its_poses_come_out():
    torch.manual_seed(0)
    lifter, estimator = new_networks("semgcn", WIDTH)
    lifter.eval()
    inputs_2d, targets_3d = batch()
    outputs_3d, features = lifter.uncentred(inputs_2d)
    assert outputs_3d[:, 0].abs().max() > 1e-3  # the hip is not at the origin
    centred = outputs_3d - outputs_3d[:, :1]
    size = centred.norm(dim=-1) + targets_3d.norm(dim=-1)
    error = torch.nan_to_num((centred - targets_3d).norm(dim=-1) / size)
    expected = (outputs_3d - targets_3d).abs().mean() + 0.1 * (estimator(features) - error).abs().mean()
    assert loss(lifter, estimator, inputs_2d, targets_3d).item() == pytest.approx(expected.item(), rel=1e-6)


def test_martinez_s_estimator_begins_with_kaiming_weights():
    torch.manual_seed(0)
    _, estimator = new_networks("martinez", ["--hid_dim", "1024"])
    weights = torch.cat([joint.weight for joint in estimator.joints])
    assert float(weights.std()) == pytest.approx((2 / 1024) ** 0.5, rel=0.03)


def test_a_row_says_how_many_standard_errors_lie_between_the_means():
    errors = {"ours": 100.0, "published": 104.0}
    found = {("martinez", seed, code): [(mm + seed, mm / 2)] for code, mm in errors.items() for seed in (0, 2)}
    ours, theirs = (dict(zip(COLUMNS, row("martinez", code, 0, found, [0, 2]), strict=True)) for code in errors)
    assert (ours["MPJPE"], ours["+-"], ours["more than ours"]) == ("101.0", "1.0", "-")
    assert (theirs["P-MPJPE"], theirs["more than ours"], theirs["in its errors"], theirs["seeds"]) == (
        "52.0",
        "+4.0",
        "+2.8",
        "2",
    )
    assert row("martinez", "published", 0, found, [0])[4] == "-"


def test_each_recipe_changes_one_thing():
    torch.manual_seed(0)
    inputs_2d, targets_3d = batch()
    lifter, estimator = new_networks("semgcn", WIDTH)
    lifter.eval()
    poses_3d, _ = lifter(inputs_2d)
    mse = ((poses_3d - targets_3d)[:, 1:] ** 2).mean()
    plain, by_mse, alone = (
        loss(lifter, estimator, inputs_2d, targets_3d, recipe)
        for recipe in (Recipe(), Recipe(mse=True), Recipe(mse=True, weight=0))
    )
    assert alone.item() == pytest.approx(mse.item(), rel=1e-5)
    assert by_mse > alone
    assert plain != by_mse
    assert new_networks("semgcn", WIDTH, Recipe(hidden_scale=None))[1].hidden_scale < 1


@pytest.mark.campaign
def test_it_runs_and_leaves_what_is_done(demo, tmp_path):
    command = ("benchmarks/published_training.py", "--data_dir", demo, "--networks", "martinez", "--seeds", 0, "--hid_dim", 8)
    command += ("--out", tmp_path / "out", "--epochs")
    process = run_script(*command, 1)
    assert process.returncode == 0, process.stderr
    with open(tmp_path / "out" / "table.csv") as file:
        rows = {row["code"]: float(row["MPJPE"]) for row in csv.DictReader(file)}
    assert list(rows) == ["ours", "published"]
    assert all(100 < error < 3000 for error in rows.values())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("**/*.json")}
    assert run_here(*command, 1).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("**/*.json")} == before
    assert_one_line(run_here(*command, 2), "is of 1 epochs, not of 2", "--out")
    assert_one_line(run_here(*command, 1, "--hid_dim", 16), "--hid_dim 8, not 16", "--out")
