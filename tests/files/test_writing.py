"""Atomic writing: whatever goes wrong, the old file stays and nothing half-written is left."""

import errno
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest

import common.files.writing
from common.errors import DuaError
from common.files.writing import atomic_write, write_text

OLD = b"the old content"


@pytest.fixture
def target(tmp_path) -> Path:
    path = tmp_path / "run" / "ckpt.pth"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def assert_untouched(target: Path) -> None:
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]


def test_new_content_replaces_the_old(target):
    with atomic_write(target) as file:
        file.write(b"new")
        assert target.read_bytes() == OLD  # not before the end
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == [target.name]


def test_missing_folders_are_made(tmp_path):
    with atomic_write(tmp_path / "a" / "b" / "c.bin") as file:
        file.write(b"x")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"x"


def test_text_mode(tmp_path):
    with atomic_write(tmp_path / "log.txt", "w") as file:
        file.write("line\n")
    assert (tmp_path / "log.txt").read_text() == "line\n"


def test_write_text_is_utf8(tmp_path):
    write_text(str(tmp_path / "x.json"), "é ✓\n")
    assert (tmp_path / "x.json").read_bytes() == "é ✓\n".encode()


def test_path_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("x.txt", "x")
    assert os.listdir(tmp_path) == ["x.txt"]


def write_half_and_raise(path: Path, interruption: BaseException) -> None:
    with atomic_write(path) as file:
        file.write(b"half of the ne")
        raise interruption


@pytest.mark.parametrize("interruption", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_interruption_leaves_the_old_file(target, interruption):
    with pytest.raises(type(interruption)) as caught:
        write_half_and_raise(target, interruption)
    assert caught.value is interruption
    assert_untouched(target)


def test_interruption_of_a_first_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half_and_raise(tmp_path / "x.bin", KeyboardInterrupt())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("folder", ["regular_file", "regular_file/below"])
def test_folder_that_cannot_be_made(tmp_path, folder):
    (tmp_path / "regular_file").write_bytes(OLD)
    path = tmp_path / folder / "x.bin"
    with pytest.raises(DuaError, match="cannot write") as caught, atomic_write(path) as file:
        file.write(b"x")
    assert str(path) in str(caught.value)
    assert_untouched(tmp_path / "regular_file")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody can write to")
def test_folder_that_cannot_be_written():
    with pytest.raises(DuaError, match=r"/proc/self/x\.bin"), atomic_write("/proc/self/x.bin") as file:
        file.write(b"x")


def test_target_that_is_a_folder(tmp_path):
    (tmp_path / "x.bin").mkdir()
    with pytest.raises(DuaError, match="cannot write"), atomic_write(tmp_path / "x.bin") as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == ["x.bin"]


def test_name_that_is_too_long(tmp_path):
    with pytest.raises(DuaError, match="cannot write"), atomic_write(tmp_path / ("x" * 400)) as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == []


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_full_disk_at_the_end(target, monkeypatch, step):
    monkeypatch.setattr(common.files.writing.os, step, full_disk)
    with pytest.raises(DuaError, match="No space left on device") as caught, atomic_write(target) as file:
        file.write(b"new")
    assert str(target) in str(caught.value)
    assert "free some space" in str(caught.value)
    assert_untouched(target)


def test_full_disk_while_writing(target, monkeypatch):
    opened = os.fdopen

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        write = full_disk

    monkeypatch.setattr(common.files.writing.os, "fdopen", lambda *args: Full(opened(*args)))
    with pytest.raises(DuaError, match="No space left on device"), atomic_write(target) as file:
        file.write(b"new")
    assert_untouched(target)


@pytest.mark.parametrize("save", [np.save, np.savez, lambda file, array: file.write(array.tobytes())])
def test_system_that_takes_only_the_first_bytes(target, save):
    """No stand-in: the system itself refuses all that comes after 4 KiB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(DuaError, match="cannot write"), atomic_write(target) as file:
            save(file, np.arange(10000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_untouched(target)


def test_content_is_on_the_disk_before_the_name(target, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind}, {os.fstat(descriptor).st_size if kind == 'file' else ''}")
        fsync(descriptor)

    def noted_replace(source, destination):
        steps.append("rename")
        replace(source, destination)

    monkeypatch.setattr(common.files.writing.os, "fsync", noted_fsync)
    monkeypatch.setattr(common.files.writing.os, "replace", noted_replace)
    with atomic_write(target) as file:
        file.write(b"new")
    assert steps == ["sync file, 3", "rename", "sync folder, "]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_others_may_read_the_file_as_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "x.txt", "x")
        assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o666 & ~umask
    finally:
        assert os.umask(before) == umask  # and the umask is as it was


def test_a_link_stays_a_link(tmp_path):
    """Checkpoint folders are often links to a larger disk."""
    (tmp_path / "large_disk").mkdir()
    real, link = tmp_path / "large_disk" / "x.bin", tmp_path / "x.bin"
    real.write_bytes(OLD)
    link.symlink_to(real)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_another_files_fault_is_not_called_a_writing_fault(target, tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(target) as file:
        file.write((tmp_path / "elsewhere").read_bytes())
    assert_untouched(target)


def test_what_a_killed_writer_left_is_deleted_and_nothing_else(tmp_path):
    """Killed writers hold no locks any more; those of other machines cannot be known, nor are other programs' files ours."""
    drawn = "abcdefgh"
    mine, others = f".x.bin.{common.files.writing.HOST}{drawn}.part", [f".x.bin.00000000{drawn}.part", ".x.bin.part", "x.part"]
    for name in (mine, *others):
        (tmp_path / name).write_bytes(b"half")
    with atomic_write(tmp_path / "x.bin") as file:
        assert not (tmp_path / mine).exists()
        common.files.writing._delete_leftovers.__wrapped__(tmp_path)  # as another process that begins to write
        file.write(b"x")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "x.bin"])
    assert (tmp_path / "x.bin").read_bytes() == b"x"
