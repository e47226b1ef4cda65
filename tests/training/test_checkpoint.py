"""Which run and which of its files a path stands for."""

import os

import pytest

from common.errors import DuaError
from common.training.checkpoint import BEST, CONFIG, LAST, checkpoint_file, run_of


def make_run(folder, *files, at=0):
    folder.mkdir(parents=True)
    for name in (CONFIG, *files):
        (folder / name).write_text("")
        os.utime(folder / name, (at, at))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Run folders by name. The times of their files say the opposite of their names."""
    names = ("2026-01-09_10-00-00", "2026-01-10_09-00-00", "2026-01-10_09-00-00_2", "2026-01-10_09-00-00_10")
    return {name: make_run(tmp_path / "prob" / name, BEST, LAST, at=1e9 - i) for i, name in enumerate(names)}


def test_a_folder_of_runs_stands_for_the_one_that_was_started_last_and_it_is_said(runs, tmp_path, capsys):
    *_, second, last = runs.values()
    folder = tmp_path / "prob"
    assert run_of(folder, BEST) == last
    assert capsys.readouterr().out == f"{folder}: its newest run is taken, {last.name}\n"
    assert checkpoint_file(folder, BEST) == last / BEST
    assert checkpoint_file(folder, LAST) == last / LAST
    # One that has just begun has nothing to test yet.
    (last / BEST).unlink()
    capsys.readouterr()
    assert checkpoint_file(folder, BEST) == second / BEST
    assert capsys.readouterr().out == f"{folder}: its newest run with {BEST} (1 newer without) is taken, {second.name}\n"
    assert checkpoint_file(folder, LAST) == last / LAST
    (second / LAST).unlink()
    (last / LAST).unlink()
    assert checkpoint_file(folder, LAST) == second / BEST  # killed between the two, in the first epoch


def test_runs_with_other_names_are_as_old_as_their_options(runs, tmp_path):
    renamed = make_run(tmp_path / "prob" / "final", BEST, at=4e9)
    make_run(tmp_path / "prob" / "attic", BEST, at=1e6)
    assert run_of(tmp_path / "prob", BEST) == renamed


def test_runs_and_files_stand_for_themselves(runs, tmp_path, capsys):
    run, *_ = runs.values()
    make_run(run / "inner", BEST)  # somebody put another run in it
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in (run, run / BEST, alone, tmp_path / "no", tmp_path):
        assert run_of(path, BEST) == path
    (run / BEST).unlink()
    assert run_of(run, BEST) == run  # cut off, and named: no other is taken in its place
    with pytest.raises(DuaError, match="has no ckpt_best"):
        checkpoint_file(run, BEST)
    with pytest.raises(DuaError, match=r"below it there are: .*2026-01-10"):
        checkpoint_file(tmp_path, BEST)
    assert capsys.readouterr().out == ""
