"""Figures of uncertainty against slow code that follows their definitions, cases counted by hand, and a real script's run."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from common.datasets.test_sets import load_test
from common.errors import DuaError
from common.evaluation.calibration import Calibration
from common.evaluation.evaluate import predict
from common.evaluation.metrics import joint_errors
from common.evaluation.test_time import mirrored
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from common.uncertainty.consistency import distance_from_rays, inconsistency
from common.uncertainty.mc_dropout import spread_under_dropout
from common.uncertainty.scores import ause, ence, score, sparsification, spearman
from common.uncertainty.shown import shown_test, source_validation
from models.domain_norm import select_domain
from tests.evaluation.test_calibration import poses_with_errors, true_mm
from tests.helpers.script_tools import QUICK, assert_one_line, copy_data, run_here, trained


def slow_sparsification(uncertainty, error):
    """One removal after the other."""
    left = sorted(zip(uncertainty, error), key=lambda pair: pair[0])
    curve = []
    while left:
        curve.append(np.mean([e for _, e in left]) / np.mean(error))
        left.pop()
    return curve


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_sparsification_takes_the_most_uncertain_away_one_by_one(count, seed):
    rng = np.random.default_rng(seed)
    uncertainty, error = rng.permutation(count).astype(float), rng.exponential(size=count)
    np.testing.assert_allclose(sparsification(uncertainty, error), slow_sparsification(uncertainty, error), rtol=1e-9)
    area = np.mean(np.array(slow_sparsification(uncertainty, error)) - slow_sparsification(error, error))
    assert ause(uncertainty, error) == pytest.approx(area, abs=1e-12)
    assert ause(uncertainty, error) >= -1e-12
    assert ause(np.exp(error), error) == pytest.approx(0)  # the ranking alone counts
    if count > 1 and len(set(error)) > 1:
        assert spearman(uncertainty, error) == pytest.approx(spearmanr(uncertainty, error).statistic)


def test_ause_by_hand():
    """Errors 1, 2, 3; oracle 2, 1.5, 1 of 2. The other way round: 2, 2.5, 3 of 2; differences 0, 0.5, 1."""
    error = np.array([1.0, 2.0, 3.0])
    assert ause(-error, error) == pytest.approx((0 + 0.5 + 1) / 3)
    # 3 and 2 tie and are each taken as 2.5: left of all are 2, then (1 + 2.5) / 2, then 1.
    np.testing.assert_allclose(sparsification(np.array([0.0, 1.0, 1.0]), error), [1, 0.875, 0.5])


def test_ties_count_as_every_order_does_on_average():
    rng = np.random.default_rng(0)
    error, ties = rng.exponential(size=300), rng.integers(0, 5, 300).astype(float)
    for uncertainty in (np.ones(300), ties):
        broken = [ause(uncertainty + rng.uniform(0, 0.5, 300), error) for _ in range(400)]
        assert ause(uncertainty, error) == pytest.approx(np.mean(broken), abs=3 * np.std(broken) / 20)
    assert ause(np.ones(300), error) != pytest.approx(ause(ties, error), rel=1e-6)
    assert spearman(np.ones(300), error) is None
    assert spearman(ties, error) == pytest.approx(spearmanr(ties, error).statistic)


def test_ence_by_hand_and_by_slow_code():
    # Two bins: expected 1 and 3 on average, true 1.5 and 3: (0.5 / 1 + 0) / 2.
    assert ence(np.array([0.5, 1.5, 2.5, 3.5]), np.array([1.0, 2.0, 4.0, 2.0]), bins=2) == pytest.approx(0.25)
    rng = np.random.default_rng(1)
    expected, error = rng.uniform(1, 5, 1000), rng.exponential(2, 1000)
    order = sorted(range(1000), key=lambda i: expected[i])
    slow = []
    for start in range(0, 1000, 100):
        rows = order[start : start + 100]
        mean = sum(expected[i] for i in rows) / 100
        slow.append(abs(mean - sum(error[i] for i in rows) / 100) / mean)
    assert ence(expected, error, bins=10) == pytest.approx(np.mean(slow))
    assert ence(error, error) == pytest.approx(0)


def test_scores_of_poses_and_joints():
    """A network that knows the length of its errors, one that knows nothing, and a radius that is counted joint by joint."""
    uncertainty, predicted, targets = poses_with_errors(0, 500)
    calibration = Calibration.fit(*poses_with_errors(1, 500), unit="metres")
    error, guess = true_mm(predicted, targets), calibration.millimetres(uncertainty, predicted)
    found = score(guess, predicted, targets, calibration)
    assert found.poses == 500
    assert found.mpjpe_mm == pytest.approx(float(error.mean()))
    inside = sum(float(error[n, j]) <= calibration.quantile(0.9) * float(guess[n, j]) for n in range(500) for j in range(1, 16))
    assert found.coverage["90%"] == pytest.approx(inside / (500 * 15))
    assert found.coverage["90%"] == pytest.approx(0.9, abs=0.02)
    assert found.radius_mm["90%"] == pytest.approx(calibration.quantile(0.9) * float(guess[:, 1:].mean()), rel=1e-5)
    assert (found.weighted_coverage, found.weighted_radius_mm) == (None, None)
    wide = torch.full((500, 16), float(error[:, 1:].median()))
    other = score(guess, predicted, targets, calibration, wide)
    assert other.weighted_coverage == pytest.approx(0.5, abs=1e-3)
    assert other.weighted_radius_mm == pytest.approx(float(wide[0, 0]))
    assert other.coverage == found.coverage
    perfect = score(error, predicted, targets, calibration)
    assert (perfect.ause_pose, perfect.ause_joint, perfect.ence) == pytest.approx((0, 0, 0), abs=1e-6)
    assert (perfect.spearman_pose, perfect.spearman_joint) == pytest.approx((1, 1))
    constant = score(torch.ones(500, 16), predicted, targets, None)
    assert constant.ause_joint > found.ause_joint > 0.05
    assert constant.sparsification["uncertainty"] == pytest.approx([1] * 101)
    assert (constant.ence, constant.spearman_joint, constant.coverage, constant.reliability) == (None, None, None, None)
    json.dumps(found.to_dict(), allow_nan=False)
    assert len(found.reliability["error_mm"]) == 20


class Masked(nn.Module):
    """x of every joint is 0.5, doubled or dropped; BatchNorm and the other axes are still."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, inputs_2d):
        assert not self.norm.training
        poses_3d = torch.zeros(len(inputs_2d), 16, 3)
        poses_3d[:, 1:, 0] = self.dropout(torch.full((len(inputs_2d), 15), 0.5))
        return poses_3d, inputs_2d


