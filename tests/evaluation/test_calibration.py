"""Calibrations: what comes out is millimetres, rising and right on average; radii hold what they promise; nothing else is read."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DuaError
from common.evaluation.calibration import LEVELS, UNITS, Calibration, stored_calibration


def poses_with_errors(seed, count, rise=1.5):
    """(uncertainty in metres (N, 16), predicted, targets (N, 16, 3)): errors of |normal| x a length that the uncertainty's square
    root tells, so that it ranks them and is no length of the right size itself."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randn(count, 16, 3, generator=generator) * 0.3
    targets[:, 0] = 0
    scale = 0.02 + 0.1 * torch.rand(count, 16, generator=generator)
    scale[:, 0] = 0
    predicted = targets + torch.randn(count, 16, 3, generator=generator) * scale[..., None]
    return scale**rise, predicted, targets


def true_mm(predicted, targets):
    return torch.linalg.vector_norm(predicted - targets, dim=-1) * 1000


def test_an_uncertainty_in_any_scale_becomes_the_mean_error():
    uncertainty, predicted, targets = poses_with_errors(0, 4000)
    calibration = Calibration.fit(uncertainty, predicted, targets, unit="metres")
    millimetres = calibration.millimetres(uncertainty, predicted)
    assert millimetres.shape == (4000, 16)
    assert not millimetres[:, 0].any()
    # A normal vector of three coordinates is sqrt(8 / pi) long on average.
    expected = uncertainty[:, 1:] ** (1 / 1.5) * math.sqrt(8 / math.pi) * 1000
    assert (millimetres[:, 1:] - expected).abs().mean() < 2
    assert float(millimetres[:, 1:].mean()) == pytest.approx(float(true_mm(predicted, targets)[:, 1:].mean()), rel=0.01)
    assert len(calibration.raw_mm) <= 64
    assert all(a < b for a, b in zip(calibration.raw_mm, calibration.raw_mm[1:]))
    assert all(a <= b for a, b in zip(calibration.error_mm, calibration.error_mm[1:]))


def test_a_relative_error_is_multiplied_by_both_norms():
    """A network that knows its relative errors exactly gets |p - t| back, but for what the mean |t| does not tell."""
    _, predicted, targets = poses_with_errors(1, 4000)
    targets = targets / torch.linalg.vector_norm(targets, dim=-1, keepdim=True).clamp_min(1e-9) * 0.4  # |t| is known
    predicted = targets + (predicted - targets) * 0.1
    error, size = true_mm(predicted, targets) / 1000, torch.linalg.vector_norm(predicted, dim=-1) + 0.4
    calibration = Calibration.fit(error / size, predicted, targets)
    assert calibration.expected_norms[0] == 0
    assert calibration.expected_norms[1:] == pytest.approx([0.4] * 15)
    millimetres = calibration.millimetres(error / size, predicted)
    inner = error[:, 1:] < error[:, 1:].quantile(0.98)  # the last knot stands for the mean of the largest errors
    assert (millimetres - error * 1000)[:, 1:][inner].abs().max() < 3


@pytest.mark.parametrize("poses", [40, 3000])
def test_radii_hold_what_they_promise_on_new_exchangeable_poses(poses):
    """Averaged over calibration sets; with few poses the finite-sample correction and the fitted curve must not spoil it."""
    shares = []
    for seed in range(12 if poses == 40 else 2):
        calibration = Calibration.fit(*poses_with_errors(seed, poses), unit="metres")
        uncertainty, predicted, targets = poses_with_errors(1000 + seed, 3000)
        expected, error = calibration.millimetres(uncertainty, predicted)[:, 1:], true_mm(predicted, targets)[:, 1:]
        shares.append([float((error <= calibration.quantile(level) * expected).float().mean()) for level in LEVELS])
    assert np.mean(shares, axis=0) == pytest.approx(LEVELS, abs=0.02 if poses == 40 else 0.008)


def test_quantiles_are_those_of_the_sorted_scores():
    """One pose and one length: 15 joints, so the curve is level at the mean and ranks are ceil(16 level) of 15."""
    targets = torch.zeros(1, 16, 3)
    predicted = torch.zeros(1, 16, 3)
    predicted[0, 1:, 0] = torch.arange(1, 16) / 1000
    calibration = Calibration.fit(torch.ones(1, 16), predicted, targets, unit="metres")
    assert calibration.raw_mm == (1000,)
    assert calibration.error_mm == pytest.approx([8])
    assert calibration.quantiles == pytest.approx([8 / 8, 13 / 8, 15 / 8, 15 / 8])  # of 15 joints none stands for 95 %


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(0, 5), st.sampled_from(UNITS), st.integers(0, 3))
def test_any_poses_give_a_usable_calibration_that_survives_the_checkpoint(count, seed, unit, decimals):
    """Ties, constants, uncertainties that mean the opposite, exact predictions: rising, positive and the same after reading."""
    uncertainty, predicted, targets = poses_with_errors(seed, count)
    uncertainty = ((1 - uncertainty) * 10**decimals).round() / 10**decimals if seed else uncertainty
    predicted = targets if seed == 3 else predicted
    calibration = Calibration.fit(uncertainty, predicted, targets, unit)
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    millimetres = calibration.millimetres(uncertainty * 3 - 1, predicted)  # far outside of what was seen
    assert torch.isfinite(millimetres).all()
    assert (millimetres[:, 1:] > 0).all()


