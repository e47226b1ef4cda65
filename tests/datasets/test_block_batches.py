"""The block shuffle: every pose once, an order that can be entered anywhere, and as good a mixture as its docstring says."""

import pytest
import torch

from common.datasets.batches import DomainBatches, ShuffledBatches
from common.datasets.block_batches import BlockBatches, shared_clips
from common.datasets.poses import Sequence, UnlabelledPoses
from common.datasets.streamed import Streamed
from common.errors import DuaError

CLIP = 40


def numbered(poses=5000, clip=CLIP, broken=None):
    """Poses whose joints are their numbers in an imagined file, in which every other row is of no interest."""
    stops = [*range(clip, poses, clip), poses]
    sequences = tuple(Sequence("s", f"clip {i}", "c", i * clip, stop, (1, 1)) for i, stop in enumerate(stops))
    starts = torch.tensor([s.start for s in sequences]).numpy() * 2

    def load(rows, sequences):
        if broken is not None and (rows == 2 * broken).any():
            raise DuaError(f"row {2 * broken} is NaN")
        assert (rows % 2 == 0).all()
        return UnlabelledPoses("n", torch.from_numpy(rows // 2), sequences)

    return Streamed("n", sequences, starts, 2, load)


def batches(poses=5000, batch_size=64, seed=0, stream=0, block=32, buffer=1024, **options):
    return BlockBatches(
        numbered(poses, **options),
        lambda p: (p.inputs_2d, p.inputs_2d * 2),
        batch_size,
        seed,
        stream=stream,
        block=block,
        buffer=buffer,
    )


@pytest.mark.parametrize("poses", [5000, 1024, 1000, 64])
def test_an_epoch_visits_poses_once_and_keeps_rows_together(poses):
    made = batches(poses)
    seen = list(made.epoch(0))
    assert len(seen) == made.steps == poses // 64
    assert all(len(numbers) == 64 and torch.equal(numbers * 2, doubled) for numbers, doubled in seen)
    assert len(set(torch.cat([numbers for numbers, _ in seen]).tolist())) == made.steps * 64


def test_what_is_left_over_differs_between_epochs():
    made = batches(100)
    left = [set(range(100)) - set(torch.cat([b[0] for b in made.epoch(e)]).tolist()) for e in range(20)]
    assert set.union(*left) == set(range(100))


def test_the_order_depends_on_seed_stream_and_epoch_alone():
    def order(epoch=0, **options):
        return torch.cat([batch[0] for batch in batches(**options).epoch(epoch)])

    assert torch.equal(order(), order())
    for other in (order(seed=1), order(stream=1), order(epoch=1)):
        assert not torch.equal(order(), other)


def test_an_epoch_can_be_entered_in_its_middle():
    whole = [numbers for numbers, _ in batches().epoch(3)]
    for start in (1, 15, 16, 40, 77):  # 16 batches fill a buffer, but for the one with the short block
        rest = [numbers for numbers, _ in batches().epoch(3, start)]
        assert len(rest) == len(whole) - start
        assert all(torch.equal(a, b) for a, b in zip(whole[start:], rest))
    made = batches()  # as a shorter domain goes on beside a longer one: from epoch to epoch, or anywhere
    at = [made.at(step)[0] for step in range(2 * made.steps)]
    assert torch.equal(made.at(3)[0], at[3])
    assert torch.equal(torch.stack(at), torch.stack([numbers for e in (0, 1) for numbers, _ in batches().epoch(e)]))


def test_two_domains_take_it_as_either():
    both = DomainBatches(batches(640), ShuffledBatches(torch.arange(200), batch_size=64, seed=0, stream=1))
    seen = list(both.epoch(0))
    assert len(seen) == 10
    assert all(len(batch) == 3 for batch in seen)


@pytest.mark.parametrize("size", [1, 51])
def test_impossible_batch_sizes_are_refused(size):
    with pytest.raises(DuaError, match="batch_size"):
        batches(50, batch_size=size)


def test_what_is_wrong_in_a_block_is_said_when_it_is_needed():
    made = batches(broken=4321)
    with pytest.raises(DuaError, match="row 8642 is NaN"):
        list(made.epoch(0))


# --- how good the shuffle is --------------------------------------------------------------------------------------------


def pairs_of_a_clip(made, clip, epochs):
    """The share of pairs of poses in a batch that are of one clip, and the number of different clips in a batch."""
    same = total = different = count = 0
    for epoch in range(epochs):
        for numbers, *_ in made.epoch(epoch):
            often = torch.bincount(numbers // clip)
            same += int((often * (often - 1)).sum())
            total += len(numbers) * (len(numbers) - 1)
            different, count = different + int((often > 0).sum()), count + 1
    return same / total, different / count


@pytest.mark.parametrize(("clip", "block"), [(40, 32), (40, 128), (100, 32), (100, 128)])
def test_poses_of_a_batch_share_a_clip_as_often_as_is_said(clip, block):
    poses, buffer = 40_000, 4096
    foreseen, full = shared_clips(numbered(poses, clip).sequences, block, buffer // block)
    measured, different = pairs_of_a_clip(batches(poses, block=block, buffer=buffer, clip=clip), clip, epochs=3)
    assert measured == pytest.approx(foreseen, rel=0.05)
    shuffled, _ = pairs_of_a_clip(ShuffledBatches(torch.arange(poses), batch_size=64, seed=0), clip, epochs=3)
    assert shuffled == pytest.approx(full, rel=0.1)
    # The docstring's rules: no worse than a full shuffle of a buffer, nor than one block's share of it.
    assert foreseen < min(clip, block) / buffer + full
    assert different > 64 - 64 * 63 / 2 * foreseen - 0.1
    assert (
        f"of one clip in {100 * foreseen:.2g} % of cases, {100 * full:.2g} %"
        in batches(poses, block=block, buffer=buffer, clip=clip).describe()
    )


def test_one_buffer_for_all_is_a_full_shuffle():
    sequences = numbered(1000).sequences
    assert shared_clips(sequences, 32, 32) == pytest.approx((39 / 999, 39 / 999))
    assert shared_clips(sequences, 32, 31)[0] > 39 / 999


def test_batches_of_an_epoch_are_of_all_parts_of_the_file():
    """Positions of poses and places in the epoch are unrelated, but that a buffer holds blocks."""
    made = batches(40_000, block=32, buffer=4096)
    means = torch.stack([numbers.double().mean() for numbers, *_ in made.epoch(0)])
    spread = 40_000 / 12**0.5 / 8  # of the mean of 64 independent numbers
    assert float(means.mean()) == pytest.approx(20_000, rel=0.02)
    assert float(means.std()) < 1.3 * spread
