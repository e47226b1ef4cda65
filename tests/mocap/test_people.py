"""People in motion: who is held out, and files that are not what they seem."""

import numpy as np
import pytest
import torch

from common.errors import DuaError
from common.geometry.skeleton import JOINT_NAMES, handedness
from common.mocap.motion import load_deepmimic_clips
from common.mocap.people import FPS, build_people, load_people, path_people
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def motions():
    clips = load_deepmimic_clips(ROOT / "data/demo/motion.h5", FPS)
    return {name: clips[name] for name in ("walk", "kick", "punch")}


def test_people_who_are_held_out_are_in_no_training_clip(motions, tmp_path):
    persons = {"walk": "a", "kick": "b", "punch": "a"}
    sums = build_people(motions, persons, ("b",), bodies=3, seed=0, out=tmp_path)
    assert {split: sums[split]["people"] for split in sums} == {"train": 1, "validation": 1}
    people = load_people(tmp_path)
    assert {clip.person for clip in people.clips if clip.split == "train"} == {"a"}
    assert len(people.select(("train",))) + len(people.select(("validation",))) == len(people)
    assert len(people.clips) == 9
    assert (handedness(people.joints_3d.numpy()).mean()) > 0.05
    assert 0 < float(people.joints_3d[..., 2].min()) < 0.2  # the floor
    # The keypoints are the same bodies': wrists of both definitions are 6 mm apart.
    wrist = people.joints_3d[:, JOINT_NAMES.index("LWrist")] - people.points_3d[:, 9]
    assert 0.003 < float(wrist.norm(dim=-1).mean()) < 0.01


def test_the_same_seed_gives_the_same_people_in_any_number_of_processes(motions, tmp_path):
    for folder, seed, workers in (("one", 0, 1), ("two", 0, 2), ("three", 1, 1)):
        build_people(motions, dict.fromkeys(motions, "a"), (), bodies=3, seed=seed, out=tmp_path / folder, workers=workers)
    one, three = (load_people(tmp_path / folder) for folder in ("one", "three"))
    assert path_people(tmp_path / "one").read_bytes() == path_people(tmp_path / "two").read_bytes()
    assert not torch.equal(one.points_3d, three.points_3d)


def test_people_who_are_not_there_and_nobody_left(motions, tmp_path):
    persons = dict.fromkeys(motions, "a")
    with pytest.raises(DuaError, match="--held_out c: no such person; there are: a"):
        build_people(motions, persons, ("c",), bodies=1, seed=0, out=tmp_path)
    with pytest.raises(DuaError, match="nobody is left to train on"):
        build_people(motions, persons, ("a",), bodies=1, seed=0, out=tmp_path)
    assert not path_people(tmp_path).exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "dua people 9"}, "'dua people 1' was expected"),
        ({"frames": np.array([3, 3])}, "do not fit"),
        ({"joints_3d": np.full((5, 16, 3), np.nan, dtype=np.float32)}, "joints are NaN"),
        ({"points_3d": None}, "damaged"),
        ({"person": np.array(["a"])}, "damaged"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path, change, said):
    entries = {
        "format": "dua people 1",
        "joints_3d": np.zeros((5, 16, 3), dtype=np.float32),
        "points_3d": np.zeros((5, 17, 3), dtype=np.float32),
        "person": np.array(["a", "b"]),
        "action": np.array(["Walk", "Walk"]),
        "split": np.array(["train", "validation"]),
        "frames": np.array([2, 3]),
    }
    np.savez(path_people(tmp_path), **entries)
    assert len(load_people(tmp_path)) == 5
    changed = {name: value for name, value in (entries | change).items() if value is not None}
    np.savez(path_people(tmp_path), **changed)
    with pytest.raises(DuaError, match=said) as caught:
        load_people(tmp_path)
    assert "people.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(DuaError, match=r"prepare_data_people\.py"):
        load_people(tmp_path)
