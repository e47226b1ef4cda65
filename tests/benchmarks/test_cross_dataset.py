"""The open benchmark: `benchmarks/cross_dataset.py` and what it is made of."""

import csv
import json
import re
import shutil
import sys

import pytest

from benchmarks.domain_gap import report
from benchmarks.rows import (
    BEST,
    BOUND,
    CANDIDATES,
    CONVERTER,
    DIRECTIONS,
    DUA,
    NONE,
    SETS,
)
from common.errors import DuaError
from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import assert_one_line, run_here, start, wait_for

SCRIPT = "benchmarks/cross_dataset.py"


def test_errors_without_their_benchmark_are_refused(demo, tmp_path):
    shutil.copy(ROOT / "benchmarks" / "results_two" / "runs.csv", tmp_path)
    assert_one_line(run_here(SCRIPT, "--data_dir", demo, "--out", tmp_path), "runs.csv", "benchmark.json", "is missing")


@pytest.fixture(scope="module")
def finished(demo, tmp_path_factory):
    """(output folder, process) of the short rows, one seed, the smallest trainings there are."""
    out = tmp_path_factory.mktemp("benchmark")
    return out, run_small(demo, out)


def run_small(demo, out, *arguments):
    return run_script(
        "tests/helpers/small_benchmark.py", "--data_dir", demo, "--out", out, "--seeds", 0, "--rows", "short", *arguments
    )


@pytest.mark.campaign
def test_it_makes_table_plot_and_report(finished, demo):
    out, process = finished
    assert process.returncode == 0, process.stderr
    with open(out / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["row"] for row in rows} == set(SETS["short"])
    assert {row["direction"] for row in rows} == set(DIRECTIONS)
    assert all(float(row["MPJPE, detector"]) != float(row["MPJPE"]) for row in rows)
    for name in ("table.txt", "table.tex", "table.png", "table.pdf", "domain_gap.txt"):
        assert (out / name).stat().st_size > 500
    assert (out / "table.txt").read_text() in process.stdout
    facts = json.loads((out / "benchmark.json").read_text())
    assert facts["data"] == demo.name and len(facts["hash"]) == 64 and facts["preset"] == "quick"  # noqa: PT018


@pytest.mark.campaign
def test_rows_that_are_done_are_left(finished, demo):
    out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/ckpt_*")}
    kept = (out / "runs.csv").read_text()
    (out / "runs.csv").unlink()
    process = run_small(demo, out)
    assert process.returncode == 0, process.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("**/ckpt_*")} == before
    assert (out / "runs.csv").read_text() == kept
    # Kept before there was a detector's column: what was trained is tested once more, and not trained.
    header, *lines = kept.splitlines()
    (out / "runs.csv").write_text("\n".join([header, *(line.rpartition(",")[0] + "," for line in lines)]) + "\n")
    process = run_small(demo, out)
    assert process.returncode == 0, process.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("**/ckpt_*")} == before
    assert (out / "runs.csv").read_text() == kept


@pytest.mark.campaign
def test_what_runs_came_to_does_not_need_their_folders(finished, demo, tmp_path):
    out, _ = finished
    for name in ("benchmark.json", "runs.csv", "domain_gap.txt"):
        shutil.copy(out / name, tmp_path / name)
    process = run_small(demo, tmp_path)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "table.csv").read_text() == (out / "table.csv").read_text()
    assert not list(tmp_path.glob("*/martinez"))
    # What is tested again is trained first, once for both rows, and counts as it is now.
    process = run_small(
        demo, tmp_path, "--rows", "flip at test", "test BatchNorm", "--directions", "surreal -> h36m", "--jobs", 2
    )
    assert process.returncode == 0, process.stderr
    assert len(list(tmp_path.glob("surreal_to_h36m/martinez/no_adaptation/seed_0/*"))) == 1
    with open(tmp_path / "table.csv") as file:
        rows = {row["row"]: row for row in csv.DictReader(file) if row["direction"] == "surreal -> h36m"}
    assert rows["flip at test"]["MPJPE"] != rows[NONE]["MPJPE"]
    # Its line gone, as messages advise: what was kept of its other tests goes with it, and is made again at once.
    table = (tmp_path / "table.csv").read_text()
    lines = (tmp_path / "runs.csv").read_text().splitlines(keepends=True)
    (tmp_path / "runs.csv").write_text(
        "".join(line for line in lines if not line.startswith(f"surreal -> h36m,martinez,{NONE},"))
    )
    again = run_small(demo, tmp_path, "--rows", "flip at test", "test BatchNorm", "--directions", "surreal -> h36m")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "table.csv").read_text() == table
    assert len(rows) == len(SETS["short"]) + 2


