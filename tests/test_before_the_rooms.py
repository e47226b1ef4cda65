"""Checkpoints, prepared files and a benchmark's folder from before `common/` had rooms: they go on to load, and give what they gave.

`tests/fixtures/before_rooms.zip` was made by the scripts of commit 5f25e24: `data/`, a few frames of the demo's clips; `benchmark/`, of
`benchmarks/cross_dataset.py --rows short --seeds 0` with trainings that are over at once; `semgcn/`, a run of `train_h36m_dan.py`.
"""

import csv
import json
import shutil
import zipfile

import pytest

from benchmarks.claims import VERSION, data_hash, in_words
from benchmarks.cross_dataset import training_sizes
from benchmarks.rows import PRESETS
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.datasets.smpl import load_pairs
from common.datasets.surreal import load_surreal
from common.prediction.lifter import load_lifter
from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import run_here
from tests.helpers.small_benchmark import SMALL


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The archive, unpacked; the folder that its files name is the one that it lies in now."""
    folder = tmp_path_factory.mktemp("kept")
    with zipfile.ZipFile(ROOT / "tests" / "fixtures" / "before_rooms.zip") as archive:
        archive.extractall(folder)
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text().replace("FOLDER/", f"{folder}/"))
    return folder


def test_prepared_files(kept):
    data = kept / "data"
    assert len(load_h36m(data, subjects=TRAIN_SUBJECTS)) == 600
    assert len(load_h36m(data, subjects=TEST_SUBJECTS)) == 80
    assert len(load_pairs(data)) == 600
    assert (len(load_surreal(data, "train")), len(load_surreal(data, "test"))) == (320, 30)


@pytest.mark.parametrize(
    ("script", "run"),
    [
        ("main_prob.py", "benchmark/surreal_to_h36m/martinez/trained_on_the_target"),
        ("train_surreal.py", "benchmark/surreal_to_h36m/martinez/DUA__all_"),
        ("train_h36m_dan.py", "semgcn"),
    ],
)
def test_checkpoints_give_the_errors_that_they_gave(kept, script, run):
    (file,) = (kept / run).glob("**/ckpt_best.pth.tar")
    then = json.loads((file.parent / "results.json").read_text())
    process = run_here(script, "--evaluate", file, "--data_dir", kept / "data", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    (written,) = file.parent.glob("results_ckpt_best_gt*.json")  # which names the data, because they have moved
    now = json.loads(written.read_text())
    assert now["average"] == pytest.approx(then["average"], rel=1e-5)
    assert {key: now[key] for key in ("source", "target", "network", "selection", "epoch")} == {
        key: then[key] for key in ("source", "target", "network", "selection", "epoch")
    }
    # Of SemGCN it was not said then.
    assert now["modules"] == then["modules"] + ["non_local"] * (now["network"] == "semgcn")


def test_a_run_goes_on(kept, tmp_path):
    (file,) = (kept / "benchmark/surreal_to_h36m/martinez/trained_on_the_target").glob("**/ckpt_last.pth.tar")
    run = shutil.copytree(file.parent, tmp_path / "run")
    before = len((run / "log.csv").read_text().splitlines())
    process = run_here("main_prob.py", "--resume", run, "--epochs", before, "--data_dir", kept / "data", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert len((run / "log.csv").read_text().splitlines()) == before + 1


def test_an_estimator_has_its_calibration(kept):
    (file,) = (kept / "benchmark/surreal_to_h36m/martinez/DUA__all_").glob("**/ckpt_best.pth.tar")
    assert load_lifter(file, "cpu").calibration is not None


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_the_benchmark_finds_its_rows_done(kept, monkeypatch):
    out = kept / "benchmark"
    claimed = json.loads((out / "benchmark.json").read_text())
    assert claimed["version"] == 2  # another version's rows are refused; these stand for some of today's
    for key in PRESETS:
        monkeypatch.setitem(PRESETS, key, SMALL)
    trainings = in_words(training_sizes(kept / "data", "quick"))
    today = {"version": VERSION, "hash": data_hash(kept / "data"), "trainings": trainings}
    (out / "benchmark.json").write_text(json.dumps(claimed | today))
    table = rows_of(out / "table.csv")
    command = ("--data_dir", kept / "data", "--out", out, "--seeds", 0, "--rows", "short")
    process = run_script("tests/helpers/small_benchmark.py", *command)
    assert process.returncode == 0, process.stderr
    found = rows_of(out / "table.csv")
    assert {row.pop("MPJPE, detector") for row in found} == {"-"}  # no network is there to be tested once more
    assert {row.pop("of bound, %") for row in found if row["row"] == "trained on the target"} == {"100.0"}
    assert [{name: row[name] for name in table[0]} for row in found] == table
    assert not list(out.glob("**/ckpt_best.pth.tar"))[3:], "a row was trained again"
