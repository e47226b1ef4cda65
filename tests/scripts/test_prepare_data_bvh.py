"""`data/prepare_data_bvh.py`: both domains from BVH files, each clip in one part of one of them."""

import json
import os
import shutil

import numpy as np
import pytest

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import split_validation
from common.datasets.smpl import load_pairs
from common.datasets.surreal import load_surreal
from common.datasets.surreal_file import SURREAL_CAMERA
from common.geometry.camera import project_to_2d
from common.geometry.skeleton import handedness
from common.mocap.motion import load_deepmimic_clips
from data.prepare_data_bvh import person_of, split_by_person
from tests.conftest import ROOT, run_script
from tests.helpers.bvh_text import Style, write_bvh
from tests.helpers.script_tools import assert_one_line, run_here


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Thirty BVH files: the demo's clips, each twice, in CMU's convention."""
    folder = tmp_path_factory.mktemp("bvh")
    for name, motion in load_deepmimic_clips(ROOT / "data" / "demo" / "motion.h5", 50).items():
        for take in (1, 2):
            text = write_bvh(motion, Style(convention="cmu"))
            (folder / f"{name.replace('_', '')}{take}_subject{take}.bvh").write_text(text)
    return folder


@pytest.fixture(scope="module")
def built(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    process = run_script("data/prepare_data_bvh.py", recordings, "--out", out, "--surreal_takes", 1, "--workers", 2)
    assert process.returncode == 0, process.stderr
    return out, process


def test_every_loader_reads_what_was_built(built):
    out, process = built
    train, validation = split_validation(load_h36m(out, subjects=TRAIN_SUBJECTS))
    test = load_h36m(out, subjects=TEST_SUBJECTS)
    pairs = load_pairs(out)
    surreal, held_out = split_validation(load_surreal(out, "train"))
    surreal_test = load_surreal(out, "test")
    for poses in (train, validation, test, surreal, held_out, surreal_test):
        assert len(poses) > 0
        assert handedness(poses.targets_3d.numpy()).mean() > 0.05
    assert len(pairs) == len(train) + len(validation)
    assert f"{len(test):,d} poses" in process.stdout
    assert "Run" in {sequence.base_action for sequence in (*train.sequences, *test.sequences, *surreal.sequences)}


def test_each_clip_plays_one_part(built):
    description = json.loads((built[0] / "dataset.json").read_text())
    parts = {}
    for domain in ("h36m", "surreal"):
        for entry in description[domain]["sequences"]:
            part = "test" if entry["split"] == "test" else f"{domain} {entry['split']}"
            for clip in entry["clips"]:
                parts.setdefault(clip, set()).add(part)
    assert len(parts) == 30
    assert all(len(found) == 1 for found in parts.values()), parts
    assert {next(iter(found)) for found in parts.values()} == {
        "test", "h36m train", "h36m validation", "surreal train", "surreal validation",
    }  # fmt: skip


def test_subjects_stay_in_the_room(built):
    poses = load_h36m(built[0], subjects=TRAIN_SUBJECTS + TEST_SUBJECTS)
    assert (poses.inputs_2d.abs() > 1.002).any(dim=-1).float().mean() < 0.02


def test_surreal_pixels_are_projections(built):
    import h5py

    with h5py.File(built[0] / "surreal_test.h5") as file:
        projected = project_to_2d(file["joints_3d"][()].astype(np.float64), SURREAL_CAMERA)
        pixels = file["joints_2d"][()]
    assert np.abs(projected - pixels).max() < 0.501  # SURREAL's own are rounded to whole pixels
    assert np.array_equal(pixels, np.round(pixels))


def test_one_seed_one_result_in_any_number_of_processes(built, recordings, tmp_path):
    again = run_here("data/prepare_data_bvh.py", recordings, "--out", tmp_path, "--surreal_takes", 1, "--workers", 1)
    assert again.returncode == 0, again.stderr
    assert again.stdout.replace(str(tmp_path), "OUT") == built[1].stdout.replace(str(built[0]), "OUT")
    assert sorted(os.listdir(tmp_path)) == sorted(os.listdir(built[0]))
    assert len(os.listdir(tmp_path)) == 7
    for name in os.listdir(tmp_path):
        assert (tmp_path / name).read_bytes() == (built[0] / name).read_bytes(), name


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_of_the_damaged_clips_is_told(recordings, tmp_path, workers):
    shutil.copytree(recordings, tmp_path / "in")
    paths = sorted((tmp_path / "in").iterdir())
    for i in (20, 9, 14):
        lines = paths[i].read_text().splitlines()
        paths[i].write_text("\n".join([*lines[:-1], lines[-1].replace(" ", " x", 1)]))
    process = run_here("data/prepare_data_bvh.py", tmp_path / "in", "--out", tmp_path / "out", "--workers", workers)
    assert_one_line(process, f"{paths[9]}, line ", "is no place and no angle")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", ["empty", "few", "missing", "stranger", "takes"])
def test_bad_input_is_one_line(recordings, tmp_path, case):
    sources, options, words = [tmp_path / "in"], [], []
    (tmp_path / "in").mkdir()
    if case == "empty":
        words = ["bvh"]
    elif case == "few":
        for path in sorted(recordings.iterdir())[:3]:
            (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
        words = ["3 clips", "24"]
    elif case == "missing":
        sources, words = [tmp_path / "nowhere"], ["nowhere"]
    elif case == "stranger":
        for i in range(24):
            text = next(recordings.iterdir()).read_text().replace("LeftUpLeg", "Quux")
            (tmp_path / "in" / f"clip{i}.bvh").write_text(text)
        words = ["Quux"]
    else:
        sources, options, words = [recordings], ["--takes", 0], ["--takes 0"]
    process = run_here("data/prepare_data_bvh.py", *sources, "--out", tmp_path / "out", *options)
    assert process.returncode == 2, process.stdout + process.stderr
    lines = process.stderr.strip().splitlines()
    assert "Traceback" not in process.stderr
    for word in words:
        assert word in lines[-1]
    assert not (tmp_path / "out").exists()


def test_of_two_captures_each_moves_one_domain_and_whole_people_test(recordings, tmp_path):
    paths = sorted(recordings.iterdir())
    for folder, some in (("named", paths[::2]), ("other", paths[1::2])):
        (tmp_path / folder).mkdir()
        for i, path in enumerate(some):
            name = f"{1 + i % 4:02d}_{i:02d}.bvh" if folder == "named" else path.name
            shutil.copy(path, tmp_path / folder / name)
    out = tmp_path / "out"
    process = run_here(
        "data/prepare_data_bvh.py", "--surreal_bvh", tmp_path / "named", "--h36m_bvh", tmp_path / "other", "--out", out,
        "--surreal_takes", 1, "--workers", 2,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    description = json.loads((out / "dataset.json").read_text())
    assert description["source"] == "BVH: surreal: named; h36m: other"
    clips = {domain: {} for domain in ("surreal", "h36m")}
    for domain, of_split in clips.items():
        for sequence in description[domain]["sequences"]:
            of_split.setdefault(sequence["split"], set()).update(sequence["clips"])
        assert set(of_split) == {"train", "validation", "test"}
        assert not of_split["test"] & (of_split["train"] | of_split["validation"])
    everything = {domain: set().union(*of_split.values()) for domain, of_split in clips.items()}
    assert all(name[:2].isdecimal() for name in everything["surreal"])
    assert not any(name[:2].isdecimal() for name in everything["h36m"])
    people = {split: {name[:2] for name in names} for split, names in clips["surreal"].items()}
    assert len(people["test"]) == 1
    assert not people["test"] & (people["train"] | people["validation"])


def test_people_test_until_a_sixth_is_reached_and_one_remains():
    named = {f"{person}_{i}": str(person) for person in range(6) for i in range(10)}
    clips = split_by_person(named, np.random.default_rng(0))
    assert len({name[0] for name in clips.test}) == 1  # ten of sixty
    assert len(clips.test) == 10
    assert (len(clips.validation), len(clips.train)) == (5, 45)
    two = split_by_person({name: person for name, person in named.items() if person in "01"}, np.random.default_rng(0))
    assert {name[0] for name in two.test} != {name[0] for name in two.train} == {name[0] for name in two.train + two.validation}
    nobody = split_by_person(dict.fromkeys(named), np.random.default_rng(0))
    assert (len(nobody.test), len({name[0] for name in nobody.test}) > 1) == (10, True)
    assert [person_of(stem) for stem in ("09_12", "127_03", "dataset-1_bow", "walk1_subject1")] == ["09", "127", None, None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--surreal_bvh", "IN"), ("--h36m_bvh",)),
        (("IN", "--surreal_bvh", "IN", "--h36m_bvh", "IN"), ("in place of",)),
        ((), ("FOLDER_OR_ZIP is needed",)),
        (("--surreal_bvh", "IN", "--h36m_bvh", "IN"), ("belongs to one domain",)),
    ],
)
def test_two_captures_are_two(recordings, tmp_path, options, words):
    given = [recordings if word == "IN" else word for word in options]
    assert_one_line(run_here("data/prepare_data_bvh.py", *given, "--out", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()
