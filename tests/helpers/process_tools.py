"""Several processes that share a run, forked from one that has imported everything: what `torchrun` starts, without its seconds."""

import gc
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from unittest import mock

import torch
import torch.distributed as dist

from common.compute import distributed
from common.compute.distributed import run_together
from common.errors import DuaError
from common.start import run_script
from tests.conftest import ROOT
from tests.helpers.script_tools import leave_empty_curves

_PATIENCE = timedelta(seconds=60)


class Processes:
    """Up to four processes, used again and again."""

    def __init__(self):
        context = multiprocessing.get_context("forkserver")  # not of the tests' own process, which has threads
        context.set_forkserver_preload(
            [
                "tests.helpers.process_tools",
                "common.adaptation.dua",
                "common.training.in_domain",
            ]
        )
        self._pool = ProcessPoolExecutor(4, mp_context=context)

    def close(self):
        for process in list(self._pool._processes.values()):
            process.kill()  # they have nothing left to do, or wait for each other for ever
        self._pool.shutdown()

    def together(self, count, function, *arguments, store=None):
        """What `function(*arguments)` returns in each of `count` processes that share a run."""
        store = store or new_store()
        started = [self._pool.submit(_join, store.port, rank, count, function, arguments) for rank in range(count)]
        return [future.result(timeout=120) for future in started]

    def scripts(self, count, *arguments, store=None, attempt=0, change=None):
        """`torchrun --nproc_per_node=count SCRIPT ARGUMENTS`; returns each process as `run_here` does.

        `change` is called in each before the script starts; a `store` can be used for a second attempt.
        """
        store = store or new_store()
        words = [str(word) for word in arguments]
        started = [self._pool.submit(_script, store.port, rank, count, attempt, words, change) for rank in range(count)]
        return [future.result(timeout=120) for future in started]


def new_store():
    """What torchrun keeps for its processes."""
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


@contextmanager
def _left_afterwards():
    """Hang up on the others, as the end of the process would."""
    try:
        yield
    finally:
        gc.collect()
        distributed._groups.clear()


def _join(port, rank, count, function, arguments):
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    with (
        _left_afterwards(),
        mock.patch.object(distributed, "_TIMEOUT", _PATIENCE),
        mock.patch.dict(os.environ, LOCAL_RANK=str(rank)),
        distributed.joined(store, rank, count),
    ):
        return function(*arguments)


@contextmanager
def _torchruns_environment(port, rank, count, attempt):
    environment = {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": attempt, "TORCHELASTIC_USE_AGENT_STORE": True,
    }  # fmt: skip
    with mock.patch.dict(os.environ, {name: str(value) for name, value in environment.items()}):
        yield


def _script(port, rank, count, attempt, words, change):
    torch.set_num_threads(1)
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        _left_afterwards(),
        _torchruns_environment(port, rank, count, attempt),
        mock.patch.object(distributed, "_TIMEOUT", _PATIENCE),
        mock.patch.object(sys, "argv", words),
        mock.patch("common.training.loop.plot_curves", leave_empty_curves),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        undo = change() if change else None
        try:
            if words[0].endswith(".py"):
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
            else:
                run_script(globals()[words[0]], run_together)
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            if undo:
                undo()
            torch.use_deterministic_algorithms(False)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


def one_of_them_fails():
    """A script's main in which only the second process meets bad input; the first waits for it."""
    if distributed.rank() == 1:
        raise DuaError("a file that is only wrong here")
    distributed.wait_for_all()


def all_of_them_fail():
    raise DuaError("a file that is wrong everywhere")


def the_first_cannot_make_it():
    distributed.from_main(lambda: (_ for _ in ()).throw(DuaError("no room for a run folder")))
