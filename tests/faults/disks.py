"""Disks that are full or read-only: real ones where the tests may mount, else the system's answers put in its mouth."""

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

_SIZE = 8  # MB


class Disk:
    """A folder that can be filled up or made read-only.

    Args:
        mount: None if this process may not mount; then processes must call `before` of `hook` to meet the fault.
    """

    def __init__(self, folder, real):
        self.folder = folder
        folder.mkdir()
        self.real = real and os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", f"size={_SIZE}m", "tmpfs", folder)
        self.hook = {}

    def fill(self, leave):
        """Leave room for so many bytes."""
        if not self.real:
            self.hook = {"before": _no_space, "with_": (str(self.folder), leave)}
            return
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            free = shutil.disk_usage(self.folder).free
            filler.write(bytes(max(0, free - leave)))
        assert shutil.disk_usage(self.folder).free <= leave

    def protect(self):
        if self.real:
            assert _mount("-o", "remount,ro", self.folder)
        else:
            self.hook = {"before": _read_only, "with_": (str(self.folder),)}

    def mend(self):
        self.hook = {}
        if self.real:
            _mount("-o", "remount,rw", self.folder)
            (self.folder / "filler").unlink(missing_ok=True)

    def release(self):
        if self.real:
            subprocess.run(["umount", "-l", self.folder], check=True)


def _mount(*words):
    try:
        return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _no_space(folder, leave):
    """In a process: files below `folder` that are larger than `leave` cannot be brought to the disk."""
    fsync = os.fsync

    def refusing(descriptor):
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size > leave and _below(f"/proc/self/fd/{descriptor}", folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    os.fsync = refusing


def _read_only(folder):
    """In a process: nothing can be made below `folder`."""
    opened, mkdir = os.open, os.mkdir

    def refusing_open(path, flags, *arguments, **options):
        if flags & os.O_CREAT and _below(path, folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *arguments, **options)

    def refusing_mkdir(path, *arguments, **options):
        if _below(path, folder) and not os.path.exists(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        mkdir(path, *arguments, **options)

    os.open, os.mkdir = refusing_open, refusing_mkdir


def _below(path, folder):
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
