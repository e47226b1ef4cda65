"""One process to a run folder: two that train in the same one would overwrite each other's checkpoints."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.compute.distributed import is_main
from common.errors import DuaError
from common.files.lock import try_lock

LOCK = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` while this is open. The system lets go of it with the process, `kill -9` included, so that a `.lock` that was
    left behind locks nothing. Of several processes that train one run together (`common.compute.distributed`), the first alone holds it.

    Where the file system has no locks, a warning is printed and the run goes on.

    Raises:
        DuaError: another process holds the folder (the message names it), or nothing can be written there.
    """
    if not is_main():
        yield
        return
    path = folder / LOCK
    descriptor = _open_locked(path)
    try:
        _sign(descriptor, path)
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)  # while it is locked: nobody else's can have this name
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(path, error) from error
        locked = try_lock(descriptor)
        if locked is False:
            holder = os.pread(descriptor, 1000, 0)
            os.close(descriptor)
            raise _held(path.parent, holder)
        if _is_at(descriptor, path):
            if locked is None:
                print(f"warning: {path.parent} cannot be locked; take care that no other run works in it", file=sys.stderr)
            return descriptor
        os.close(descriptor)  # its holder ended and deleted it between our opening and our lock


def _sign(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode(), 0)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> DuaError:
    return DuaError(f"cannot write {path}: {error.strerror or error}; a run needs to write into its folder, give it room there")


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _held(folder: Path, content: bytes) -> DuaError:
    try:
        holder = json.loads(content)
        process = f"process {int(holder['pid'])} on {holder['host']}"
    except (ValueError, KeyError, TypeError):  # it has locked, but not written yet
        process = "another process"
    return DuaError(
        f"{folder} is in use: {process} trains in it; wait until it ends or stop it, or start a new run without --resume"
    )
