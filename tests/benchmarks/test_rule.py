"""`benchmarks/rule.py` on runs that were scored before: nothing is trained, no network is there."""

import csv

from benchmarks.kept import SCORES, KeptResults, kept_scores
from benchmarks.rows import BEST, CANDIDATES, CONVERTER, REPROJECTED
from tests.helpers.script_tools import assert_one_line, run_here

TO_H36M = ("surreal -> h36m", "martinez")
SMALL, LARGE = 10.0, 40.0


def scored(folder, row, seed, error, score):
    KeptResults(folder).add((*TO_H36M, row, seed), {"average": {"mpjpe": error, "p_mpjpe": error / 2}, "also": {}})
    kept_scores(folder).add({(*TO_H36M, row, str(seed)): dict.fromkeys(SCORES, score)})


def rule(folder, *options):
    return run_here("benchmarks/rule.py", "--results", folder, "--data_dir", folder, *options)


def test_only_rows_with_all_seeds_are_compared_and_the_others_are_named(tmp_path):
    """The row of one seed would be picked, and is the best, by that seed alone."""
    for seed, error in ((0, 100.0), (1, 120.0)):
        scored(tmp_path, CONVERTER, seed, error, LARGE)
        scored(tmp_path, REPROJECTED, seed, error - 11, (SMALL + LARGE) / 2)
    scored(tmp_path, BEST, 0, 50.0, SMALL)
    process = rule(tmp_path, "--name", "both")
    assert process.returncode == 0, process.stderr
    assert f"picked '{REPROJECTED}' with 99.0 mm; the best is '{REPROJECTED}' with 99.0 mm; regret 0.0 %" in process.stdout
    assert f"left out, with fewer seeds: {BEST}\n" in process.stdout
    with open(tmp_path / "both.csv") as file:
        rows = [(row["candidate"], row["MPJPE"], row["picked"], row["seeds"]) for row in csv.DictReader(file)]
    assert rows == [(CONVERTER, "110.0", "", "2"), (REPROJECTED, "99.0", "picked", "2")]
    process = rule(tmp_path, "--seeds", 0)
    assert process.returncode == 0, process.stderr
    assert f"picked '{BEST}' with 50.0 mm" in process.stdout
    assert "left out" not in process.stdout
    assert (tmp_path / "rule.csv").exists()


def test_no_row_with_all_seeds_is_one_line(tmp_path):
    for seed, row in enumerate(CANDIDATES[:2]):
        scored(tmp_path, row, seed, 100.0, SMALL)
    assert_one_line(rule(tmp_path), "no row has all of seeds 0, 1", "--seeds")
    assert not (tmp_path / "rule.csv").exists()
