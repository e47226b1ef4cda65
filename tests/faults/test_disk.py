"""Full and read-only disks: one line, exit code 2, and what was there before is as it was."""

import shutil

import pytest

from common.training.checkpoint import load_checkpoint
from tests.faults.disks import Disk
from tests.faults.forks import run
from tests.helpers.script_tools import QUICK, assert_one_line, only_run
from tests.helpers.surreal_files import write_tree


@pytest.fixture(scope="module")
def trained(demo, tmp_path_factory):
    """A run of one epoch; its checkpoints are larger than 30 kB, its other files smaller."""
    base = tmp_path_factory.mktemp("trained")
    process = run(base / "log", "main_prob.py", "--data_dir", demo, "--checkpoint", base / "runs", *QUICK)
    assert process.returncode == 0, process.stderr
    return only_run(base / "runs")


@pytest.fixture
def disk(tmp_path, request):
    disk = Disk(tmp_path / "disk", real=getattr(request, "param", "real") == "real")
    yield disk
    disk.release()


def contents(folder):
    """Of all files, hidden ones included, but the one that fills the disk."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "filler"}


@pytest.mark.parametrize("disk", ["real", "pretended"], indirect=True)
def test_a_checkpoint_that_finds_no_room(trained, disk, tmp_path):
    folder = disk.folder / "run"
    shutil.copytree(trained, folder)
    before = contents(folder)
    disk.fill(leave=30_000)
    resume = ("main_prob.py", "--resume", folder, "--epochs", 2)
    process = run(tmp_path / "log", *resume, **disk.hook)
    assert_one_line(process, f"cannot write {folder}/ckpt_", "No space left on device", "free some space")
    after = contents(folder)
    for name in ("ckpt_best.pth.tar", "ckpt_last.pth.tar", "log.csv"):
        assert after[str(folder / name)] == before[str(folder / name)]
    assert after.keys() <= before.keys()
    disk.mend()
    process = run(tmp_path / "log", *resume)
    assert process.returncode == 0, process.stderr
    assert load_checkpoint(folder / "ckpt_last.pth.tar")["training"]["epoch"] == 2


@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize("kind", ["training", "resuming", "demo", "surreal", "evaluation", "gif", "mp4"])
def test_a_full_or_read_only_disk(trained, demo, disk, tmp_path, kind, fault):
    out = disk.folder
    clip = ("--data_dir", demo, "--viz_subject", "S11", "--viz_action", "Kick", "--viz_limit", 3, "--viz_size", 1)
    viz = ("viz.py", "--evaluate", trained, "--device", "cpu", *clip, "--viz_output")
    command = {
        "training": ("main_prob.py", "--data_dir", demo, *QUICK, "--checkpoint", out / "runs"),
        "resuming": ("main_prob.py", "--resume", out / "run", "--epochs", 2),
        "demo": ("data/prepare_data_demo.py", "--takes", 1, "--out", out),
        "surreal": ("data/prepare_data_surreal.py", "--from-surreal", tmp_path, "--overwrite", "--workers", 1, "--out", out),
        "evaluation": ("evaluate.py", trained, "--data_dir", demo, "--device", "cpu", "--out", out / "table"),
        "gif": (*viz, out / "kick.gif"),
        "mp4": (*viz, out / "kick.mp4"),
    }[kind]
    if kind == "surreal":
        write_tree(tmp_path)
    if kind == "resuming":
        shutil.copytree(trained, out / "run")
    for name in ("data_3d_h36m.npz", "surreal_train.h5", "table.csv", "kick.gif", "kick.mp4"):
        (out / name).write_text("as it was")
    before = contents(out)
    disk.fill(leave=0) if fault == "full" else disk.protect()
    process = run(tmp_path / "log", *command, **disk.hook)
    assert_one_line(process, str(out), "No space left on device" if fault == "full" else "")
    assert contents(out) == before


def test_a_checkpoint_on_a_read_only_disk_can_be_evaluated(trained, disk, tmp_path):
    shutil.copytree(trained, disk.folder / "run")
    disk.protect()
    process = run(tmp_path / "log", "main_prob.py", "--evaluate", disk.folder / "run", **disk.hook)
    assert process.returncode == 0, process.stderr
    assert "results were not kept" in process.stderr
    assert "MPJPE" in process.stdout


def test_a_report_that_finds_no_room_is_not_passed_over(trained, disk, tmp_path):
    """A run without results.json must not end as if all were well; resumed, it has only the report left to do."""
    shutil.copytree(trained, disk.folder / "run", ignore=shutil.ignore_patterns("results.json"))
    resume = ("main_prob.py", "--resume", disk.folder / "run")
    process = run(tmp_path / "log", *resume, before=_no_results)
    assert_one_line(process, "results.json", "No space left on device")
    assert run(tmp_path / "log", *resume).returncode == 0
    assert (disk.folder / "run" / "results.json").exists()


def _no_results():
    import errno
    import os

    replace = os.replace

    def refusing(source, target):
        if str(target).endswith("results.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    os.replace = refusing
