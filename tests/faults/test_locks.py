"""Two at once: in one run folder the second is refused; of one data set one of the two is left, whole."""

import json
import os
import platform
import signal
import threading
import time

import pytest

import common.training.experiment
import common.training.run_lock
from common.errors import DuaError
from common.files.sets import written_together
from common.training.checkpoint import load_checkpoint
from common.training.run_lock import LOCK, run_lock
from common.training.run_log import new_run_folder, write_results
from tests.faults.forks import Fork, run
from tests.helpers.script_tools import QUICK, assert_one_line, only_run, run_here, wait_for
from tests.helpers.surreal_files import write_tree


def in_threads(work, count):
    """`work(number)` in so many threads at once; what they raise fails the test."""
    raised = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not raised, raised


def test_a_run_that_is_resumed_twice(demo, tmp_path):
    """The second is refused while the first lives, and goes on when the first was killed, whose lock is gone with it."""
    first = Fork(
        tmp_path / "first", "main_prob.py", "--data_dir", demo, *QUICK, "--epochs", 1000, "--checkpoint", tmp_path / "runs"
    )
    wait_for(lambda: list(tmp_path.glob("runs/*/ckpt_last.pth.tar")))
    folder = only_run(tmp_path / "runs")
    holder = json.loads((folder / LOCK).read_text())
    assert holder["pid"] == first.pid
    for option in (folder, folder / "ckpt_last.pth.tar"):
        second = run(tmp_path / "second", "main_prob.py", "--resume", option)
        assert_one_line(second, str(folder), "in use", f"process {first.pid} on {platform.node()}", "without --resume")
    assert run(tmp_path / "second", "main_prob.py", "--evaluate", folder).returncode == 0, "reading is free"
    first.send(signal.SIGKILL)
    assert first.finish().returncode == -9
    assert (folder / LOCK).exists()
    done = load_checkpoint(folder / "ckpt_last.pth.tar")["training"]["epoch"]
    resumed = run(tmp_path / "second", "main_prob.py", "--resume", folder, "--epochs", done + 1)
    assert resumed.returncode == 0, resumed.stderr
    assert not (folder / LOCK).exists()


def test_a_run_is_held_until_it_has_reported(demo, tmp_path, monkeypatch):
    """Or another process could train on between its last epoch and its test, which would then be of both."""
    held = []

    def write(path, results):
        held.append((path.parent / LOCK).exists())
        write_results(path, results)

    monkeypatch.setattr(common.training.experiment, "write_results", write)
    process = run_here("main_prob.py", "--data_dir", demo, *QUICK, "--checkpoint", tmp_path)
    assert process.returncode == 0, process.stderr
    assert held == [True]
    assert not (only_run(tmp_path) / LOCK).exists()


def test_one_at_a_time(tmp_path):
    """Many that take and leave the folder as fast as they can, so that locks are opened while they are being deleted."""
    inside, entered, refused = [], [], []
    deadline = time.monotonic() + 60

    def work(number):
        while len(entered) < 40 and time.monotonic() < deadline:
            try:
                with run_lock(tmp_path):
                    inside.append(number)
                    assert inside == [number]
                    time.sleep(0)
                    inside.clear()
                    entered.append(number)
            except DuaError:
                refused.append(number)
                time.sleep(0.001)  # or those who wait keep the holder from running

    in_threads(work, 4)
    assert len(entered) >= 40
    assert refused
    assert not os.listdir(tmp_path)


def test_a_file_that_nobody_locks_holds_nothing(tmp_path):
    (tmp_path / LOCK).write_text("\x00 whatever a crash left")
    with run_lock(tmp_path), pytest.raises(DuaError, match=f"process {os.getpid()}"), run_lock(tmp_path):
        pass
    assert not os.listdir(tmp_path)


def test_a_holder_that_has_not_signed_yet(tmp_path):
    with run_lock(tmp_path):
        (tmp_path / LOCK).write_text("")
        with pytest.raises(DuaError, match="another process"), run_lock(tmp_path):
            pass


def test_without_locks_a_run_goes_on_with_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common.training.run_lock, "try_lock", lambda descriptor: None)
    with run_lock(tmp_path):
        pass
    assert str(tmp_path) in capsys.readouterr().err


def test_processes_that_train_one_run_together_do_not_lock_each_other_out(tmp_path, monkeypatch):
    with run_lock(tmp_path):
        monkeypatch.setattr(common.training.run_lock, "is_main", lambda: False)
        with run_lock(tmp_path):
            assert (tmp_path / LOCK).exists()
        assert (tmp_path / LOCK).exists()


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(tmp_path):
    made = []
    in_threads(lambda number: made.append(new_run_folder(tmp_path)), 16)
    assert len(set(made)) == len(os.listdir(tmp_path)) == 16


def test_sets_of_files_that_are_written_at_once(tmp_path):
    for _ in range(20):
        both = threading.Barrier(2, timeout=60)  # of two, should one fail, the other must not wait for ever

        def work(number, both=both):
            with written_together(tmp_path) as folder:
                for name in ("dataset.json", *(f"{n}.npz" for n in range(10))):
                    (folder / name).write_text(str(number))
                both.wait()

        in_threads(work, 2)
        assert len(os.listdir(tmp_path)) == 11
        assert len({path.read_text() for path in tmp_path.iterdir()}) == 1


def test_a_set_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "a.npz").write_text("old")

    def fail():
        with written_together(tmp_path) as folder:
            (folder / "a.npz").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == ["a.npz"]
    assert (tmp_path / "a.npz").read_text() == "old"


def test_preparations_at_once(tmp_path):
    """Two that would write different files of the same names."""
    tree = write_tree(tmp_path / "tree", ("train", "test"))
    command = ("data/prepare_data_surreal.py", "--from-surreal", tree, "--overwrite", "--workers", 1)
    whole = []
    for stride in (1, 2):
        assert run(tmp_path / "log", *command, "--stride", stride, "--out", tmp_path / str(stride)).returncode == 0
        whole.append({path.name: path.read_bytes() for path in (tmp_path / str(stride)).iterdir()})
    both = [Fork(tmp_path / f"log{stride}", *command, "--stride", stride, "--out", tmp_path / "out") for stride in (1, 2)]
    assert [fork.finish().returncode for fork in both] == [0, 0]
    left = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert left.keys() == whole[0].keys()
    assert all(text in (whole[0][name], whole[1][name]) for name, text in left.items())