def test_mc_dropout_is_the_spread_of_passes_with_everything_else_at_rest():
    network = Masked().eval()
    spread = spread_under_dropout({"lifter": network}, torch.zeros(40, 16, 2), torch.device("cpu"), 200)
    assert spread.shape == (40, 16)
    assert not spread[:, 0].any()
    assert float(spread[:, 1:].mean()) == pytest.approx(0.5, rel=0.01)  # 0 or 1, each half of the time
    assert not network.dropout.training
    again = spread_under_dropout({"lifter": network}, torch.zeros(40, 16, 2), torch.device("cpu"), 200)
    assert torch.equal(spread, again)
    network.dropout.p = 0
    with pytest.raises(DuaError, match="without dropout"):
        spread_under_dropout({"lifter": network}, torch.zeros(1, 16, 2), torch.device("cpu"), 2)


class Flat(nn.Module):
    """A network whose poses are the inputs, a metre away, and `lean` to one side: it does not see that in mirrors sides change."""

    def __init__(self, lean):
        super().__init__()
        self.lean = nn.Parameter(torch.tensor(lean))

    def forward(self, inputs_2d):
        poses_3d = torch.cat([inputs_2d, torch.ones_like(inputs_2d[..., :1])], dim=-1)
        return poses_3d + self.lean * torch.tensor([1.0, 0, 0]), inputs_2d


