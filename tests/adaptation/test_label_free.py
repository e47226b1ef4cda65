"""Scores that need no label of the target, on poses of which they are known, and the rule."""

import pytest
import torch

from common.adaptation.label_free import bone_variation, pick, reprojection_error, uncovered
from common.datasets.poses import Sequence, UnlabelledPoses
from common.geometry.bones import bone_lengths
from common.geometry.skeleton import BONES


def standing(count=6):
    """(N, 16, 3) bodies alike on both sides, and where they stand."""
    generator = torch.Generator().manual_seed(0)
    pose = torch.zeros(16, 3)
    for parent, child in BONES:
        pose[child] = pose[parent] + torch.tensor([0.1 if child in (1, 2, 3, 13, 14, 15) else -0.1, 0.2, 0.05])
    turns = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))[0]
    roots = torch.tensor([0.2, -0.1, 5.0]) + 0.3 * torch.randn(count, 3, generator=generator)
    return torch.einsum("nij,kj->nki", turns, pose), roots


def seen(poses, roots):
    points = poses + roots[:, None]
    return points / points[..., 2:]


def clips(count):
    sequence = Sequence(subject="S1", action="Walk", camera="c", resolution=(1000, 1000), start=0, stop=count // 2)
    rest = Sequence(subject="S1", action="Run", camera="c", resolution=(1000, 1000), start=count // 2, stop=count)
    return UnlabelledPoses("made up", torch.zeros(count, 16, 2), (sequence, rest))


def test_a_true_pose_is_seen_where_its_2d_is():
    poses, roots = standing()
    rays = seen(poses, roots)
    assert reprojection_error(poses, rays) == pytest.approx(0, abs=1e-5)
    assert reprojection_error(1.3 * poses, rays) == pytest.approx(0, abs=1e-5)  # stands farther away
    assert 0.2 < reprojection_error(poses.roll(1, 0), rays) <= 1


def test_bones_of_one_length_do_not_vary():
    poses, _ = standing()
    assert bone_variation(poses, clips(6)) == pytest.approx(0, abs=1e-5)
    stretched = poses * torch.tensor([1.0, 1.2, 1.1, 0.8, 1.0, 0.9])[:, None, None]
    lengths = bone_lengths(stretched).double()
    within = torch.cat([lengths[:3] - lengths[:3].mean(0), lengths[3:] - lengths[3:].mean(0)])
    expected = (within.square().mean(0).sqrt() / lengths.mean(0)).mean()
    assert bone_variation(stretched, clips(6)) == pytest.approx(float(expected), rel=1e-5)
    between = poses * torch.tensor([1.0, 1.0, 1.0, 0.8, 0.8, 0.8])[:, None, None]
    assert bone_variation(between, clips(6)) == pytest.approx(0, abs=1e-5)  # two people


def test_one_side_that_is_longer_counts():
    poses, _ = standing()
    poses = poses.clone()
    poses[:, 15] += 0.5 * (poses[:, 15] - poses[:, 14])  # a forearm half as long again, one of six pairs of bones
    assert bone_variation(poses, clips(6)) == pytest.approx(0.5 / 1.25 / 6, rel=1e-4)


def test_the_rule_picks_by_ratios_and_not_by_units():
    candidates = {
        "far": {"uncovered": 50.0, "reprojection": 2.0, "bones": 10.0, "agreement": 30.0},
        "near": {"uncovered": 10.0, "reprojection": 3.0, "bones": 10.0, "agreement": 30.0},
        "same": {"uncovered": 10.0, "reprojection": 3.0, "bones": 10.0, "agreement": 30.0},
    }
    assert pick(candidates) == "near"
    metres = {name: of | {"agreement": of["agreement"] / 1000} for name, of in candidates.items()}
    assert pick(metres) == "near"


def test_what_the_source_shows_beside_the_target_does_not_count_and_what_it_lacks_does():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(40, 16, 2, generator=generator)
    more = torch.cat([torch.randn(60, 16, 2, generator=generator), target])
    assert uncovered(more, target) == pytest.approx(0, abs=1e-3)
    assert uncovered(3.0 * more + 0.5, target) == pytest.approx(0, abs=1e-3), "a picture's place and size are no shape"
    assert uncovered(more[:60], target) > 0.5
    centred = target - target.mean(1, keepdim=True)
    size = centred.square().sum(-1).mean(1).sqrt()  # of each person, from the middle
    moved = centred / size[:, None, None]
    off = moved + 0.1 * torch.tensor([1.0, -1.0]).repeat(8)[None, :, None] * torch.tensor([1.0, 0.0])
    assert uncovered(off, target) == pytest.approx(0.1, rel=0.1), "every joint a tenth of a person's size off"
