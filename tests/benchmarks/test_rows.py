"""The benchmark's rows and the size of its trainings."""

import pytest

from benchmarks.rows import (
    ALL_OF_TARGET,
    DIRECTIONS,
    DUA,
    NONE,
    PRESETS,
    REPROJECTED,
    ROWS,
    SETS,
    TARGET_JOINTS,
    rows_of,
)
from common.errors import DuaError
from tests.helpers.script_tools import run_here


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
