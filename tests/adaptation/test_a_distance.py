"""`common.adaptation.domain_gap.a_distance`: two sets that are one, two that are two, and frames of one clip on both sides."""

import pytest
import torch

from common.adaptation.domain_gap import a_distance, clip_numbers
from common.datasets.poses import Poses, Sequence


def drawn(count, shift, seed):
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed)) + shift


CLIPS = torch.arange(40).repeat_interleave(25)


def test_of_one_distribution_it_is_about_0_and_of_two_that_do_not_overlap_2():
    assert a_distance(drawn(1000, 0.0, 0), drawn(1000, 0.0, 1), CLIPS, CLIPS) < 0.15
    assert a_distance(drawn(1000, 0.0, 0), drawn(1000, 9.0, 1), CLIPS, CLIPS) == 2.0


def test_it_is_what_the_best_linear_classifier_errs():
    # Two normal distributions d apart along one axis: the best boundary errs with probability Phi(-d / 2).
    a, b = drawn(20_000, 0.0, 0), drawn(20_000, 0.0, 1)
    b[:, 2] += 2.0
    clips = torch.arange(40).repeat_interleave(500)
    expected = 2 * (1 - 2 * float(torch.special.ndtr(torch.tensor(-1.0))))
    assert a_distance(a, b, clips, clips) == pytest.approx(expected, abs=0.03)


def test_a_clip_that_is_recognised_is_no_domain_that_is():
    """Every clip lies at a place of its own, and both domains have such clips: a classifier that had seen frames of all would know each."""
    places = torch.randn(80, 200, generator=torch.Generator().manual_seed(0))
    frames = places.repeat_interleave(25, 0) + 0.01 * torch.randn(2000, 200, generator=torch.Generator().manual_seed(1))
    assert a_distance(frames[:1000], frames[1000:], CLIPS, CLIPS) < 1.0
    one_per_frame = torch.arange(1000)
    assert a_distance(frames[:1000], frames[1000:], one_per_frame, one_per_frame) > 1.9


def test_sizes_of_the_domains_do_not_count():
    few = CLIPS < 8
    assert a_distance(drawn(1000, 0.0, 0), drawn(1000, 0.0, 1)[few], CLIPS, CLIPS[few]) < 0.4


def test_one_clip_is_too_few():
    with pytest.raises(ValueError, match="two clips"):
        a_distance(drawn(25, 0.0, 0), drawn(1000, 0.0, 1), CLIPS[:25], CLIPS)


def test_cameras_of_one_clip_have_one_number():
    sequences = (
        Sequence("S1", "Walking", "a", 0, 2, (1000, 1000)),
        Sequence("S1", "Walking", "b", 2, 4, (1000, 1000)),
        Sequence("S1", "Sitting", "a", 4, 5, (1000, 1000)),
    )
    poses = Poses("h36m", torch.zeros(5, 16, 2), torch.zeros(5, 16, 3), sequences)
    assert clip_numbers(poses).tolist() == [0, 0, 0, 0, 1]
