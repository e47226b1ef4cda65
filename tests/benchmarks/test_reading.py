"""`benchmarks/reading.py` makes files that our reader and numpy read alike, and compares the two."""

import csv

import numpy as np

from benchmarks import reading
from common.files.arrays import load_arrays
from tests.helpers.script_tools import assert_one_line, run_here


def test_files_hold_as_many_poses_as_asked_for(tmp_path):
    paths = reading.write_files(tmp_path, 12_000)
    world, pixels = load_arrays(paths[0])["positions_3d"], load_arrays(paths[1])["positions_2d"]
    poses = sum(len(view) for subject in reading.TRAIN for views in pixels[subject].values() for view in views)
    assert 0.9 * 12_000 < poses <= 12_000
    assert sum(len(joints) for subject in reading.TRAIN for joints in world[subject].values()) * 4 == poses
    with np.load(paths[0], allow_pickle=True) as theirs:
        for subject, actions in theirs["positions_3d"].item().items():
            assert all(np.array_equal(joints, world[subject][action]) for action, joints in actions.items())


def test_the_table_says_how_many_times_more(tmp_path):
    process = run_here("benchmarks/reading.py", "--poses", 6000, "--repeats", 1, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    rows = list(csv.DictReader((tmp_path / "reading.csv").open()))
    assert [row["way"] for row in rows] == ["ours", "numpy", "ours / numpy"] * 3
    assert all(float(row["seconds"]) >= 0 for row in rows)


def test_too_few_are_refused(tmp_path):
    assert_one_line(run_here("benchmarks/reading.py", "--poses", 5, "--out", tmp_path), "--poses 5")
