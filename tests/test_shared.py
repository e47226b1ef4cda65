"""`tests.helpers.shared`: one maker among the workers of a session, and another attempt after a failure."""

import multiprocessing

import pytest

from tests.helpers.shared import shared


class Factory:
    """As pytest's `tmp_path_factory` in one of several workers."""

    def __init__(self, base):
        self.base = base

    def getbasetemp(self):
        self.base.mkdir(exist_ok=True)
        return self.base


def ask(base, worker, start):
    def make(folder):
        (folder / "file").write_text(f"of {worker}")
        with open(base / "makers", "a") as file:
            file.write(f"{worker}\n")

    start.wait()
    assert (shared(Factory(base / worker), "thing", make) / "file").exists()


def test_workers_that_ask_at_once_make_it_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)
    workers = [context.Process(target=ask, args=(tmp_path, f"gw{i}", start)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    (maker,) = (tmp_path / "makers").read_text().split()
    assert (tmp_path / "shared_thing" / "file").read_text() == f"of {maker}"


def test_a_failed_attempt_leaves_nothing_to_be_taken_for_whole(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def fail(folder):
        (folder / "half").touch()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        shared(Factory(tmp_path), "thing", fail)
    folder = shared(Factory(tmp_path), "thing", lambda folder: (folder / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert shared(Factory(tmp_path), "thing", fail) == folder
