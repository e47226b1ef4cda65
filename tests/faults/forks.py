"""Scripts in processes of their own that cost a fork and not three seconds of imports, so that they can be killed by the dozen."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

# What the scripts import, once, in the server that all processes are forked from.
import h5py  # noqa: F401
import imageio_ffmpeg  # noqa: F401
import matplotlib.figure  # noqa: F401
import scipy.io
import scipy.optimize  # noqa: F401
import torch

import common.adaptation.dua
import common.preparation.surreal_sources
import common.rendering.outputs
import common.uncertainty.report  # noqa: F401
from tests.conftest import ROOT

_default = multiprocessing.get_start_method()
_server = multiprocessing.get_context("forkserver")
for _on in (True, False):
    torch.use_deterministic_algorithms(_on)  # imports what it needs when it is first used
PATIENCE = 120
"""Seconds that nothing here takes; a process that hangs fails its test."""


class Fork:
    """`python SCRIPT ARGUMENTS` in a process group of its own; its output goes to the files `folder`/out and `folder`/err.

    Args:
        before: called in the process before the script, with `with_`.
    """

    def __init__(self, folder, script, *arguments, before=None, with_=()):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.script, self.arguments = folder, script, [str(word) for word in arguments]
        self._process = _server.Process(target=_run, args=(str(folder), script, self.arguments, before, with_))
        _prepare_server()
        with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}):
            self._process.start()
        self.pid = self._process.pid

    def send(self, number):
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def finish(self):
        """Wait until it and all that it started have ended; returns what `conftest.run_script` does."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        assert code is not None, f"{self.script} {self.arguments} hangs"
        deadline = time.monotonic() + 15
        while _group_lives(self.pid):
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                raise AssertionError(f"{self.script} ended with {code}, but processes that it started live on")
            time.sleep(0.01)
        output, errors = (
            (self.folder / name).read_text(errors="replace") if (self.folder / name).exists() else "" for name in ("out", "err")
        )
        return subprocess.CompletedProcess([self.script, *self.arguments], code, output, errors)


@cache
def _prepare_server():
    """Prepare for a server with the modules above; the first process starts it."""
    forkserver._forkserver._stop()  # another test's, which has other modules; it knows no way to have two
    _server.set_forkserver_preload([__name__])


def run(folder, script, *arguments, **options):
    """A script to its end."""
    return Fork(folder, script, *arguments, **options).finish()


def run_and_kill(folder, seconds, script, *arguments, **options):
    """A script that gets SIGKILL after so many seconds."""
    fork = Fork(folder, script, *arguments, **options)
    time.sleep(seconds)
    fork.send(signal.SIGKILL)
    return fork.finish()


def _run(folder, script, arguments, before, with_):
    os.setsid()
    for name, number in (("out", 1), ("err", 2)):
        descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ["TMPDIR"] = folder
    torch.set_num_threads(1)
    multiprocessing.set_start_method(_default, force=True)  # else a script's pool would start a server as this one's
    os.chdir(ROOT)
    sys.argv = [script, *arguments]
    if before is not None:
        before(*with_)
    runpy.run_path(str(ROOT / script), run_name="__main__")


def _group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    # A process that has ended and that nobody has asked for still counts; init asks when it comes to it.
    states = [_stat(path) for path in Path("/proc").glob("[0-9]*/stat")]
    return any(state[0] != "Z" for state in states if state and int(state[2]) == group) if states else True


def _stat(path):
    """(state, parent, group, ...) of a process, or nothing if it has ended."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def die_at(function, call):
    """In a process: SIGKILL itself at the `call`-th call (from 1) of `os.FUNCTION`; 'replaced': just after it has renamed."""
    name = "replace" if function == "replaced" else function
    real, calls = getattr(os, name), 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == call and function != "replaced":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, counted)


def count_renames(path):
    """In a process: keep the number of `os.replace` so far in a file."""
    real, calls = os.replace, 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        Path(path).write_text(str(calls))
        return real(*arguments, **options)

    os.replace = counted