def test_the_mirror_tells_what_a_network_does_not_know_of_sides():
    """Twice the lean to one side: once in the picture, once in its mirror image. To either side, it is seen where its picture is."""
    inputs_2d = torch.randn(600, 16, 2, generator=torch.Generator().manual_seed(0))
    for lean, expected in ((0.0, 0.0), (0.07, 0.14)):
        network = Flat(lean).eval()
        predicted = network(inputs_2d)[0].detach()
        rays = torch.cat([inputs_2d, torch.ones(600, 16, 1)], dim=-1)
        distances = inconsistency({"lifter": network}, inputs_2d, rays, torch.device("cpu"), predicted)
        torch.testing.assert_close(distances, torch.full((600, 16), expected), atol=1e-5, rtol=1e-5)


def test_what_is_not_seen_where_it_should_be_is_as_far_from_its_ray():
    """Two joints a metre to the left and the right of five, one of them too high and the other as much too low: nothing brings both nearer."""
    points = torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.3 + torch.tensor([0.0, 0.0, 5.0])
    points[0, 3], points[0, 6] = torch.tensor([1.0, 0.0, 5.0]), torch.tensor([-1.0, 0.0, 5.0])
    rays = points / 5
    poses = points - points[:, :1]
    assert distance_from_rays(poses, rays).max() < 1e-5
    poses[0, 3, 1] += 0.1
    poses[0, 6, 1] -= 0.1
    expected = torch.zeros(1, 16)
    expected[0, [3, 6]] = 0.1
    torch.testing.assert_close(distance_from_rays(poses, rays), expected, atol=1e-5, rtol=0)
    network = Flat(0.0).eval()
    inputs_2d = points[..., :2] / points[..., 2:]
    predicted = poses  # not what the network says: the mirror image's are compared with it
    found = inconsistency({"lifter": network}, inputs_2d, rays, torch.device("cpu"), predicted)
    mirror = torch.linalg.vector_norm(predicted - network(inputs_2d)[0].detach(), dim=-1)
    torch.testing.assert_close(found, mirror + 0.2 / 16, atol=1e-5, rtol=0)


def test_rays_end_in_the_camera_and_tell_no_distance_where_all_is_in_one_place():
    points = torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.3 + torch.tensor([0.0, 0.0, 5.0])
    poses = points - points[:, :1]
    assert distance_from_rays(-poses, points).min() > 3  # behind the camera, on the same lines
    in_one_place = distance_from_rays(poses, torch.tensor([0.0, 0.0, 1.0]).expand(1, 16, 3))
    assert torch.equal(in_one_place, torch.linalg.vector_norm(poses, dim=-1))


# --- the script ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(demo, converter, tmp_path_factory):
    """SURREAL -> Human3.6M with a converter, so that labels of both are in the network's skeleton."""
    folder = tmp_path_factory.mktemp("sur_dua")
    options = ("--dua", "--data_dir", demo, "--converter", converter, "--checkpoint", folder, *QUICK, "--limit_batches", 20)
    return trained(folder, run_here("train_surreal.py", *options))[0]