def test_what_cannot_be_calibrated_is_said():
    uncertainty, predicted, targets = poses_with_errors(0, 3)
    with pytest.raises(DuaError, match="NaN or infinite"):
        Calibration.fit(uncertainty, predicted * math.nan, targets)
    with pytest.raises(DuaError, match="no poses"):
        Calibration.fit(uncertainty[:0], predicted[:0], targets[:0])


@pytest.mark.parametrize(
    "damage",
    [
        {"unit": "feet"}, {"raw_mm": [2.0, 1.0], "error_mm": [1.0, 2.0]}, {"raw_mm": [1.0, 2.0], "error_mm": [2.0, 1.0]},
        {"raw_mm": [1.0]}, {"error_mm": []}, {"quantiles": [1.0]}, {"quantiles": [1.0, math.nan, 2.0, 3.0]}, {"levels": [0.5]},
        {"expected_norms": ["a"] * 16}, {"expected_norms": [1.0] * 15}, {"poses": None}, {"raw_mm": {}},
    ],
)  # fmt: skip
def test_a_damaged_calibration_is_refused_with_the_files_name(damage):
    content = Calibration.fit(*poses_with_errors(0, 3)).to_dict() | damage
    with pytest.raises(DuaError, match=r"x\.pth\.tar: the calibration is damaged"):
        stored_calibration({"calibration": content}, "x.pth.tar")


def test_older_checkpoints_have_none():
    assert stored_calibration({}, "x") is None
    assert stored_calibration({"calibration": None}, "x") is None
    with pytest.raises(DuaError, match="damaged"):
        stored_calibration({"calibration": [1]}, "x")


def test_radii_are_the_calibrations_where_poses_are_like_its_own_and_grow_where_they_are_not():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2000, 16, 2, generator=generator)
    predicted = 0.3 * torch.randn(2000, 16, 3, generator=generator)
    predicted[:, 0] = 0
    # Errors of poses far along one direction of the inputs are three times as large, which the estimator does not know.
    inputs[:, 1, 0] *= 3
    worse = 1 + 2 * (inputs[:, 1, :1] > 3)
    targets = predicted + 0.02 * worse[..., None] * torch.randn(2000, 16, 3, generator=generator)
    targets[:, 0] = 0
    uncertainty = torch.full((2000, 16), 0.1)
    calibration = Calibration.fit(uncertainty, predicted, targets, "relative", inputs)
    again = Calibration.from_dict(calibration.to_dict())
    assert again.to_dict() == calibration.to_dict()
    radii = calibration.radii(uncertainty, predicted, inputs)
    plain = calibration.millimetres(uncertainty, predicted) * calibration.quantile(0.9)
    ratio = (radii / plain)[:, 1:]
    assert 0.9 < float(ratio.median()) < 1.1
    assert float(radii[:, 0].abs().max()) == 0
    far = inputs[:, 1, 0] > 3
    grown = calibration.radii(uncertainty[far], predicted[far], inputs[far])
    assert float((grown / plain[far])[:, 1:].median()) > 1.3
    errors = (predicted - targets).norm(dim=-1)[far, 1:] * 1000
    assert float((errors <= plain[far, 1:]).float().mean()) < 0.75
    assert 0.85 < float((errors <= grown[:, 1:]).float().mean()) < 0.97


def test_a_line_goes_on_rising_where_a_curve_is_level():
    """Errors that are three times their uncertainty, of poses ten times as uncertain as all that were seen."""
    uncertainty, predicted, targets = poses_with_errors(2, 400)
    targets = predicted + 3 * uncertainty[..., None] * torch.tensor([1.0, 0, 0])
    line = Calibration.fit(uncertainty, predicted, targets, unit="metres", proportional=True)
    curve = Calibration.fit(uncertainty, predicted, targets, unit="metres")
    far = 10 * uncertainty
    torch.testing.assert_close(line.millimetres(far, predicted)[:, 1:], 3000 * far[:, 1:], rtol=1e-4, atol=1e-3)
    assert curve.millimetres(far, predicted).max() <= 3000 * uncertainty.max() * 1.001
    assert line.quantile(0.9) == pytest.approx(1, abs=1e-4)
    assert Calibration.from_dict(line.to_dict()) == line
