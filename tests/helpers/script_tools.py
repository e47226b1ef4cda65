"""Running the scripts in tests as their users do, and judging what they leave and say."""

import io
import os
import runpy
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from unittest import mock

import numpy as np
import torch
from PIL import Image

from common.compute.distributed import main_only
from common.files.arrays import load_arrays
from common.training.checkpoint import load_checkpoint
from tests.conftest import ROOT, run_script  # noqa: F401 (some tests take it from here)

SMALL = ("--hid_dim", 32, "--device", "cpu", "--batch_size", 128)
QUICK = ("--hid_dim", 16, "--device", "cpu", "--batch_size", 64, "--epochs", 1, "--limit_batches", 3, "--downsample", 3)
"""A run that is over before anything is learnt, for what does not depend on that."""


def run_here(script, *arguments, curves=False):
    """`python SCRIPT ARGUMENTS` without a process of its own, which spares the imports; returns what `run_script` does.

    Without `curves` a training leaves an empty picture for curves.png: to draw it takes longer than the rest of a run of `QUICK`.
    """
    with nullcontext() if curves else mock.patch("common.training.loop.plot_curves", leave_empty_curves):
        return _run_here(script, *arguments)


@main_only
def leave_empty_curves(folder, history):
    """In place of `common.training.run_log.plot_curves`, which tests/training/test_run_log.py is for."""
    Image.new("L", (1, 1)).save(folder / "curves.png")


def _run_here(script, *arguments):
    output, errors, code = io.StringIO(), io.StringIO(), 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as `run_script`, so that both give the same bits
    try:
        with mock.patch.object(sys, "argv", [script, *map(str, arguments)]), redirect_stdout(output), redirect_stderr(errors):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)  # hypothesis wants every float
    return subprocess.CompletedProcess([script, *arguments], code, output.getvalue(), errors.getvalue())


def trained(folder, process):
    """(run folder, process) of a training run that must have gone well."""
    assert process.returncode == 0, process.stdout + process.stderr
    return only_run(folder), process


def start(script, *arguments):
    """A run in the background."""
    command = [sys.executable, script, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def only_run(folder):
    runs = [path for path in folder.iterdir() if path.is_dir()]
    assert len(runs) == 1, runs
    return runs[0]


def weights(path):
    checkpoint = load_checkpoint(path)
    return {f"{role}.{name}": tensor for role, state in checkpoint["weights"].items() for name, tensor in state.items()}


def assert_same_bits(a, b):
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert load_checkpoint(a)["calibration"] == load_checkpoint(b)["calibration"]
    one, two = load_checkpoint(a)["training"], load_checkpoint(b)["training"]
    for row, other in zip(one["history"], two["history"], strict=True):
        assert {k: v for k, v in row.items() if k != "poses_per_s"} == {k: v for k, v in other.items() if k != "poses_per_s"}


def assert_one_line(process, *words):
    assert process.returncode == 2, process.stdout + process.stderr
    lines = [line for line in process.stderr.strip().splitlines() if line.strip()]
    assert len(lines) == 1, process.stderr
    for word in words:
        assert word in lines[0], lines[0]


def attempt(tmp_path, script, *arguments):
    """A run that is to be refused before it begins."""
    process = run_here(script, "--checkpoint", tmp_path / "runs", *arguments)
    assert not (tmp_path / "runs").exists(), "a run folder was made for a run that never began"
    return process


def assert_resumes_to_the_same_bits(script, run, snapshot, tmp_path):
    """Going on from an earlier checkpoint ends where the run that was never stopped ended."""
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(run / snapshot, copy / "snapshot.pth.tar")
    process = run_here(script, "--resume", copy / "snapshot.pth.tar")
    assert process.returncode == 0, process.stderr
    assert_same_bits(run / "ckpt_last.pth.tar", copy / "ckpt_last.pth.tar")
    began_with, kept = (load_checkpoint(folder / "ckpt_last.pth.tar")["command"] for folder in (run, copy))
    assert kept == began_with
    assert "--resume" not in kept
    return process


def copy_data(demo, folder, *left_out):
    """A data folder with the demo's files, as links, but those that are named."""
    folder.mkdir(exist_ok=True)
    for path in demo.iterdir():
        if path.name not in left_out:
            (folder / path.name).symlink_to(path)
    return folder


def change_positions(demo, folder, name, change):
    """A data folder as the demo's, in which `change` has worked on the {subject: {action: array}} of one .npz file."""
    arrays = load_arrays(demo / name)
    key = next(key for key in arrays if key.startswith("positions"))
    change(arrays[key])
    copy_data(demo, folder, name)
    np.savez(folder / name, **{key: np.array(value, dtype=object) for key, value in arrays.items()})
    return folder


def copy_repository(folder):
    """What a fresh clone holds, but no data: for tests of what is looked for and written beside the scripts."""
    for pattern in ("*.py", "common/**/*.py", "models/*.py", "data/*.py"):
        for path in ROOT.glob(pattern):
            place = folder / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return folder
