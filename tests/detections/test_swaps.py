"""Left and right that change sides in time are found in the demo's test clips, and nothing is found where they do not."""

import numpy as np
import pytest

from common.detections.keypoints import to_our_joints
from common.detections.swaps import SLOWEST, describe_swaps, exchange_sides, find_swaps
from common.files.arrays import load_arrays
from common.geometry.skeleton import H36M_JOINTS_TO_16, JOINT_NAMES
from tests.helpers import keypoint_text

SUBJECTS = {"test": ("S9", "S11"), "turning": ("S1", "S5")}
SEEN = np.ones((1, 16), dtype=bool)


@pytest.fixture(scope="module")
def clips(demo):
    """{set: [(T, 16, 2) pixels at 50 a second]}: the test clips, and spin kicks and dances of the training clips."""
    positions = load_arrays(demo / "data_2d_h36m_gt.npz")["positions_2d"]
    return {
        name: [
            camera[:, list(H36M_JOINTS_TO_16[camera.shape[1]])].astype(float)
            for subject in subjects
            for action, cameras in positions[subject].items()
            for camera in cameras
            if name == "test" or action.startswith(("Spinkick", "Dance"))
        ]
        for name, subjects in SUBJECTS.items()
    }


def seen_by_a_detector(pixels, rng, level=0.012):
    """Errors with heavy tails that last for some frames, of this size in the body's."""
    size = np.median(np.linalg.norm(np.ptp(pixels, axis=1), axis=-1))
    errors = rng.standard_t(4, pixels.shape) * level * size / np.sqrt(2)
    for frame in range(1, len(errors)):
        errors[frame] = 0.7 * errors[frame - 1] + np.sqrt(1 - 0.7**2) * errors[frame]
    return pixels + errors


def runs(frames, rng):
    """(T,) True in runs of 1 to 15 frames, about a sixth of all."""
    swapped = np.zeros(frames, dtype=bool)
    while swapped.mean() < 0.15:
        start = rng.integers(frames)
        swapped[start : start + rng.integers(1, 16)] = True
    return swapped if swapped.mean() < 0.4 else runs(frames, rng)


def wrong_and_missed(clips, parts, step=1, unseen=0.0, between=0):
    """Of the swapped frames of legs and of arms, the share that is not found; of the others, the share that is taken for swapped.

    Args:
        parts: which of legs and arms change sides.
        between: frames in which the sides are drawn together at each change, as by detectors that smooth in time.
    """
    rng, missed, false, swapped, good = np.random.default_rng(0), 0, 0, 0, 0
    for clip in clips:
        pixels = seen_by_a_detector(clip[::step], rng)
        truth = runs(len(pixels), rng)[:, None] & np.array(parts)
        pixels = exchange_sides(pixels, truth, "h36m")
        judged = np.ones(len(pixels), dtype=bool)
        for frame in np.flatnonzero(np.diff(truth.any(axis=1).astype(int))) + 1:
            for late in range(frame, min(frame + between, len(pixels))):
                ahead = (late - frame + 1) / (between + 1)
                other = exchange_sides(pixels[late : late + 1], np.array([parts]), "h36m")[0]
                pixels[late] = ahead * pixels[late] + (1 - ahead) * other
                judged[late] = False
        joints, missing = to_our_joints(np.where(rng.random((*pixels.shape[:2], 1)) >= unseen, pixels, np.nan), "h36m")
        found = find_swaps(joints, ~missing)[judged]
        truth = truth[judged]
        missed, swapped = missed + (truth & ~found).sum(), swapped + truth.sum()
        false, good = false + (found & ~truth).sum(), good + (~truth).sum()
    assert swapped > 100
    return missed / swapped, false / good


@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)], ids=["both", "legs", "arms"])
@pytest.mark.parametrize("step", [1, 2])
def test_swaps_are_found_in_the_frames_that_have_them(clips, parts, step):
    missed, false = wrong_and_missed(clips["test"], parts, step)
    assert missed < 0.02
    assert false < 0.005


