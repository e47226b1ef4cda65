"""Batches: every row once, rows that stay together, and an order that can be entered in its middle."""

import pytest
import torch

from common.batches import ShuffledBatches
from common.errors import DuaError


def test_an_epoch_visits_rows_once_and_keeps_them_together():
    rows = torch.arange(103)
    batches = ShuffledBatches(rows, rows * 2, batch_size=10, seed=0)
    seen = list(batches.epoch(0))
    assert len(seen) == batches.steps == 10
    first = torch.cat([batch[0] for batch in seen])
    assert len(set(first.tolist())) == 100  # three are left over, this time
    assert all(torch.equal(a * 2, b) for a, b in seen)


def test_what_is_left_over_differs_between_epochs():
    batches = ShuffledBatches(torch.arange(15), batch_size=10, seed=0)
    left = [set(range(15)) - set(torch.cat([b[0] for b in batches.epoch(e)]).tolist()) for e in range(20)]
    assert set.union(*left) == set(range(15))


def test_the_order_depends_on_seed_stream_and_epoch_alone():
    def order(seed=0, stream=0, epoch=0):
        return torch.cat([b[0] for b in ShuffledBatches(torch.arange(50), batch_size=10, seed=seed, stream=stream).epoch(epoch)])

    assert torch.equal(order(), order())
    for other in (order(seed=1), order(stream=1), order(epoch=1)):
        assert not torch.equal(order(), other)


def test_an_epoch_can_be_entered_in_its_middle():
    batches = ShuffledBatches(torch.arange(50), batch_size=10, seed=4)
    whole = [batch[0] for batch in batches.epoch(3)]
    rest = [batch[0] for batch in batches.epoch(3, start=2)]
    assert len(rest) == 3
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest))


@pytest.mark.parametrize("size", [1, 0, 51])
def test_impossible_batch_sizes_are_refused(size):
    with pytest.raises(DuaError, match="batch_size"):
        ShuffledBatches(torch.arange(50), batch_size=size, seed=0)