@pytest.mark.campaign
def test_the_rule_scores_each_run_once_and_says_its_regret(finished, demo, tmp_path):
    out, _ = finished
    process = run_here("benchmarks/rule.py", "--results", out, "--data_dir", demo, "--seeds", 0)
    assert process.returncode == 0, process.stderr
    with open(out / "rule.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["candidate"] for row in rows] == 2 * [row for row in CANDIDATES if row in SETS["short"]]
    for direction in DIRECTIONS:
        ours = [row for row in rows if row["direction"] == direction]
        (picked,) = [row for row in ours if row["picked"]]
        assert float(picked["sum"]) == min(float(row["sum"]) for row in ours)
        regret = 100 * (float(picked["MPJPE"]) / min(float(row["MPJPE"]) for row in ours) - 1)
        (said,) = re.findall(rf"{direction}, martinez: picked .* regret ([\d.]+) %", process.stdout)
        assert float(said) == pytest.approx(regret, abs=0.1)
    for name in ("runs.csv", "scores.csv"):
        shutil.copy(out / name, tmp_path / name)
    again = run_here("benchmarks/rule.py", "--results", tmp_path, "--data_dir", demo, "--seeds", 0)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "rule.csv").read_text() == (out / "rule.csv").read_text()
    assert_one_line(run_here("benchmarks/rule.py", "--results", tmp_path, "--data_dir", demo, "--seeds", 9), "no finished run")
    (tmp_path / "scores.csv").unlink()
    gone = run_here("benchmarks/rule.py", "--results", tmp_path, "--data_dir", demo, "--seeds", 0)
    assert_one_line(gone, "was never scored", "runs.csv")


@pytest.mark.campaign
def test_coverage_is_judged_once_a_run_by_every_method_that_it_has(finished, demo, tmp_path):
    out, _ = finished
    process = run_here("benchmarks/coverage.py", "--results", out, "--data_dir", demo, "--rows", CONVERTER, DUA, BOUND, NONE)
    assert process.returncode == 0, process.stderr
    with open(out / "coverage.csv") as file:
        rows = list(csv.DictReader(file))
    # Without adaptation labels cannot be brought to what is predicted, and the bound's test is no other data set's.
    methods = [
        (CONVERTER, "consistency"),
        (CONVERTER, "constant"),
        (DUA, "consistency"),
        (DUA, "constant"),
        (DUA, "relative head"),
    ]
    assert [(row["direction"], row["row"], row["method"]) for row in rows] == [
        (direction, *method) for direction in DIRECTIONS for method in methods
    ]
    with open(out / "coverage_runs.csv") as file:
        runs = list(csv.DictReader(file))
    for row in rows:
        of = [run for run in runs if all(run[name] == row[name] for name in ("direction", "row", "method"))]
        assert int(row["seeds"]) == len(of)
        for figure in ("coverage 90 %", "weighted radius"):
            assert float(row[figure]) == pytest.approx(sum(float(run[figure]) for run in of) / len(of), abs=0.06)
        assert 0 < float(row["coverage 90 %"]) <= 100
    for name in ("runs.csv", "coverage_runs.csv"):
        shutil.copy(out / name, tmp_path / name)
    again = run_here("benchmarks/coverage.py", "--results", tmp_path, "--data_dir", demo, "--rows", CONVERTER, DUA, NONE)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "coverage.csv").read_text() == (out / "coverage.csv").read_text()
    run = next(path.parent for path in out.glob("surreal_to_h36m/martinez/DUA__all_/seed_0/*/results.json"))
    process = run_here(
        "evaluate.py", run, "--data_dir", demo, "--on", "h36m", "--uncertainty", "--consistency", "--downsample", 5, "--out", tmp_path / "t"
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    with open(tmp_path / "t_uncertainty.csv") as file:
        told = {row["method"]: float(row["coverage 90 %"]) for row in csv.DictReader(file)}
    of = ("surreal -> h36m", DUA, "0")
    kept = {run["method"]: float(run["coverage 90 %"]) for run in runs if (run["direction"], run["row"], run["seed"]) == of}
    assert kept == pytest.approx(told, abs=0.06)

    def attempt(folder, data_dir, *options):
        return run_here("benchmarks/coverage.py", "--results", folder, "--data_dir", data_dir, *options)

    assert_one_line(attempt(out, demo, "--rows", NONE), "another skeleton than labels have", "--rows")
    assert_one_line(attempt(out, demo, "--seeds", 9), "no finished run of these rows and seeds")
    assert_one_line(attempt(tmp_path, demo, "--rows", CONVERTER, BEST), BEST, "its network is gone", "runs.csv")
    (out / "coverage_runs.csv").unlink()
    assert_one_line(attempt(out, tmp_path, "--rows", DUA), "was trained on", "--data_dir")


@pytest.mark.campaign
def test_a_killed_one_goes_on(finished, demo, tmp_path):
    out, _ = finished
    process = start(
        "tests/helpers/small_benchmark.py", "--data_dir", demo, "--out", tmp_path / "out", "--seeds", 0, "--rows", "short"
    )
    wait_for(lambda: len(list((tmp_path / "out").glob("surreal_to_h36m/**/results.json"))) >= 2)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    again = run_small(demo, tmp_path / "out")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "table.csv").read_text() == (out / "table.csv").read_text()


