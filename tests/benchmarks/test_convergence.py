"""`benchmarks/convergence.py`: the bound against one that was trained four times as long."""

import csv
import json

import pytest

from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import assert_one_line, run_here

SMALL = """
import sys
sys.path.insert(0, {root!r})
from benchmarks import convergence, rows
from common.start import run_script
for key in rows.PRESETS:
    rows.PRESETS[key] = rows.Size(("--hid_dim", "16", "--device", "cpu"), 64, 3, 2, {{"h36m": 2, "surreal": 1}})
run_script(convergence.main)
"""


@pytest.mark.campaign
def test_it_trains_both_and_says_how_they_differ(demo, tmp_path):
    program = tmp_path / "small.py"
    program.write_text(SMALL.format(root=str(ROOT)))
    given = ("--data_dir", demo, "--networks", "martinez", "--out", tmp_path / "out")
    process = run_script(program, *given)
    assert process.returncode == 0, process.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "convergence.csv").open()))
    assert [(row["target"], row["steps"], row["steps x 4"]) for row in rows] == [("h36m", "4", "16"), ("surreal", "2", "8")]
    for row in rows:
        (folder,) = (tmp_path / "out" / row["target"] / "martinez" / "times_4" / "seed_0").iterdir()
        tested = json.loads((folder / "results.json").read_text())["average"]["mpjpe"]
        assert float(row["MPJPE x 4"]) == pytest.approx(tested, abs=0.06)
        assert float(row["longer, %"]) == pytest.approx(100 * (float(row["MPJPE x 4"]) / float(row["MPJPE"]) - 1), abs=0.1)


def test_jobs_are_at_least_one(demo):
    assert_one_line(run_here("benchmarks/convergence.py", "--data_dir", demo, "--jobs", 0), "--jobs 0")
