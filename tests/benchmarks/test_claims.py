"""Of what a folder of the benchmark holds results."""

import json

import pytest

from benchmarks.claims import claim, in_words
from benchmarks.rows import (
    DIRECTIONS,
    PRESETS,
)
from common.errors import DuaError
from common.training.schedule import fast_options


def test_what_the_fast_schedule_stands_for_is_part_of_what_a_folder_claims():
    words = PRESETS["standard", "semgcn"].command(10**7, "h36m")
    (text,) = in_words({("surreal -> h36m", "semgcn"): words}).values()
    assert "--schedule fast --non_local --batch_size 64" in text
    for name, value in fast_options("semgcn", 1).items():
        assert (f"--{name} {value} " in f"{text} ") == (name not in ("epochs", "epoch_share")), name
    assert in_words({("surreal -> h36m", "martinez"): ["--hid_dim", "16"]}) == {"surreal -> h36m, martinez": "--hid_dim 16"}


def test_the_data_are_told_by_what_is_in_them_and_not_by_their_folder(tmp_path):
    """Who packs the archives otherwise has them in a folder of another name."""
    sizes = {("surreal -> h36m", "martinez"): ["--epochs", "40"]}
    for name, content in (("two_a_1", "{}"), ("two_b_1", "{}"), ("two_c_1", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(content)
    claim(tmp_path / "out", tmp_path / "two_a_1", "standard", sizes, {"martinez"})
    claim(tmp_path / "out", tmp_path / "two_b_1", "standard", sizes, {"martinez"})
    with pytest.raises(DuaError, match="results of hash"):
        claim(tmp_path / "out", tmp_path / "two_c_1", "standard", sizes, {"martinez"})


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
