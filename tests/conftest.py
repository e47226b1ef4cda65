"""Shared by all tests: a tiny data set in the Human3.6M layout, trained runs, and running a script as a user does.

What takes seconds to make and what many tests only read (`demo`, `converter`, `quick_run`) is made once a session, also where
pytest-xdist shares the tests among processes: `tests.helpers.shared` puts it beside the workers' own temporary folders, under a lock.
Tests read it; what is to be changed, or to get files beside it, is copied first (`copy_data`, `shutil.copytree`).
Scripts run in the tests' own process (`run_here`), which spares the three seconds in which torch is imported; `run_script` starts
Python as a user does, and each script has at least one such test: that it starts, ends with its code, and minds signals.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.adaptation.converter import CHECK
from common.training.checkpoint import BEST, load_checkpoint, save_checkpoint
from tests.helpers.shared import shared

ROOT = Path(__file__).resolve().parent.parent


def run_script(*arguments, cwd=ROOT, **options):
    """`python ARGUMENTS` from the repository's root; returns the finished process with its text output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment, **options)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo data, built small: one take of each clip by each subject."""

    def make(folder):
        process = run_script("data/prepare_data_demo.py", "--out", folder, "--takes", 1)
        assert process.returncode == 0, process.stderr

    return shared(tmp_path_factory, "demo", make)


@pytest.fixture(scope="session")
def converter(demo, tmp_path_factory):
    """A run folder of `conversion.py --format h36m` on the demo, one epoch, whose verdict is that it errs as least squares does."""

    def make(folder):
        options = ("--device", "cpu", "--epochs", 1, "--batch_size", 256)
        process = run_script("conversion.py", "--data_dir", demo, "--checkpoint", folder, *options)
        assert process.returncode == 0, process.stderr
        run = next(folder.iterdir())
        checkpoint = load_checkpoint(run / BEST)
        save_checkpoint(run / BEST, checkpoint | {CHECK: dict.fromkeys(checkpoint[CHECK], 0.0)})

    return next(shared(tmp_path_factory, "converter", make).iterdir())


@pytest.fixture(scope="session")
def shared_quick_run(demo, tmp_path_factory):
    """The run folder of `main_prob.py` with the options `QUICK`, for all; see `quick_run`."""

    def make(folder):
        from tests.helpers.script_tools import QUICK, run_here  # which imports this file

        process = run_here("main_prob.py", "--data_dir", demo, "--checkpoint", folder, *QUICK)
        assert process.returncode == 0, process.stderr

    return next(shared(tmp_path_factory, "quick_run", make).iterdir())


@pytest.fixture(scope="module")
def quick_run(shared_quick_run, tmp_path_factory):
    """A test file's own copy of a short training of `main_prob.py`, alone in its folder."""
    return shutil.copytree(shared_quick_run, tmp_path_factory.mktemp("prob") / shared_quick_run.name)
