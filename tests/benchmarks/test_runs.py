"""`benchmarks/runs.py`: a run that is done, or was cut off, is taken for what it was trained as."""

import json
from pathlib import Path

import pytest

from benchmarks import runs
from benchmarks.runs import one_run
from common.errors import DuaError
from common.training.checkpoint import LAST

COMMAND = ("main_prob.py", "--schedule", "fast", "--non_local", "--limit_batches", "100", "--lr", "1e-2", "--seed", "0")
COMMAND += ("--align", "views", "canonical", "--augment", "--converter", "here", "--precision", "auto", "--no_domain", "--no_dua")


def kept(folder, recorded, file="results.json"):
    run = folder / "2026-01-01_00-00-00"
    run.mkdir(parents=True)
    options = {"schedule": "fast", "non_local": True, "limit_batches": 100, "lr": 0.01, "seed": 0, "epochs": 7}
    options |= {
        "align": ["canonical", "views"],
        "augment": True,
        "converter": "there",
        "precision": "bfloat16",
        "domain_on": False,
    }
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
        ({"limit_batches": 25}, "limit_batches 25, not '--limit_batches 100'"),
        ({"limit_batches": None}, "limit_batches None, not '--limit_batches 100'"),
        ({"lr": 0.001}, "lr 0.001, not '--lr 1e-2'"),
        ({"data_dir": "/elsewhere"}, "was trained on /elsewhere, not on"),
        ({"schedule": "published"}, "schedule published, not '--schedule fast'"),
        ({"non_local": False}, "non_local False, not '--non_local'"),
        ({"domain_on": True}, "domain_on True, not '--no_domain'"),
        ({"augment": "any"}, "augment any, not '--augment'"),
        ({"align": ["views"]}, "align ['views'], not '--align views canonical'"),
    ],
)
def test_a_run_of_another_length_or_other_data_is_refused(tmp_path, file, changed, words):
    run = kept(tmp_path / "out", {"data_dir": str(tmp_path)} | changed, file)
    with pytest.raises(DuaError, match="choose another folder with --out") as raised:
        one_run([*COMMAND, "--data_dir", str(tmp_path)], tmp_path / "out", "results.json")
    assert words in str(raised.value)
    assert str(run) in str(raised.value)


def test_a_test_of_another_network_that_was_in_its_place_is_made_again(tmp_path, monkeypatch):
    tested = []

    def test_it(words):
        run = Path(words[words.index("--evaluate") + 1])
        tested.append(run.name)
        (run / "results_ckpt_best_gt_tta.json").write_text(json.dumps({"checkpoint": str(run / "ckpt_best.pth.tar")}))

    monkeypatch.setattr(runs, "_python", test_it)
    for run in [tmp_path / "first", tmp_path / "second"]:
        run.mkdir()
        for _ in range(2):
            found = runs.tested_again(["main_prob.py"], run, "data", ("--tta",), tmp_path / "kept")
            assert Path(found["checkpoint"]).parent == run
    assert tested == ["first", "second"]


def test_a_run_that_is_older_than_an_option_was_trained_without_it(tmp_path):
    kept(tmp_path / "out", {"data_dir": str(tmp_path)})
    with pytest.raises(DuaError, match="target_poses False, not '--target_poses'"):
        one_run([*COMMAND, "--data_dir", str(tmp_path), "--target_poses"], tmp_path / "out", "results.json")