@pytest.mark.campaign
def test_results_of_something_else_are_refused(finished, demo, tmp_path):
    out, _ = finished
    copy = tmp_path / "copy"
    copy.mkdir()
    facts = json.loads((out / "benchmark.json").read_text())
    for key, value in (("version", 1), ("hash", "0" * 64), ("preset", "full")):
        (copy / "benchmark.json").write_text(json.dumps(facts | {key: value}))
        assert_one_line(run_small(demo, copy), f"{key} {value}", "--out")


def test_bad_input(demo, tmp_path):
    def refused(*arguments):
        return run_here(SCRIPT, "--out", tmp_path / "out", *arguments)

    assert_one_line(refused("--data_dir", demo, "--seeds", 1, 1), "--seeds 1 1", "twice")
    assert_one_line(refused("--data_dir", demo, "--jobs", 0), "--jobs 0")
    (tmp_path / "empty").mkdir()
    assert_one_line(refused("--bvh", tmp_path / "empty"), "empty", "BVH")
    assert_one_line(refused("--data_dir", tmp_path / "empty"), "dataset.json", "data/prepare_data_bvh.py")


def test_a_full_disk_is_said_before_anything_starts(demo, tmp_path, monkeypatch):
    import benchmarks.cross_dataset as script

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(script.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    monkeypatch.setattr(sys, "argv", [SCRIPT, "--data_dir", str(demo), "--out", str(tmp_path / "out")])
    with pytest.raises(DuaError, match=r"0\.0 GB free, the runs may need .* GB"):
        script.main()
    assert not (tmp_path / "out").exists()


@pytest.mark.campaign
def test_the_gap_s_report_knows_level_cameras_and_apart_skeletons(demo, converter):
    text = report(str(demo), converter)
    pitch = next(line for line in text.splitlines() if line.startswith("camera pitch"))
    assert "0.0 (0.0 to 0.0)" in pitch
    mean = next(line for line in text.splitlines() if re.match(r"mean +\d", line)).split()
    assert 40 < float(mean[1]) < 70  # two definitions of one body
    rows = {line[:26].strip(): line.split()[-2:] for line in text.splitlines()}
    assert float(rows["gpa"][0]) < float(rows["as they are"][0]) / 2
    assert (ROOT / "benchmarks" / "README.md").exists()


def test_bvh_is_built_once_for_each_choice_of_clips_and_seed(tmp_path, monkeypatch):
    import benchmarks.cross_dataset as script

    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.bvh").write_text("")
    started = []

    def build(words, **_):
        started.append(words)
        folder = script.Path(words[words.index("--out") + 1])
        folder.mkdir(parents=True)
        (folder / "dataset.json").write_text("{}")
        return script.subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(script, "ROOT", tmp_path / "repository")
    monkeypatch.setattr(script.subprocess, "run", build)
    a, b = str(tmp_path / "a.bvh"), str(tmp_path / "b.bvh")
    first = script.build({"": [a, b]}, 0)
    assert script.build({"": [a, b]}, 0) == first
    assert len(started) == 1
    assert started[0][-2:] == ["--seed", "0"]
    others = {script.build({"": [a, b]}, 1), script.build({"": [str(tmp_path)]}, 0)}
    others |= {script.build({"surreal": [a], "h36m": [b]}, 0), script.build({"surreal": [b], "h36m": [a]}, 0)}
    assert len(started) == 5
    assert started[-1][1:8] == ["data/prepare_data_bvh.py", "--surreal_bvh", b, "--h36m_bvh", a, "--out", started[-1][7]]
    assert len({first, *others}) == 5