def test_the_script_judges_in_domain_and_across(run, demo, tmp_path):
    out = tmp_path / "table"
    process = run_here(
        "evaluate.py", run, "--data_dir", demo, "--downsample", 3, "--on", "surreal", "h36m", "--uncertainty", "--mc_dropout", 3,
        "--consistency", "--out", out,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    with (tmp_path / "table_uncertainty.csv").open() as file:
        rows = list(csv.DictReader(file))
    methods = ["relative head", "MC-dropout (3)", "consistency", "constant"]
    assert [(row["method"], row["test"], row["domain"], row["labels"]) for row in rows] == [
        *((method, "surreal", "in domain", "h36m, converted") for method in methods),
        *((method, "h36m", "across", "h36m") for method in methods),
    ]
    content = json.loads((tmp_path / "table_uncertainty.json").read_text())
    for row, numbers in zip(rows, content["rows"], strict=True):
        assert float(row["AUSE joint"]) == pytest.approx(numbers["ause_joint"], abs=6e-4)
        assert row["coverage 90 %"] != "-"
        assert row["weighted coverage"] != "-"
        assert numbers["source"] == "surreal"
        assert (row["modules"], row["selection"]) == ("converter+uncertainty+domain", "source validation")
    assert len({row["MPJPE"] for row in rows[4:]}) == 1, "all methods are judged on the same predictions"
    errors = json.loads((run / "results.json").read_text())
    assert content["rows"][4]["poses"] == errors["poses"]
    assert (tmp_path / "table_uncertainty.tex").read_text().count(r"\\") == 9
    assert (tmp_path / "table_uncertainty.png").read_bytes().startswith(b"\x89PNG")
    assert "AUSE: area between" in process.stdout
    # The in-domain radius must not be far off: the validation split and the test are of other clips, hence no more than this.
    assert all(20 < float(row["coverage 90 %"]) <= 100 for row in rows[:4])


@pytest.mark.parametrize("options", [(), ("--domain_bn",)])
def test_consistency_is_calibrated_on_the_source_and_judged_on_the_target(demo, converter, tmp_path, options):
    """By hand, with BatchNorm's statistics of either domain where a network has both."""
    given = ("--dua", "--data_dir", demo, "--converter", converter, "--checkpoint", tmp_path / "runs", *options)
    run, _ = trained(tmp_path / "runs", run_here("train_surreal.py", *given, *QUICK, "--limit_batches", 10))
    out = ("--consistency", "--on", "h36m", "--out", tmp_path / "t")
    process = run_here("evaluate.py", run, "--data_dir", demo, "--downsample", 3, "--uncertainty", *out)
    assert process.returncode == 0, process.stderr
    judged = {row["method"]: row for row in json.loads((tmp_path / "t_uncertainty.json").read_text())["rows"]}

    checkpoint, cpu = load_checkpoint(run / "ckpt_best.pth.tar"), torch.device("cpu")
    networks = rebuild_networks(checkpoint, run)
    errors, distances = [], []
    test, _ = load_test("h36m", demo, "gt", "shoulder", 3)
    validation = source_validation(run, checkpoint, networks, str(demo), 3)
    for shown, domain in ((validation, "source"), (shown_test(checkpoint, test), "target")):
        select_domain(networks["lifter"], domain)
        poses, in_2d = shown.poses, shown.in_2d(networks)
        # SURREAL's 2D has SMPL's joints, and the labels were converted.
        assert distance_from_rays(in_2d(poses.targets_3d), shown.rays).mean() < (0.012 if domain == "source" else 1e-3)
        predicted, _ = predict(networks, poses.inputs_2d, cpu)
        errors.append(joint_errors(predicted, poses.targets_3d)[:, 1:].double().numpy())
        twins = mirrored(predict(networks, mirrored(poses.inputs_2d), cpu)[0])
        apart = (predicted - twins).norm(dim=-1) + distance_from_rays(in_2d(predicted), shown.rays).mean(1, keepdim=True)
        distances.append(apart[:, 1:].double().numpy())
    for method, lengths in (("consistency", distances), ("constant", [np.ones_like(of) for of in distances])):
        ratios = np.sort((errors[0] / lengths[0]).ravel())
        radii = ratios[math.ceil(0.9 * (len(ratios) + 1)) - 1] * lengths[1]
        assert judged[method]["coverage"]["90%"] == pytest.approx((errors[1] <= radii).mean(), abs=2e-3)
        assert judged[method]["radius_mm"]["90%"] == pytest.approx(1000 * radii.mean(), rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_consistency_on_a_gpu_is_the_processor_s(run, demo, tmp_path):
    rows = []
    for device in ("cpu", "cuda"):
        given = ("--uncertainty", "--consistency", "--on", "h36m", "surreal", "--downsample", 3, "--device", device)
        process = run_here("evaluate.py", run, "--data_dir", demo, *given, "--out", tmp_path / device)
        assert process.returncode == 0, process.stderr
        rows.append(json.loads((tmp_path / f"{device}_uncertainty.json").read_text())["rows"])
    for ours, theirs in zip(*rows, strict=True):
        assert ours["coverage"]["90%"] == pytest.approx(theirs["coverage"]["90%"], abs=5e-3)
        assert ours["radius_mm"]["90%"] == pytest.approx(theirs["radius_mm"]["90%"], rel=5e-3)


def changed(run, folder, **changes):
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    save_checkpoint(folder / "changed.pth.tar", checkpoint | changes)
    return folder / "changed.pth.tar"


def test_an_older_checkpoint_is_calibrated_on_its_sources_data(run, demo, tmp_path):
    """To what training would have put into it, but for every third frame being read here and there."""
    data = ("--data_dir", demo, "--downsample", 3, "--uncertainty", "--out", tmp_path / "t")
    tables = []
    for file in (run, changed(run, tmp_path, calibration=None)):
        process = run_here("evaluate.py", file, *data)
        assert process.returncode == 0, process.stderr
        tables.append((tmp_path / "t_uncertainty.csv").read_text())
    assert tables[0] == tables[1]


def test_inputs_are_turned_as_the_network_learnt_them(demo, tmp_path):
    """The errors that are judged are those that the run reported."""
    options = ("--no_converter", "--no_domain", "--align", "canonical", "--data_dir", demo, "--checkpoint", tmp_path / "runs")
    run, _ = trained(tmp_path / "runs", run_here("train_h36m_dan.py", *options, *QUICK))
    given = ("--data_dir", demo, "--downsample", 3, "--on", "surreal", "--uncertainty", "--out", tmp_path / "t")
    process = run_here("evaluate.py", run, *given)
    assert process.returncode == 0, process.stderr
    reported = json.loads((run / "results.json").read_text())
    (judged, _) = json.loads((tmp_path / "t_uncertainty.json").read_text())["rows"]
    mean = sum(row["poses"] * row["mpjpe"] for row in reported["per_action"].values()) / reported["poses"]
    assert judged["mpjpe_mm"] == pytest.approx(mean, abs=1e-3)


def test_bad_input_is_one_line(run, demo, tmp_path):
    def attempt(file, *options):
        return run_here("evaluate.py", file, "--data_dir", demo, "--downsample", 9, *options)

    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    damaged = changed(run, tmp_path, calibration=checkpoint["calibration"] | {"quantiles": [math.nan] * 4})
    assert_one_line(attempt(damaged, "--uncertainty"), "changed.pth.tar: the calibration is damaged")
    without = {role: network for role, network in checkpoint["networks"].items() if role != "uncertainty"}
    without = changed(run, tmp_path, networks=without, calibration=None)
    assert_one_line(attempt(without, "--uncertainty"), "changed.pth.tar has no uncertainty estimator", "--consistency")
    process = attempt(without, "--uncertainty", "--consistency", "--on", "h36m", "--out", tmp_path / "headless")
    assert process.returncode == 0, process.stderr
    judged = json.loads((tmp_path / "headless_uncertainty.json").read_text())["rows"]
    assert [row["method"] for row in judged] == ["consistency", "constant"]
    assert_one_line(attempt(run, "--mc_dropout"), "add --uncertainty")
    assert_one_line(attempt(run, "--consistency"), "--consistency", "add --uncertainty")
    whitening = checkpoint["weights"]["converter"]["whitening"]
    unmeasured = checkpoint["weights"]["converter"] | {"whitening": torch.eye(whitening.shape[1]).expand_as(whitening).clone()}
    older = changed(run, tmp_path, weights=checkpoint["weights"] | {"converter": unmeasured})
    assert_one_line(
        attempt(older, "--uncertainty", "--consistency"), "changed.pth.tar", "older conversion.py", "leave --consistency out"
    )
    assert_one_line(attempt(run, "--uncertainty", "--mc_dropout", 1), "at least 2 passes")
    still = checkpoint["networks"] | {"lifter": checkpoint["networks"]["lifter"] | {"dropout": 0.0}}
    assert_one_line(attempt(changed(run, tmp_path, networks=still), "--uncertainty", "--mc_dropout", 2), "without dropout")
    lacking = copy_data(demo, tmp_path / "lacking", "surreal_train.h5")
    process = run_here("evaluate.py", run, "--data_dir", lacking, "--uncertainty", "--mc_dropout", 2)
    assert_one_line(process, "validation split of its source", "surreal_train.h5")
