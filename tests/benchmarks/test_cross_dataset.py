"""The open benchmark: `benchmarks/cross_dataset.py` and what it is made of."""

import csv
import json
import re
import shutil
import sys

import pytest

from benchmarks.cross_dataset import claim, in_words, lacks_tests, more_tests, rows_of, run_row
from benchmarks.domain_gap import report
from benchmarks.results_table import COLUMNS, goals, plot, table
from benchmarks.rows import (
    ALL_OF_TARGET,
    BEST,
    BOUND,
    BOUND_FLIPPED,
    CANDIDATES,
    CONVERTER,
    DIRECTIONS,
    DUA,
    NONE,
    PICKED,
    PRESETS,
    REPROJECTED,
    ROWS,
    SETS,
    TARGET_JOINTS,
)
from common.errors import DuaError
from common.training.schedule import fast_options
from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import assert_one_line, run_here, start, wait_for

SCRIPT = "benchmarks/cross_dataset.py"


def judged_twice(row):
    """Whether a row that is tested on SURREAL is judged by converted labels as well."""
    return "converter" in row.modules or row.on_target


def results_for(rows, seeds=(0, 1)):
    """Made-up results: row i has 100 - i against converted labels and 200 - i against raw ones."""
    results = {}
    for direction in DIRECTIONS:
        for i, row in enumerate(rows):
            for seed in seeds:
                h36m = direction == "surreal -> h36m"
                both = not h36m and judged_twice(ROWS[row])
                raw = {"average": {"mpjpe": 200.0 - i + 2 * seed, "p_mpjpe": 80.0}}
                converted = {"mpjpe": 100.0 - i + 2 * seed, "p_mpjpe": 50.0 + seed}
                results[direction, "martinez", row, seed] = {
                    "average": converted if both or h36m else raw["average"],
                    "also": {"surreal, raw labels": raw} if both else {},
                }
    return results


def test_the_table_takes_means_spreads_and_shares():
    rows = table(results_for(ROWS))
    by_name = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=False)) for row in rows}
    assert len(rows) == 2 * len(ROWS) + sum(judged_twice(row) for row in ROWS.values())
    none = by_name["surreal -> h36m", "martinez", NONE, "raw"]
    assert (none["MPJPE"], none["of none, %"], none["seeds"]) == ("101.0", "100.0", "2")
    uncertainty = rows[2]
    assert uncertainty[2:8] == ("+ uncertainty", "raw", "99.0", "1.4", "50.5", "0.7")
    bound = by_name["surreal -> h36m", "martinez", BOUND, "raw"]
    assert bound["of bound, %"] == "100.0"
    assert uncertainty[8:] == ("-", "-2.0", "-2.0", "98.0", f"{9900 / float(bound['MPJPE']):.1f}", "2")
    # Converted labels are compared with converted labels, raw ones with raw ones.
    i = list(ROWS).index(DUA)
    converted, raw = (by_name["h36m -> surreal", "martinez", DUA, labels] for labels in ("converted", "raw"))
    assert (converted["MPJPE"], converted["against none, mm"]) == (f"{101.0 - i:.1f}", f"{1 - i:+.1f}")
    assert (raw["MPJPE"], raw["against none, mm"]) == (f"{201.0 - i:.1f}", f"{-i:+.1f}")
    ways = [("surreal -> h36m", "raw"), ("h36m -> surreal", "raw"), ("h36m -> surreal", "converted")]
    expected = [(*way, chosen) for way in ways for chosen in sorted((*PICKED, BEST), reverse=True)]
    for line, (direction, labels, chosen) in zip(goals(rows), expected, strict=True):
        best, bound = (by_name[direction, "martinez", row, labels] for row in (chosen, BOUND))
        ratio = float(best["MPJPE"]) / float(bound["MPJPE"])
        by = ", converted labels" if labels == "converted" else ""
        assert line == (
            f"{direction}, martinez{by}: '{chosen}' has {best['of none, %']} % of no adaptation's error, {ratio:.2f} x the upper bound's"
        )
    # Without the converter's row there is nothing converted to compare with but the bound.
    lacking = goals(table(results_for([row for row in ROWS if row != CONVERTER])))
    assert len(lacking) == len(expected)
    assert [line for line in lacking if "no adaptation" not in line] == [line for line in lacking if "converted labels" in line]
    assert not any("- %" in line for line in lacking)


