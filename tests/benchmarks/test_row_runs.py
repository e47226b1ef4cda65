"""A row's run, and what it is tested by beside its script's own test."""

import json
import shutil

import pytest

from benchmarks.row_runs import lacks_tests, more_tests, run_row
from benchmarks.rows import (
    BEST,
    BOUND,
    BOUND_FLIPPED,
)
from common.errors import DuaError


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
        raw, converted = ("60,40", "61,42") if "gt" in words else ("90,58", "91,59")
        (tmp_path / words[words.index("--out") + 1]).with_suffix(".csv").write_text(
            f"MPJPE raw,P-MPJPE raw,MPJPE conv.,P-MPJPE conv.\n{raw},{converted if '--converter' in words else '-,-'}\n"
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
    # Towards Human3.6M nothing is converted.
    shutil.copytree(out / "h36m_to_surreal", out / "surreal_to_h36m")
    for old in (out / "surreal_to_h36m").rglob("evaluated_*"):
        old.unlink()
    to_h36m = ("surreal -> h36m", network, BOUND_FLIPPED, seed)
    result = run_row(to_h36m, {}, str(data), tmp_path / "converter", out)
    assert result == {"average": {"mpjpe": 60.0, "p_mpjpe": 40.0}, "also": {}}
    more_tests(to_h36m, result, str(data), tmp_path / "converter", out, True)
    assert result == {"average": {"mpjpe": 60.0, "p_mpjpe": 40.0, "detector": 90.0}, "also": {}}
    assert not any("--converter" in words for words in asked[2:])
    # The bound itself was not touched.
    bound = {"average": {"mpjpe": 64.0, "p_mpjpe": 44.0}, "also": {}}
    more_tests((direction, network, BOUND, seed), bound, str(data), tmp_path / "converter", out, True)
    assert (bound["average"]["mpjpe"], bound["average"]["detector"], len(asked)) == (66.0, 95.0, 4)


def test_without_a_detector_s_2d_there_is_no_such_column(a_bound, tmp_path):
    task, data, out = a_bound
    result = {"average": {"mpjpe": 64.04, "p_mpjpe": 44.04}, "also": {}}
    more_tests(task, result, str(data), tmp_path, out, False)
    assert "detector" not in result["average"]
    assert not lacks_tests(task, result, out, data, False)
    (next(out.rglob("evaluated_gt.csv"))).write_text("test\nsurreal\n")
    with pytest.raises(DuaError, match=r"evaluated_gt.csv cannot be read"):
        more_tests(task, {"average": {}, "also": {}}, str(data), tmp_path, out, False)
