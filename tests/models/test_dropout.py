"""Dropout with masks of its own: as many are dropped as should be, the mean is kept, and a seed gives the same mask."""

import pytest
import torch

from models.dropout import Dropout, draw_kept


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1 - 1e-6])
def test_the_share_that_is_dropped(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)
    y = Dropout(p)(x)
    expected = min(round(p * 2**16) / 2**16, 1 - 2**-16)
    assert float((y == 0).double().mean()) == pytest.approx(
        expected, abs=4 * (expected * (1 - expected) / x.numel()) ** 0.5 + 1e-12
    )
    assert float(y.max()) == pytest.approx(1 / (1 - expected))


def test_neighbouring_coins_are_independent():
    """Four are cut from one random number."""
    torch.manual_seed(0)
    kept, share = draw_kept(torch.Size((2**20,)), 0.5)
    assert share == 0.5
    signs = kept.double() * 2 - 1
    for lag in (1, 2, 3, 4, 5, 1024):
        assert abs(float((signs[lag:] * signs[:-lag]).mean())) < 4 / 2**10


def test_gradients_pass_where_numbers_did():
    x = torch.randn(64, 32, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert torch.allclose(x.grad, (y != 0).double() / 0.75)


def test_the_seed_decides_and_tests_are_left_alone():
    x, layer = torch.randn(64, 33), Dropout(0.5)
    torch.manual_seed(3)
    first = layer(x)
    assert not torch.equal(first, layer(x))
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    state = torch.get_rng_state()
    assert layer.eval()(x) is x
    assert torch.equal(state, torch.get_rng_state())
