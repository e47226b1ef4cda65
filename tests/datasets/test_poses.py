"""Poses in memory: splitting, selecting, naming actions."""

import itertools

import numpy as np
import pytest
import torch

from common.datasets.poses import (
    Poses,
    Sequence,
    base_action,
    check_finite,
    choose_actions,
    renumber,
    split_validation,
)
from common.errors import DuaError

CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def make_poses(clips, cameras=CAMERAS, splits=None) -> Poses:
    """Poses whose every number says which clip, camera and frame it came from; clips differ in length."""
    sequences, rows = [], []
    for number, (subject, action) in enumerate(clips):
        for c, camera in enumerate(cameras):
            start, length = len(rows), 2 + number % 3
            rows += [1000 * number + 100 * c + frame for frame in range(length)]
            split = (splits or {}).get((subject, action), "")
            sequences.append(Sequence(subject, action, camera, start, start + length, (1000, 1002), split))
    marks = torch.tensor(rows, dtype=torch.float32)
    return Poses("h36m", marks[:, None, None].expand(-1, 16, 2), -marks[:, None, None].expand(-1, 16, 3), tuple(sequences))


def marks_of(poses: Poses) -> list[float]:
    assert torch.equal(poses.inputs_2d[:, 3, 1], -poses.targets_3d[:, 7, 2])  # 2D and 3D stay together
    return poses.inputs_2d[:, 0, 0].tolist()


def assert_rows_belong_to_sequences(part: Poses, whole: Poses) -> None:
    """Every sequence of `part` shows the rows that it had in `whole`, and they tile it."""
    assert [s.start for s in part.sequences] == [0, *itertools.accumulate(s.stop - s.start for s in part.sequences)][:-1]
    assert (part.sequences[-1].stop if part.sequences else 0) == len(part) == len(part.targets_3d)
    places = {(s.subject, s.action, s.camera): s for s in whole.sequences}
    for sequence in part.sequences:
        before = places[sequence.subject, sequence.action, sequence.camera]
        assert marks_of(part)[sequence.start : sequence.stop] == marks_of(whole)[before.start : before.stop]
        assert (sequence.resolution, sequence.split) == (before.resolution, before.split)


def clips_of(poses: Poses) -> set:
    return {(s.subject, s.action) for s in poses.sequences}


MANY = [(f"S{i}", action) for i in (1, 5, 6, 7, 8) for action in ("Walking", "Walking 1", "Sitting", "Eating")]


def test_split_keeps_clips_whole_and_cameras_together():
    poses = make_poses(MANY)
    train, held_out = split_validation(poses)
    assert clips_of(train) & clips_of(held_out) == set()
    assert clips_of(train) | clips_of(held_out) == set(MANY)
    assert len(clips_of(held_out)) == 2  # a tenth of twenty
    for part in (train, held_out):
        for clip in clips_of(part):
            assert tuple(s.camera for s in part.sequences if (s.subject, s.action) == clip) == CAMERAS
        assert_rows_belong_to_sequences(part, poses)
    assert len(train) + len(held_out) == len(poses)


def test_split_is_the_same_every_time():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the split must not follow the run's seed
    first = split_validation(make_poses(MANY))
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second = split_validation(make_poses(MANY))
    assert [marks_of(a) for a in first] == [marks_of(b) for b in second]


def test_split_does_not_depend_on_the_order_in_the_file():
    one, other = split_validation(make_poses(MANY))[1], split_validation(make_poses(MANY[::-1]))[1]
    assert clips_of(one) == clips_of(other)


def test_split_is_the_same_in_every_release():
    """Results are compared across runs, machines and versions: these clips are the yardstick."""
    assert clips_of(split_validation(make_poses(MANY))[1]) == {("S5", "Eating"), ("S8", "Walking 1")}


def test_fixed_split_is_followed():
    splits = {clip: "validation" if clip[1] == "Sitting" else "train" for clip in MANY}
    poses = make_poses(MANY, splits=splits)
    train, held_out = split_validation(poses)
    assert clips_of(held_out) == {clip for clip in MANY if clip[1] == "Sitting"}
    assert clips_of(train) == {clip for clip in MANY if clip[1] != "Sitting"}
    assert_rows_belong_to_sequences(held_out, poses)


def test_fixed_split_never_trains_on_test_clips():
    splits = {clip: {"S8": "test", "S7": "validation"}.get(clip[0], "train") for clip in MANY}
    train, held_out = split_validation(make_poses(MANY, splits=splits))
    assert {subject for subject, _ in clips_of(train)} == {"S1", "S5", "S6"}
    assert {subject for subject, _ in clips_of(held_out)} == {"S7"}


def test_two_clips_give_one_to_each_side():
    train, held_out = split_validation(make_poses(MANY[:2]))
    assert len(clips_of(train)) == len(clips_of(held_out)) == 1


def test_one_clip_cannot_be_split():
    with pytest.raises(DuaError, match="no clip for training"):
        split_validation(make_poses(MANY[:1]))


@pytest.mark.parametrize(("split", "lacking"), [("train", "validation"), ("validation", "training")])
def test_fixed_split_without_one_side(split, lacking):
    with pytest.raises(DuaError, match=f"no clip for {lacking}"):
        split_validation(make_poses(MANY, splits=dict.fromkeys(MANY, split)))