def test_a_short_table_of_one_seed_and_its_plot(tmp_path):
    rows = table(results_for(SETS["short"], seeds=(7,)))
    assert {row[2] for row in rows} == set(SETS["short"])
    assert {row[5] for row in rows} == {"-"}
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "plot.pdf").read_bytes()[:4] == b"%PDF"


def test_without_no_adaptation_nothing_is_compared(tmp_path):
    rows = table(results_for([DUA]))
    assert {row[2] for row in rows} == {DUA}
    assert {row[9:12] for row in rows} == {("-", "-", "-")}
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_are_compared_over_the_seeds_that_both_have():
    results = results_for([NONE, DUA, BOUND], seeds=(0, 1))
    results |= {task: of for task, of in results_for([NONE, BOUND], seeds=(10,)).items()}  # 20 mm more
    rows = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=False)) for row in table(results)}
    none, dua = (rows["surreal -> h36m", "martinez", row, "raw"] for row in (NONE, DUA))
    assert (none["seeds"], dua["seeds"]) == ("3", "2")
    assert dua["against none, mm"] == "-1.0"  # row 1 of these against row 0
    assert (dua["MPJPE"], dua["of bound, %"]) == ("100.0", "101.0")  # row 2 has 99 mm over these


def test_what_shares_no_seed_with_the_bound_is_not_held_against_it():
    lines = goals(table(results_for([NONE, BEST], seeds=(0, 1)) | results_for([BOUND], seeds=(2,))))
    assert lines == []
    assert goals(table(results_for([NONE, BEST, BOUND], seeds=(0, 1))))


def test_the_plot_has_converted_errors_as_diamonds(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("benchmarks.results_table.save", lambda figure, *_, **__: figures.append(figure))
    rows = table(results_for([NONE, CONVERTER, DUA, BOUND]))
    plot(rows, tmp_path / "plot")
    (to_h36m, to_surreal) = figures[0].axes
    assert not [line for line in to_h36m.lines if line.get_marker() == "D" and len(line.get_xdata())]
    (diamonds,) = [line for line in to_surreal.lines if line.get_marker() == "D"]
    expected = [float(row[4]) for row in rows if row[3] == "converted"]
    assert list(diamonds.get_xdata()) == expected
    assert [to_surreal.get_yticks()[int(place)] for place in diamonds.get_ydata()] == [1, 2, 3]
    assert "diamonds" in figures[0].get_supxlabel()


def test_a_detector_s_view_is_a_column_of_the_seeds_that_have_it():
    results = results_for([NONE, DUA])
    results["h36m -> surreal", "martinez", DUA, 1]["average"]["detector"] = 150.0
    results["h36m -> surreal", "martinez", DUA, 1]["also"]["surreal, raw labels"]["average"]["detector"] = 160.04
    rows = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=True)) for row in table(results)}
    seen = {labels: rows["h36m -> surreal", "martinez", DUA, labels]["MPJPE, detector"] for labels in ("converted", "raw")}
    assert seen == {"converted": "150.0", "raw": "160.0"}
    assert rows["surreal -> h36m", "martinez", DUA, "raw"]["MPJPE, detector"] == "-"


def test_what_the_fast_schedule_stands_for_is_part_of_what_a_folder_claims():
    words = PRESETS["standard", "semgcn"].command(10**7, "h36m")
    (text,) = in_words({("surreal -> h36m", "semgcn"): words}).values()
    assert "--schedule fast --non_local --batch_size 64" in text
    for name, value in fast_options("semgcn", 1).items():
        assert (f"--{name} {value} " in f"{text} ") == (name not in ("epochs", "epoch_share")), name
    assert in_words({("surreal -> h36m", "martinez"): ["--hid_dim", "16"]}) == {"surreal -> h36m, martinez": "--hid_dim 16"}


