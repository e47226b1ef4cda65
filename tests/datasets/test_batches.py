"""Batches: every row once, rows that stay together, and an order that can be entered in its middle."""

import pytest
import torch

from common.datasets.batches import DomainBatches, ShuffledBatches
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


# --- two domains side by side -------------------------------------------------------------------------------------------


def two_domains(source=50, target=23, seed=0):
    rows = torch.arange(source)
    return DomainBatches(
        ShuffledBatches(rows, rows * 2, batch_size=10, seed=seed),
        ShuffledBatches(1000 + torch.arange(target), batch_size=10, seed=seed, stream=1),
    )


@pytest.mark.parametrize(("source", "target"), [(50, 23), (23, 50), (50, 50)])
def test_an_epoch_is_one_pass_over_the_longer_domain(source, target):
    batches = two_domains(source, target)
    seen = list(batches.epoch(0))
    assert len(seen) == batches.steps == 5
    assert all(torch.equal(labels, inputs * 2) for inputs, labels, _ in seen)
    assert all(len(part) == 10 for batch in seen for part in batch)
    for place, size in ((0, source), (2, target)):
        rows = torch.cat([batch[place] for batch in seen]).tolist()
        assert size < 50 or len(set(rows)) == 50
        assert all((row >= 1000) == (place == 2) for row in rows)


def test_the_shorter_domain_cycles_without_a_seam_in_new_orders():
    """Two batches of it are one pass: rows differ within a pass, orders between passes, also across epochs."""
    batches = two_domains()
    parts = [batch[2] for epoch in range(4) for batch in batches.epoch(epoch)]
    passes = [torch.cat(pair) for pair in zip(parts[::2], parts[1::2])]
    assert len(passes) == 10
    assert all(len(set(rows.tolist())) == 20 for rows in passes)
    assert len({tuple(rows.tolist()) for rows in passes}) == 10


def test_an_epoch_of_two_domains_can_be_entered_in_its_middle():
    whole, rest = list(two_domains().epoch(3)), list(two_domains().epoch(3, start=2))
    assert len(rest) == 3
    assert all(torch.equal(a, b) for one, other in zip(whole[2:], rest) for a, b in zip(one, other))


def test_the_sources_order_is_the_one_it_has_alone():
    """So that runs with and without target batches see the same source batches."""
    alone = ShuffledBatches(torch.arange(50), batch_size=10, seed=0)
    together = two_domains(target=23)
    for epoch in range(2):
        for batch, other in zip(alone.epoch(epoch), together.epoch(epoch), strict=True):
            assert torch.equal(batch[0], other[0])


def test_the_log_says_how_often_each_domain_cycles():
    assert two_domains(50, 23).describe() == "5 batches an epoch; passes in it: source 1.00, target 2.50"
    assert two_domains(23, 50).describe() == "5 batches an epoch; passes in it: source 2.50, target 1.00"
