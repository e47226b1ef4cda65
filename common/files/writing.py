"""Writing files so that a reader never meets half of one."""

import os
import platform
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from common.errors import DuaError
from common.files.lock import try_lock

HOST = f"{zlib.crc32(platform.node().encode()):08x}"
"""This machine, in names of temporary files."""
_PART = re.compile(rf"\..+\.{HOST}[a-z0-9_]{{8}}\.part")
"""Names of its temporary files: hidden, the target's name, the machine, what `tempfile` draws. Those of other machines are let be:
on some network file systems their locks are not seen here."""


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path`; on success flush it to the disk and rename it over `path`.

    A crash, Ctrl-C or a full disk leaves the previous `path` as it was and no temporary file that looks whole. What a process
    that was killed left half-written (`.NAME.*.part`) is deleted by the next that writes into the folder.

    Raises:
        DuaError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path  # a link to a larger disk stays one
    temporary: str | None = None
    lock: int | None = None
    foreign = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(target.parent)
        descriptor, temporary = _locked_temporary(target)
        if os.name == "posix":
            lock = os.dup(descriptor)  # keeps the lock until the file has its name; elsewhere an open file cannot be renamed
        with os.fdopen(descriptor, mode) as file:
            try:
                yield file
            except OSError as error:
                foreign = error.filename is not None  # writing to an open file names none: the fault is another file's
                raise
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only the owner can read
        os.replace(temporary, target)
        temporary = None
        _fsync_folder(target.parent)
    except OSError as error:
        if foreign:
            raise
        raise DuaError(f"cannot write {path}: {error.strerror or error}; free some space or choose another folder") from error
    finally:
        if lock is not None:
            os.close(lock)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """`text` into `path`, whole or not at all (see `atomic_write`)."""
    with atomic_write(path) as file:
        file.write(text.encode())


def _locked_temporary(target: Path) -> tuple[int, str]:
    """(open descriptor, name) of a new file beside `target`; its lock tells `_delete_leftovers` that somebody writes it."""
    while True:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.{HOST}", suffix=".part", dir=target.parent)
        try_lock(descriptor)
        if os.path.exists(temporary):
            return descriptor, temporary
        os.close(descriptor)  # it was deleted between its making and its lock


@cache
def _delete_leftovers(folder: Path) -> None:
    """Delete temporary files whose writers were killed; once a process and folder, for this one leaves none while it lives."""
    for name in filter(_PART.fullmatch, os.listdir(folder)):
        try:
            descriptor = os.open(folder / name, os.O_RDWR)
        except OSError:  # another user's, or just renamed
            continue
        try:
            if try_lock(descriptor):
                (folder / name).unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _fsync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems that cannot sync a folder (some network ones) are let be."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