def test_tables_of_before_had_fewer_columns():
    rows = table(results_for([NONE, BEST, BOUND]))
    place = COLUMNS.index("MPJPE, detector")
    older = [row[:place] + row[place + 1 :] for row in rows]
    assert goals(older, COLUMNS[:place] + COLUMNS[place + 1 :]) == goals(rows)
    place = COLUMNS.index("of bound, %")
    older = [row[:place] + row[place + 1 :] for row in rows]
    lines = goals(older, COLUMNS[:place] + COLUMNS[place + 1 :])
    ratios = [[float(line.rsplit(" x ")[0].split()[-1]) for line in each] for each in (lines, goals(rows))]
    assert ratios[0] == pytest.approx(ratios[1], abs=0.011)  # of rounded means, and of means


@pytest.fixture
def a_bound(tmp_path):
    """(task, data folder, results' folder) of SURREAL's bound that was trained, and its errors of evaluate.py put beside."""
    task = ("h36m -> surreal", "martinez", BOUND, 0)
    run = tmp_path / "out" / "h36m_to_surreal" / "martinez" / "trained_on_the_target" / "seed_0" / "today"
    run.mkdir(parents=True)
    (run / "results.json").write_text("{}")
    (run / "ckpt_best.pth.tar").touch()
    (run / "config.json").write_text(json.dumps({"arguments": {"data_dir": str(tmp_path / "data"), "downsample": 2}}))
    for keypoints, errors in (("gt", "64.0,44.0,66.0,47.0"), ("detector", "92.0,60.0,95.0,63.0")):
        columns = "MPJPE raw,P-MPJPE raw,MPJPE conv.,P-MPJPE conv."
        (run / f"evaluated_{keypoints}.csv").write_text(f"test,{columns}\nsurreal,{errors}\n")
    return task, tmp_path / "data", tmp_path / "out"


def test_a_kept_run_is_tested_once_more_where_its_network_is_there(a_bound, tmp_path):
    task, data, out = a_bound
    kept = {"average": {"mpjpe": 64.04, "p_mpjpe": 44.04}, "also": {}}
    assert lacks_tests(task, kept, out, data, False)
    assert not lacks_tests(task, kept, out, tmp_path / "moved", True)
    assert not lacks_tests(("surreal -> h36m", *task[1:]), kept, out, data, True)  # no network is there
    more_tests(task, kept, str(data), tmp_path, out, True)
    raw = {"mpjpe": 64.04, "p_mpjpe": 44.04, "detector": 92.0}
    assert kept == {
        "average": {"mpjpe": 66.0, "p_mpjpe": 47.0, "detector": 95.0},
        "also": {"surreal, raw labels": {"average": raw}},
    }
    assert not lacks_tests(task, kept, out, data, True)
    # What was converted already, before there was a detector's 2D, is not taken for raw.
    whole = json.loads(json.dumps(kept))
    del kept["average"]["detector"], kept["also"]["surreal, raw labels"]["average"]["detector"]
    assert lacks_tests(task, kept, out, data, True)
    more_tests(task, kept, str(data), tmp_path, out, True)
    assert kept == whole


def test_a_run_whose_network_was_deleted_is_left_as_it_is(a_bound, tmp_path):
    task, data, out = a_bound
    next(out.rglob("ckpt_best.pth.tar")).unlink()
    kept = {"average": {"mpjpe": 64.04, "p_mpjpe": 44.04}, "also": {}}
    assert not lacks_tests(task, kept, out, data, True)
    more_tests(task, kept, str(data), tmp_path, out, True)
    assert kept == {"average": {"mpjpe": 64.04, "p_mpjpe": 44.04}, "also": {}}


