"""Shared by all tests: a tiny data set in the Human3.6M layout, and running a script as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.adaptation.converter import CHECK
from common.training.checkpoint import BEST, load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parent.parent


def run_script(*arguments, cwd=ROOT, **options):
    """`python ARGUMENTS` from the repository's root; returns the finished process with its text output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env=environment, **options)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo data, built small: one take of each clip by each subject."""
    out = tmp_path_factory.mktemp("demo")
    process = run_script("data/prepare_data_demo.py", "--out", out, "--takes", 1)
    assert process.returncode == 0, process.stderr
    return out


@pytest.fixture(scope="session")
def converter(demo, tmp_path_factory):
    """A run folder of `conversion.py --format h36m` on the demo, trained no longer than it takes to be one, but without the verdict
    that it deserves: every script that it is named to would warn of it."""
    out = tmp_path_factory.mktemp("converter")
    process = run_script(
        "conversion.py", "--data_dir", demo, "--checkpoint", out, "--device", "cpu", "--epochs", 1, "--batch_size", 256
    )
    assert process.returncode == 0, process.stderr
    run = next(out.iterdir())
    checkpoint = load_checkpoint(run / BEST)
    save_checkpoint(run / BEST, checkpoint | {CHECK: dict.fromkeys(checkpoint[CHECK], 0.0)})
    return run
