"""Smoothing keeps what a polynomial follows, lags nowhere, and does not reach over gaps."""

import numpy as np
import pytest

from common.prediction.smoothing import smooth, smooth_roots, window_frames

TIME = np.arange(60) / 30


@pytest.fixture
def parabola():
    """(T, 16, 3) places that all move with constant acceleration."""
    rng = np.random.default_rng(0)
    start, speed, force = rng.normal(size=(3, 16, 3))
    return start + speed * TIME[:, None, None] + force * TIME[:, None, None] ** 2


def test_noise_goes_and_parabolas_stay(parabola):
    np.testing.assert_allclose(smooth(parabola, np.arange(60), 30), parabola, atol=1e-9)
    noisy = parabola + np.random.default_rng(1).normal(0, 0.03, parabola.shape)
    error = np.linalg.norm(smooth(noisy, np.arange(60), 30) - parabola, axis=-1).mean()
    assert error < 0.6 * np.linalg.norm(noisy - parabola, axis=-1).mean()


def test_it_is_the_fit_of_a_parabola_to_the_neighbours():
    values = np.random.default_rng(2).normal(size=60)
    half = window_frames(30) // 2
    assert half == 4
    fitted = [
        np.polyval(np.polyfit(np.arange(-half, half + 1), values[t - half : t + half + 1], 2), 0) for t in range(half, 60 - half)
    ]
    np.testing.assert_allclose(smooth(values, np.arange(60), 30)[half:-half], fitted, atol=1e-9)


def test_gaps_are_not_reached_over():
    step = np.where(np.arange(40) < 20, 0.0, 5.0)
    whole = smooth(step, np.arange(40), 30)
    assert not np.allclose(whole, step, atol=0.1)
    parted = np.where(np.arange(40) < 20, np.arange(40), np.arange(40) + 1)  # one frame is not there
    np.testing.assert_allclose(smooth(step, parted, 30), step, atol=1e-9)


def test_every_fifth_frame_is_no_gap(parabola):
    noisy = parabola + np.random.default_rng(1).normal(0, 0.03, parabola.shape)
    np.testing.assert_allclose(smooth(noisy, np.arange(60) * 5 + 3, 150), smooth(noisy, np.arange(60), 30))


def test_short_pieces_and_low_rates():
    values = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    for count in (0, 1, 2, 3):
        smoothed = smooth(values[:count], np.arange(count), 50)
        assert np.array_equal(smoothed, values[:count])
        assert smoothed.dtype == np.float32
    assert not np.allclose(smooth(values[:4], np.arange(4), 50)[:3], 0)
    assert not np.array_equal(smooth(values[:5], np.arange(5), 50), values[:5])  # a shorter window
    assert np.array_equal(smooth(values, np.arange(8), 5), values)
    assert window_frames(5) == 1
    assert window_frames(1e-3) == 1


def test_a_path_keeps_its_direction_and_loses_the_noise_of_its_distance():
    rng = np.random.default_rng(0)
    angle = 0.3 * np.sin(4 * TIME)
    rays = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    noisy = rays * (5 + rng.normal(0, 0.1, (60, 1)))
    path = smooth_roots(noisy, np.arange(60), 30)
    found = np.linalg.norm(path, axis=1)
    assert np.abs(found - 5).mean() < 0.6 * np.abs(np.linalg.norm(noisy, axis=1) - 5).mean()
    assert np.arccos(np.clip(np.sum(path * rays, axis=1) / found, -1, 1)).max() < 0.01