@pytest.mark.parametrize("row", [BOUND, BEST, "new poses"])
def test_the_bound_alone_is_converted_by_the_benchmark(a_bound, tmp_path, monkeypatch, row):
    """`evaluate.py` refuses a converter that no network is in need of."""
    (direction, network, _, seed), data, out = a_bound
    folder = (
        out / "h36m_to_surreal" / "martinez" / "".join(c if c.isalnum() or c in "+-" else "_" for c in row) / "seed_0" / "today"
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "config.json", "ckpt_best.pth.tar"):
        shutil.copy(next((out / "h36m_to_surreal" / "martinez" / "trained_on_the_target").rglob(name)), tmp_path / name)
        shutil.copy(tmp_path / name, folder / name)
    asked = []

    def evaluate(words):
        asked.append(words)
        converted = "-,-" if row == "new poses" else "66.0,47.0"
        (tmp_path / words[words.index("--out") + 1]).with_suffix(".csv").write_text(
            f"MPJPE raw,P-MPJPE raw,MPJPE conv.,P-MPJPE conv.\n64.0,44.0,{converted}\n"
        )

    monkeypatch.setattr("benchmarks.runs._python", evaluate)
    for old in folder.glob("evaluated_*"):
        old.unlink()
    raw = {"average": {"mpjpe": 64.0, "p_mpjpe": 44.0}}
    result = raw | {"also": {"surreal, raw labels": raw} if row == BEST else {}}
    more_tests((direction, network, row, seed), result, str(data), tmp_path / "converter", out, True)
    assert [words[words.index("--keypoints") + 1] for words in asked] == (["gt", "detector"] if row == BOUND else ["detector"])
    for words in asked:
        assert words[words.index("--downsample") + 1] == "2"
        assert ("--converter" in words) == (row == BOUND)


def test_the_bound_is_tested_with_the_flip_by_both_labels_and_on_a_detector_s_2d(a_bound, tmp_path, monkeypatch):
    (direction, network, _, seed), data, out = a_bound
    asked = []

    def evaluate(words):
        asked.append(words)
        (tmp_path / words[words.index("--out") + 1]).with_suffix(".csv").write_text(
            f"MPJPE raw,P-MPJPE raw,MPJPE conv.,P-MPJPE conv.\n{'60,40,61,42' if 'gt' in words else '90,58,91,59'}\n"
        )

    monkeypatch.setattr("benchmarks.runs._python", evaluate)
    task = (direction, network, BOUND_FLIPPED, seed)
    result = run_row(task, {}, str(data), tmp_path / "converter", out)
    raw = result["also"]["surreal, raw labels"]["average"]
    assert raw == {"mpjpe": 60.0, "p_mpjpe": 40.0}
    assert result["average"] == {"mpjpe": 61.0, "p_mpjpe": 42.0}
    assert lacks_tests(task, result, out, data, True)
    more_tests(task, result, str(data), tmp_path / "converter", out, True)
    assert (result["average"]["detector"], raw["detector"]) == (91.0, 90.0)
    assert not lacks_tests(task, result, out, data, True)
    assert all("--tta" in words and "--converter" in words for words in asked)
    assert {path.name for path in out.rglob("evaluated_*.csv")} == {
        f"evaluated_{name}.csv" for name in ("gt", "detector", "gt_tta", "detector_tta")
    }
    # The bound itself was not touched.
    bound = {"average": {"mpjpe": 64.0, "p_mpjpe": 44.0}, "also": {}}
    more_tests((direction, network, BOUND, seed), bound, str(data), tmp_path / "converter", out, True)
    assert (bound["average"]["mpjpe"], bound["average"]["detector"], len(asked)) == (66.0, 95.0, 2)


def test_without_a_detector_s_2d_there_is_no_such_column(a_bound, tmp_path):
    task, data, out = a_bound
    result = {"average": {"mpjpe": 64.04, "p_mpjpe": 44.04}, "also": {}}
    more_tests(task, result, str(data), tmp_path, out, False)
    assert "detector" not in result["average"]
    assert not lacks_tests(task, result, out, data, False)
    (next(out.rglob("evaluated_gt.csv"))).write_text("test\nsurreal\n")
    with pytest.raises(DuaError, match=r"evaluated_gt.csv cannot be read"):
        more_tests(task, {"average": {}, "also": {}}, str(data), tmp_path, out, False)


