"""People are followed from frame to frame."""

import numpy as np
import pytest

from common.detections.tracks import Detection, link_people, who_is_who


def person(frame, x, number=None, score=1.0):
    """A body 40 wide and 100 high, with its middle at x."""
    pose = np.array([[x - 20.0, 100.0], [x + 20.0, 200.0], [x, 150.0]])
    return Detection(frame, pose, np.ones(3), score, number)


def middles(track):
    return [detection.keypoints_2d[2, 0] for detection in track.detections]


def test_people_who_pass_each_other_in_any_order_are_kept_apart():
    ways = {frame: (100.0 + 3 * frame, 400.0 - 2 * frame) for frame in range(50)}
    shuffled = np.random.default_rng(0).permutation([(frame, i) for frame in ways for i in range(2)])
    tracks = link_people([person(int(frame), ways[frame][i]) for frame, i in shuffled], 0.3)
    assert [len(track) for track in tracks] == [50, 50]
    assert sorted(map(middles, tracks)) == [[a for a, _ in ways.values()], [b for _, b in ways.values()]]


def test_people_who_stand_close_are_linked_to_the_best_and_once():
    pairs = [(person(frame, 100, score=frame % 2), person(frame, 125, score=0.5)) for frame in range(20)]  # listed in turns
    tracks = link_people([detection for pair in pairs for detection in pair], 0.3)
    assert sorted(map(middles, tracks)) == [[100.0] * 20, [125.0] * 20]
    alone = link_people([person(0, 100), person(1, 100), person(1, 110)], 0.3)
    assert sorted(map(middles, alone)) == [[100, 100], [110]]


def test_quick_movement_and_absence():
    here = [person(frame, 100 + 45 * frame) for frame in range(5)]  # no overlap from frame to frame, but near
    later = [person(frame, 285) for frame in range(20, 23)]
    far = [person(frame, 600) for frame in range(10)]
    tracks = link_people([*here, *later, *far], 0.3)
    assert [len(track) for track in tracks] == [10, 8]
    assert tracks[1].arrays()[0].tolist() == list(range(23))
    frames, keypoints_2d, confidences = tracks[1].arrays()
    absent = np.isnan(keypoints_2d).all(axis=(1, 2))
    assert frames[absent].tolist() == list(range(5, 20))
    assert (confidences[absent] == 0).all()
    assert len(link_people([person(0, 100), person(100, 100)], 0.3)) == 2  # gone for too long


def test_numbers_of_the_file_count():
    crossing = [person(frame, x, number) for frame in range(10) for number, x in ((7, 100 + 10 * frame), (3, 190 - 10 * frame))]
    loose = [person(10, 500), person(5, 150, 7, score=0.1)]  # without a number; the same number twice in one place
    tracks, notes = who_is_who([*loose, *crossing], 0.3)
    assert {track.person: middles(track) for track in tracks} == {
        7: [100 + 10 * frame for frame in range(10)],
        3: [190 - 10 * frame for frame in range(10)],
    }
    assert notes == [
        "1 detections without a number continue nobody's box and are left out",
        "1 detections repeat a person of their frame and are left out",
    ]


@pytest.mark.parametrize("number", [0, -1, 7])
def test_a_number_that_everybody_has_tells_nobody_apart(number):
    both = [person(frame, x, number, score=(frame + x) % 3) for frame in range(20) for x in (100, 500)]
    tracks, notes = who_is_who(both, 0.3)
    assert sorted(map(middles, tracks)) == [[100] * 20, [500] * 20]
    assert {track.person for track in tracks} == {1, 2}
    assert notes == [f"people are told apart by place: the number {number} is nobody's alone"]
    in_turns = [person(frame, 100 + 400 * (frame % 2), number) for frame in range(20)]  # never twice in a frame
    tracks, notes = who_is_who(in_turns, 0.3)
    assert sorted(map(middles, tracks)) == [[100] * 10, [500] * 10]
    assert len(notes) == 1
    tracks, notes = who_is_who([person(frame, 100, number) for frame in range(20)], 0.3)
    assert [(track.person, len(track)) for track in tracks] == [(number if number >= 0 else 1, 20)]
    assert notes == []


def test_one_number_of_several_people_among_others():
    """3 is one person's; 5 is given to two, who are told apart by place and get numbers of their own."""
    people = [person(frame, x, number) for frame in range(20) for x, number in ((100, 3), (500, 5), (900, 5))]
    tracks, notes = who_is_who(people, 0.3)
    assert {track.person: middles(track) for track in tracks} == {3: [100] * 20, 4: [500] * 20, 5: [900] * 20}
    assert notes == ["people with the number 5, which is in two places of a frame, are told apart by place"]


@pytest.mark.parametrize("numbered", [range(10), range(10, 20), range(0, 20, 3)], ids=["early", "late", "now and then"])
def test_detections_without_a_number_continue_the_box_of_one_that_has(numbered):
    a = [person(frame, 100 + 5 * frame, 31 if frame in numbered else None) for frame in range(20)]
    b = [person(frame, 400 - 5 * frame, 4 if frame in numbered else -1) for frame in range(20)]
    tracks, notes = who_is_who([*a, *b], 0.3)
    assert {track.person: middles(track) for track in tracks} == {
        31: [100 + 5 * frame for frame in range(20)],
        4: [400 - 5 * frame for frame in range(20)],
    }
    assert [detection.frame for detection in tracks[0].detections] == list(range(20))
    loose = 40 - 2 * len(numbered)
    assert notes == [f"{loose} detections without a number are taken for the people whose boxes they continue"]


def test_a_detection_without_a_number_is_nobody_who_is_there_already():
    a = [person(frame, 100, 31) for frame in range(10)]
    ghost = [person(frame, 110, None, score=2.0) for frame in range(10)]
    later = [person(100, 100)]  # gone for too long
    tracks, notes = who_is_who([*a, *ghost, *later], 0.3)
    assert [middles(track) for track in tracks] == [[100] * 10]
    assert notes == ["11 detections without a number continue nobody's box and are left out"]


def test_nobody():
    assert link_people([], 0.3) == []
    assert link_people([Detection(0, np.full((3, 2), np.nan), np.zeros(3))], 0.3) == []
