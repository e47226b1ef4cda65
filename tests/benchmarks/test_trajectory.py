"""`benchmarks/trajectory.py`: its noise and its errors are what it says, and it runs."""

import csv

import numpy as np
import pytest

from benchmarks.trajectory import OKS, Take, acceleration_error, detectors_view
from common.geometry.skeleton import JOINT_NAMES
from tests.helpers.script_tools import QUICK, run_here, trained


def test_a_detectors_view_has_the_errors_that_it_says():
    rng = np.random.default_rng(0)
    pixels = np.tile(rng.uniform(300, 600, (16, 2)), (20_000, 1, 1))
    take = Take(pixels, np.zeros((20_000, 16, 3)), np.zeros((20_000, 3)), (1000, 1000), 1145.0)
    errors = detectors_view(take, 50.0, rng).pixels - pixels
    size = np.sqrt(np.prod(np.ptp(pixels[0], axis=0)))
    at = JOINT_NAMES.index
    for joint, part in (("LWrist", "Wrist"), ("RKnee", "Knee"), ("LHip", "Hip"), ("Head", "Head")):
        assert errors[:, at(joint)].std() == pytest.approx(0.4 * OKS[part] * size, rel=0.1)
    np.testing.assert_allclose(errors[:, at("Hip")], (errors[:, at("LHip")] + errors[:, at("RHip")]) / 2)
    wrist = errors[:, at("LWrist"), 0]
    # Half of the variance lasts: a frame later 0.5 exp(-0.02 s / 0.1 s), half a second later nothing.
    for frames, expected in ((1, 0.5 * np.exp(-0.2)), (25, 0.0)):
        assert np.corrcoef(wrist[:-frames], wrist[frames:])[0, 1] == pytest.approx(expected, abs=0.06)


def test_the_acceleration_error_is_of_second_differences():
    frames = np.arange(5)[:, None]
    truth = np.array([[1.0, 0, 0]]) * frames**2  # 2 m/frame^2
    values = truth + np.array([[0.0, 0.0015, 0.002]]) * frames**2 + 7.0
    np.testing.assert_allclose(acceleration_error(values, truth), [5, 5, 5])


def test_it_runs(demo, tmp_path):
    run, _ = trained(tmp_path / "runs", run_here("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path / "runs", *QUICK))
    process = run_here("benchmarks/trajectory.py", run, "--data_dir", demo, "--out", tmp_path / "tables", "--limit", 1)
    assert process.returncode == 0, process.stderr
    tables = {path.stem: list(csv.DictReader(path.open())) for path in (tmp_path / "tables").glob("*.csv")}
    assert tables.keys() == {"poses", "roots", "smoothing", "trajectory"}
    assert len(tables["trajectory"]) == 16
    exact = tables["trajectory"][0]
    assert (exact["2D"], exact["focal length"], exact["poses"], exact["smoothed"]) == ("exact", "the camera's", "true", "no")
    assert float(exact["along the ray, mm"]) < 100  # the principal point is not quite in the middle
    before, after = (float(row["acceleration error, mm/frame^2"]) for row in tables["smoothing"] if row["2D"] == "a detector's")
    assert after < 0.5 * before
