"""`benchmarks/runs.py`: a run that is done, or was cut off, is taken for what it was trained as."""

import json

import pytest

from benchmarks.runs import one_run
from common.errors import DuaError
from common.training.checkpoint import LAST

COMMAND = ("main_prob.py", "--schedule", "fast", "--non_local", "--limit_batches", "100", "--lr", "1e-2", "--seed", "0")


def kept(folder, recorded, file="results.json"):
    run = folder / "2026-01-01_00-00-00"
    run.mkdir(parents=True)
    options = {"schedule": "fast", "non_local": True, "limit_batches": 100, "lr": 0.01, "seed": 0, "epochs": 7}
    (run / "config.json").write_text(json.dumps({"arguments": options | recorded}))
    (run / file).write_text("{}")
    return run


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run = kept(tmp_path / "out", {"data_dir": str(tmp_path)})
    assert one_run([*COMMAND, "--data_dir", str(tmp_path)], tmp_path / "out", "results.json") == run
    twice = [*COMMAND, "--data_dir", str(tmp_path), "--epochs", "50", "--epochs", "7"]
    assert one_run(twice, tmp_path / "out", "results.json") == run


@pytest.mark.parametrize("file", ["results.json", LAST])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"limit_batches": 25}, "--limit_batches 25, not 100"),
        ({"limit_batches": None}, "--limit_batches None, not 100"),
        ({"lr": 0.001}, "--lr 0.001, not 1e-2"),
        ({"data_dir": "/elsewhere"}, "was trained on /elsewhere, not on"),
    ],
)
def test_a_run_of_another_length_or_other_data_is_refused(tmp_path, file, changed, words):
    run = kept(tmp_path / "out", {"data_dir": str(tmp_path)} | changed, file)
    with pytest.raises(DuaError, match="choose another folder with --out") as raised:
        one_run([*COMMAND, "--data_dir", str(tmp_path)], tmp_path / "out", "results.json")
    assert words in str(raised.value)
    assert str(run) in str(raised.value)
