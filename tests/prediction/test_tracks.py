"""People are followed from frame to frame."""

import numpy as np

from common.prediction.tracks import Detection, link_people


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
    loose = [person(10, 200), person(5, 150, 7, score=0.1)]  # without a number; the same number twice in a frame
    tracks = link_people([*loose, *crossing], 0.3)
    assert {track.person: middles(track) for track in tracks} == {
        7: [100 + 10 * frame for frame in range(10)],
        3: [190 - 10 * frame for frame in range(10)],
    }


def test_nobody():
    assert link_people([], 0.3) == []
    assert link_people([Detection(0, np.full((3, 2), np.nan), np.zeros(3))], 0.3) == []