def test_no_poses_cannot_be_split():
    with pytest.raises(DuaError):
        split_validation(make_poses([]))


def test_select_keeps_order_and_rows():
    poses = make_poses(MANY)
    chosen = poses.select(lambda s: s.camera == CAMERAS[2] and s.subject in ("S5", "S8"))
    assert {s.camera for s in chosen.sequences} == {CAMERAS[2]}
    assert len(chosen.sequences) == 8
    assert marks_of(chosen) == sorted(marks_of(chosen))  # marks rise along the file
    assert_rows_belong_to_sequences(chosen, poses)
    assert_rows_belong_to_sequences(poses.select(lambda s: True), poses)


def test_select_twice():
    poses = make_poses(MANY)
    twice = poses.select(lambda s: s.subject != "S1").select(lambda s: s.base_action == "Walking")
    assert len(twice.sequences) == 4 * 2 * len(CAMERAS)
    assert_rows_belong_to_sequences(twice, poses)


def test_select_nothing():
    empty = make_poses(MANY).select(lambda s: False)
    assert len(empty) == 0
    assert empty.sequences == ()
    assert empty.inputs_2d.shape == (0, 16, 2)
    assert empty.targets_3d.shape == (0, 16, 3)


def test_select_leaves_the_poses_alone():
    poses = make_poses(MANY[:3])
    before = (poses.sequences, poses.inputs_2d.clone())
    chosen = poses.select(lambda s: s.action == "Sitting")
    chosen.inputs_2d[:] = 0
    assert poses.sequences == before[0]
    assert torch.equal(poses.inputs_2d, before[1])


def test_renumber_lays_sequences_one_after_the_other():
    sequences = [Sequence("S1", "a", "c", 10, 13, (1, 1)), Sequence("S1", "b", "c", 2, 4, (1, 1), "train")]
    first, second = renumber(iter(sequences))
    assert (first.start, first.stop, first.action) == (0, 3, "a")
    assert (second.start, second.stop, second.action, second.split) == (3, 5, "b", "train")
    assert sequences[0].start == 10
    assert renumber([]) == ()


def test_unlabelled_poses_hold_no_label():
    poses = make_poses(MANY[:2])
    unlabelled = poses.unlabelled()
    assert (unlabelled.name, unlabelled.sequences, len(unlabelled)) == (poses.name, poses.sequences, len(poses))
    assert not any(value is poses.targets_3d for value in vars(unlabelled).values())


def test_to_keeps_everything():
    poses = make_poses(MANY[:2]).to(torch.device("cpu"))
    assert_rows_belong_to_sequences(poses, make_poses(MANY[:2]))
    assert len(poses.unlabelled().to(torch.device("cpu"))) == len(poses)


@pytest.mark.parametrize(
    ("action", "base"),
    [
        ("Walking", "Walking"),
        ("Walking 1", "Walking"),
        ("Walking 12", "Walking"),
        ("WalkingDog", "WalkingDog"),
        ("Sitting Down 2", "Sitting Down"),
        ("Sitting Down", "Sitting Down"),
        ("1", "1"),
        (" 1", " 1"),
        ("", ""),
    ],
)
def test_base_action(action, base):
    assert base_action(action) == base
    assert Sequence("S1", action, "c", 0, 1, (1, 1)).base_action == base


AVAILABLE = ("Walking", "Walking 1", "WalkingDog", "Sitting 2")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("*", AVAILABLE),
        (" * ", AVAILABLE),
        ("Walking", ("Walking", "Walking 1")),
        ("Walking 1", ("Walking 1",)),
        ("WalkingDog", ("WalkingDog",)),
        ("Sitting", ("Sitting 2",)),
        (" Sitting , WalkingDog,", ("Sitting 2", "WalkingDog")),
        ("Walking,Walking 1", ("Walking", "Walking 1")),
    ],
)
def test_choose_actions(wanted, chosen):
    assert choose_actions(iter(AVAILABLE), wanted, "file") == set(chosen)


@pytest.mark.parametrize("wanted", ["Walk", "walking", "Sitting 1", "Walking,Running", "Walking Dog"])
def test_unknown_action_lists_what_there_is(wanted):
    with pytest.raises(DuaError) as caught:
        choose_actions(AVAILABLE, wanted, "my_file.npz")
    assert "my_file.npz" in str(caught.value)
    assert "Sitting, Walking, WalkingDog" in str(caught.value)
    assert wanted.split(",")[-1] in str(caught.value)


@pytest.mark.parametrize("wanted", ["", " ", ",,"])
def test_no_action_at_all(wanted):
    with pytest.raises(DuaError, match="names no action"):
        choose_actions(AVAILABLE, wanted, "file")


def test_check_finite_counts_joints_and_says_where():
    values = np.zeros((5, 4, 3))
    check_finite(values, "x")
    values[3, 1, 2] = np.nan
    values[3, 1, 0] = np.inf
    values[4, 0, 0] = -np.inf
    with pytest.raises(DuaError, match=r"clip x: 2 joints .* frame 3, joint 1"):
        check_finite(values, "clip x")
