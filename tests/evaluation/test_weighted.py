"""Conformal radii under covariate shift."""

import numpy as np
import pytest

from common.errors import DuaError
from common.evaluation.weighted import Known, Rising, ShiftAware, likelihood_ratios


def test_equal_weights_are_plain_split_conformal():
    scores = np.arange(1.0, 20.0)[:, None]  # 19 scores of one joint: 90 % is the 18th, ceil(20 x 0.9)
    radii = Rising(scores).quantiles(np.ones(19), np.array([1.0]), 0.9)
    assert radii.tolist() == [18.0]


def test_scores_count_by_their_weight():
    scores = np.array([[1.0], [2.0], [3.0], [4.0]])
    heavy = Rising(scores).quantiles(np.array([0.0, 0.0, 0.0, 10.0]), np.array([0.01]), 0.5)
    light = Rising(scores).quantiles(np.array([10.0, 0.0, 0.0, 0.1]), np.array([0.01]), 0.5)
    assert heavy.tolist() == [4.0]
    assert light.tolist() == [1.0]


def test_a_pose_unlike_all_others_gets_the_largest_radius():
    scores = np.linspace(0, 1, 50)[:, None]
    near, far = Rising(scores).quantiles(np.ones(50), np.array([1.0, 1000.0]), 0.5)
    assert near == pytest.approx(0.5, abs=0.05)
    assert far == 1.0


def test_ratios_tell_a_shift_that_is_known():
    """Two Gaussians a deviation apart: the true ratio is exp(x - 1/2)."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(0, 1, (4000, 3)), rng.normal(np.array([1.0, 0, 0]), 1, (4000, 3))
    ratios, _ = likelihood_ratios(Known(old), new)
    truth = np.exp(old[:, 0] - 0.5)
    assert np.corrcoef(np.log(ratios), np.log(truth))[0, 1] > 0.99


def test_weighted_radii_cover_where_plain_ones_do_not():
    """Errors grow along one direction of the inputs, and the new poses lie further along it."""
    rng = np.random.default_rng(1)

    def drawn(count: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        inputs = rng.normal(0, 1, (count, 16, 2))
        inputs[:, 1, 0] = 3 * rng.normal(shift, 1, count)
        return inputs, np.abs(rng.normal(0, 1, (count, 15))) * np.exp(inputs[:, 1, :1] / 3)

    inputs, scores = drawn(1000, 0.0)
    new, errors = drawn(500, 1.2)
    weighted = ShiftAware.of(inputs, scores).quantiles(new, 0.9)
    plain = np.quantile(scores, 0.9)
    assert (errors <= plain).mean() < 0.75
    assert 0.85 < (errors <= weighted[:, None]).mean() < 0.96


def test_they_come_back_from_a_checkpoint_and_damage_is_said():
    rng = np.random.default_rng(0)
    kept = ShiftAware.of(rng.normal(size=(3000, 16, 2)), rng.uniform(size=(3000, 15)))
    assert len(kept.inputs) == 1024
    content = kept.to_dict()
    again = ShiftAware.from_dict(content)
    np.testing.assert_array_equal(again.inputs, kept.inputs)
    np.testing.assert_array_equal(again.scores, kept.scores)
    for change in ({"poses": 5}, {"inputs": "zz"}, {"scores": content["scores"][:-4]}, {"poses": None}):
        with pytest.raises(DuaError, match="damaged"):
            ShiftAware.from_dict(content | change)