def test_a_folder_claims_the_trainings_of_networks_that_have_results_there(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    pairs = [(direction, network) for direction in DIRECTIONS for network in ("martinez", "semgcn")]
    sizes = {pair: ["--epochs", "40"] for pair in pairs}
    claim(tmp_path, tmp_path, "standard", sizes, set())
    longer = sizes | {pair: ["--epochs", "160"] for pair in pairs if pair[1] == "semgcn"}
    with pytest.raises(DuaError, match="results of trainings"):
        claim(tmp_path, tmp_path, "standard", longer, {"martinez", "semgcn"})
    claim(tmp_path, tmp_path, "standard", longer, {"martinez"})
    assert json.loads((tmp_path / "benchmark.json").read_text())["trainings"] == in_words(longer)
    with pytest.raises(DuaError, match="results of trainings"):
        claim(tmp_path, tmp_path, "standard", sizes, {"semgcn"})


def test_errors_without_their_benchmark_are_refused(demo, tmp_path):
    shutil.copy(ROOT / "benchmarks" / "results_two" / "runs.csv", tmp_path)
    assert_one_line(run_here(SCRIPT, "--data_dir", demo, "--out", tmp_path), "runs.csv", "benchmark.json", "is missing")


def test_rows_name_options_that_the_scripts_have():
    helps = {script: run_here(script, "--help").stdout for script in ("train_surreal.py", "train_h36m_dan.py")}
    for row in ROWS.values():
        for option in (*row.switches(), *row.options):
            if option.startswith("--"):
                assert all(f"{option} " in text or f"{option}\n" in text for text in helps.values()), option
        assert row.tests is None or ROWS[row.tests].tests is None
    for size in PRESETS.values():
        for option in (word for word in size.command(10**6, "h36m") if word.startswith("--")):
            assert all(option in text for text in helps.values()), option


def test_labels_that_are_projected_anyway_are_no_row_of_their_own():
    for direction in DIRECTIONS:
        lacking = {name for name, row in ROWS.items() if not row.there_is(direction)}
        assert lacking == (
            {f"{REPROJECTED}, target joints", TARGET_JOINTS, ALL_OF_TARGET} if direction == "surreal -> h36m" else set()
        )


def test_all_rows_make_the_same_number_of_steps_on_small_data():
    def steps(poses):
        words = PRESETS["quick", "martinez"].command(poses, "surreal")
        sizes = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True) if value.isdigit()}
        assert sizes["--limit_batches"] <= poses // sizes["--downsample"] // sizes["--batch_size"]
        return sizes["--limit_batches"] * sizes["--epochs"]

    assert steps(10**6) == 1000
    assert abs(steps(34_751) - 1000) < 35  # half an epoch
    assert abs(steps(1024) - 1000) < 2


def test_rows_are_named_one_by_one_or_by_set():
    assert rows_of(["short"]) == list(SETS["short"])
    assert rows_of([DUA, "short"]) == [DUA, *(row for row in SETS["short"] if row != DUA)]
    assert rows_of(["flip at test"]) == [NONE, "flip at test"]
    assert set(rows_of(["all"])) == set(ROWS)
    with pytest.raises(DuaError, match="--rows 'DUO': no row and no set of rows; sets are all, short"):
        rows_of(["DUO"])


def test_a_preset_may_train_longer_for_one_target():
    size = PRESETS["standard", "martinez"]
    epochs = {target: int(size.command(10**7, target)[-1]) for target in ("h36m", "surreal")}
    assert epochs["h36m"] > epochs["surreal"] > 0


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
    again = run_here("benchmarks/coverage.py", "--results", tmp_path, "--data_dir", demo, "--rows", CONVERTER, DUA)
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

    assert_one_line(attempt(out, demo, "--rows", NONE), "labels of another skeleton", "--rows")
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
    from common.errors import DuaError

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