def test_swaps_are_found_where_joints_are_unseen_or_sides_drawn_together(clips):
    missed, false = wrong_and_missed(clips["test"], (True, True), unseen=0.1)
    assert max(missed, false) < 0.05
    missed, false = wrong_and_missed(clips["test"], (True, False), unseen=0.1)
    assert missed < 0.2
    assert false < 0.02
    missed, false = wrong_and_missed(clips["test"], (True, True), between=1)
    assert missed < 0.25
    assert false < 0.02


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("name", SUBJECTS)
def test_who_turns_quickly_is_not_taken_for_swapped(clips, name, step):
    rng = np.random.default_rng(1)
    for clip in clips[name]:
        for pixels in (clip[::step], seen_by_a_detector(clip[::step], rng, 0.02)):
            assert not find_swaps(pixels, SEEN.repeat(len(pixels), axis=0)).any()


def test_a_leg_that_is_seen_in_the_place_of_the_other_is_no_swap(clips):
    rng = np.random.default_rng(2)
    legs = [[JOINT_NAMES.index(side + joint) for joint in ("Hip", "Knee", "Foot")] for side in "LR"]
    for clip in clips["test"]:
        pixels = seen_by_a_detector(clip, rng)
        start, side = rng.integers(len(clip)), rng.integers(2)
        pixels[start : start + 10, legs[side]] = pixels[start : start + 10, legs[1 - side]]
        assert not find_swaps(pixels, SEEN.repeat(len(clip), axis=0)).any()


def test_what_can_tell_nothing_is_left_alone(clips):
    pixels = exchange_sides(clips["test"][0], (np.arange(len(clips["test"][0])) == 9)[:, None].repeat(2, axis=1), "h36m")
    seen = SEEN.repeat(len(pixels), axis=0)
    assert np.flatnonzero(find_swaps(pixels, seen).all(axis=1)).tolist() == [9]
    assert np.flatnonzero(find_swaps(pixels, seen, SLOWEST).all(axis=1)).tolist() == [9]
    assert not find_swaps(pixels, seen, SLOWEST - 1).any()
    assert not find_swaps(pixels, np.zeros_like(seen)).any()
    for frames in range(4):
        assert not find_swaps(pixels[:frames], seen[:frames]).any()
    assert not find_swaps(np.zeros_like(pixels), seen).any()


def test_a_person_out_of_sight_may_come_back_swapped(clips):
    clip = clips["test"][0]
    later = np.arange(len(clip)) >= len(clip) - 15
    pixels = exchange_sides(clip, later[:, None].repeat(2, axis=1), "h36m")
    pixels[len(clip) - 17 : len(clip) - 15] = np.nan
    joints, missing = to_our_joints(pixels, "h36m")
    found = find_swaps(joints, ~missing)
    assert found[later].all()
    assert not found[: len(clip) - 17].any()


@pytest.mark.parametrize("order", keypoint_text.ORDERS)
def test_sides_are_exchanged_in_every_order(order):
    ours = keypoint_text.by_rule(np.random.default_rng(0).uniform(0, 500, (6, 16, 2)))
    parts = np.array([[True, True], [True, False], [False, True], [False, False], [True, True], [False, False]])
    expected = ours.copy()
    for part, joints in enumerate((("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist"))):
        for joint in joints:
            left, right = JOINT_NAMES.index(f"L{joint}"), JOINT_NAMES.index(f"R{joint}")
            expected[parts[:, part], left], expected[parts[:, part], right] = (
                ours[parts[:, part], right],
                ours[parts[:, part], left],
            )
    exchanged = exchange_sides(keypoint_text.in_order(ours, order), parts, order)
    np.testing.assert_allclose(to_our_joints(exchanged, order)[0], expected)
    np.testing.assert_allclose(exchange_sides(exchanged, parts, order), keypoint_text.in_order(ours, order))


def test_what_is_said_of_swaps():
    both = np.zeros((40, 2), dtype=bool)
    both[[3, 4, 5, 20]] = True
    frames = 100 + 5 * np.arange(40)
    assert describe_swaps(both, frames, False) == (
        "left and right seem exchanged in 4 of 40 frames (115-125, 200), if most are right: taken as they are; --fix_swaps "
        "(fix_swaps=True) exchanges them back"
    )
    both[4, 1] = False
    assert describe_swaps(both, frames, True) == (
        "left and right seem exchanged in 4 of 40 frames (legs in 115-125, 200; arms in 115, 125, 200), if most are right: they are "
        "exchanged back"
    )
    both[:, 0], both[:, 1] = np.arange(40) % 2 == 1, False
    assert "20 of 40 frames (legs in 105, 115, 125, 135, 145, 155, 165, 175, ... 20 times in all)" in describe_swaps(
        both, frames, True
    )
