"""What a network has seen is measured without changing what it learns, and a clip that lies outside is told by how much."""

import random

import numpy as np
import pytest
import torch

from common.adaptation.augment import SeenAnew, Views
from common.datasets.batches import DomainBatches, ShuffledBatches
from common.datasets.poses import Sequence
from common.errors import DuaError
from common.training.trained_range import TrainedRange, focal_span, stored_range

H36M = [Sequence("S1", "Walking", camera, 0, 10, (1000, 1002)) for camera in ("54138969", "55011271")]
SURREAL = [Sequence("surreal", "01 01", "surreal", 0, 10, (320, 240))]


def views(heights, places):
    """(N, 16, 2): people of such heights, half as broad, with the hip at such places."""
    heights, places = np.asarray(heights, dtype="f4"), np.asarray(places, dtype="f4")
    joints = np.tile(places[:, None], (1, 16, 1))
    joints[:, 9, 1] -= heights * 0.55
    joints[:, 3, 1] += heights * 0.45
    joints[:, 12, 0] += heights * 0.5
    return torch.from_numpy(joints)


def source(count=4000, seed=0, low=0.5, high=1.0):
    rng = np.random.default_rng(seed)
    return views(rng.uniform(low, high, count), rng.uniform(-0.2, 0.3, (count, 2)))


def test_ranges_are_quantiles_of_what_batches_hold():
    inputs = source()
    batches = ShuffledBatches(inputs, torch.zeros(len(inputs), 16, 3), batch_size=50, seed=3)
    found = TrainedRange.of(batches, focal_span(H36M))
    assert found.size == pytest.approx((0.5025, 0.9975), abs=2e-3)
    assert found.root_x == pytest.approx((-0.1975, 0.2975), abs=4e-3)
    assert found.root_y == pytest.approx((-0.1975, 0.2975), abs=4e-3)
    assert found.focal_length == pytest.approx((2 * 1145.049 / 1000, 2 * 1149.676 / 1000), abs=1e-4)
    assert stored_range({"trained_range": found.to_dict()}, "a") == found


def test_the_targets_2d_was_seen_as_well():
    inputs, target = source(), source(2000, 1, 1.2, 1.4)
    batches = DomainBatches(
        ShuffledBatches(inputs, torch.zeros(len(inputs), 16, 3), batch_size=50, seed=3),
        ShuffledBatches(target, batch_size=50, seed=3, stream=1),
    )
    found = TrainedRange.of(batches, focal_span(H36M + SURREAL))
    assert found.size == pytest.approx((0.5025, 1.399), abs=5e-3)
    assert found.focal_length == pytest.approx((2.29, 3.75), abs=1e-3)


def test_views_that_are_made_anew_count_as_they_are_seen():
    count = 600
    poses = torch.randn(count, 16, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    poses[:, 0] = 0
    roots, up = torch.tensor([[0.0, 0, 5]]).repeat(count, 1), torch.tensor([[0.0, -1, 0]]).repeat(count, 1)
    intrinsics = torch.tensor([[2.3, 2.3, 0, 0]]).repeat(count, 1)
    filmed = ShuffledBatches(torch.zeros(count, 16, 2), poses, roots, up, intrinsics, batch_size=50, seed=0)
    batches = SeenAnew(filmed, Views(augment=True, align=False, centred=False, read=()), seed=4)
    found = TrainedRange.of(batches, focal_span(H36M))
    seen = torch.cat([inputs for inputs, _ in batches.epoch(0)]).numpy()
    assert found.root_x == pytest.approx(np.quantile(seen[:, 0, 0], (0.005, 0.995)))
    assert found.root_x[1] - found.root_x[0] > 0.5  # as filmed, all hips are in the middle
    assert found.size == pytest.approx(np.quantile(np.ptp(seen, axis=1).max(axis=1), (0.005, 0.995)))


def test_nothing_of_a_run_is_changed():
    inputs = source()
    batches, untouched = (ShuffledBatches(inputs, batch_size=50, seed=3) for _ in range(2))
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    TrainedRange.of(batches, focal_span(H36M))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]
    for epoch in (0, 1):
        for (found,), (expected,) in zip(batches.epoch(epoch), untouched.epoch(epoch), strict=True):
            assert torch.equal(found, expected)


TRAINED = TrainedRange((0.5, 1.0), (-0.2, 0.3), (-0.1, 0.2), (2.29, 2.3))


def outside(height, place, focal=None, frames=20, unlike=20):
    """What is said of a clip, `unlike` of whose frames are such and the others as in training."""
    inside = views(np.full(frames - unlike, 0.8), np.zeros((frames - unlike, 2)))
    clip = torch.cat([views(np.full(unlike, height), np.tile(place, (unlike, 1))), inside])
    return TRAINED.outside(clip.numpy(), focal)


def test_what_lies_outside_is_said_with_its_measure():
    (crop,) = outside(2.0, (0, 0))
    assert "people are 100 % of the picture's width long, in training 25 to 50 %: 2 times the largest" in crop
    assert "not a crop's" in crop
    (small,) = outside(0.25, (0, 0))
    assert "12 % of the picture's width long, in training 25 to 50 %: 0.5 times the smallest" in small
    assert "size of the frames" in small
    (aside,) = outside(0.8, (-0.6, 0.5))
    assert "30 % left, in training 10 % left to 15 % right and 25 % below, in training 5 % above to 10 % below" in aside
    (lens,) = outside(0.8, (0, 0), 1.15)
    assert "the focal length is 0.57 times the picture's width, in training 1.15: 0.5 times that" in lens
    assert len(outside(2.0, (0.9, 0), 4.0)) == 3


@pytest.mark.parametrize(
    "clip",
    [
        {"height": 0.8, "place": (0, 0)},
        {"height": 0.8, "place": (0, 0), "focal": 2.3},
        {"height": 1.05, "place": (0.33, 0)},  # people of the next data set are not quite those of the last
        {"height": 3.0, "place": (0.9, 0.9), "unlike": 10},  # half of the frames: somebody walks up to the camera
    ],
)
def test_nothing_is_said_of_what_is_like_it(clip):
    assert outside(**clip) == []


def test_what_a_checkpoint_keeps():
    assert stored_range({}, "old.pth.tar") is None
    for damaged in ({"size": [1, 2]}, TRAINED.to_dict() | {"size": [2, 1]}, TRAINED.to_dict() | {"size": [0, float("nan")]}, 3):
        with pytest.raises(DuaError, match=r"a\.pth\.tar: its trained_range is damaged"):
            stored_range({"trained_range": damaged}, "a.pth.tar")
