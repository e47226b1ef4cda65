"""Writing files so that a reader never meets half of one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from common.errors import DuaError


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path`; on success flush it to the disk and rename it over `path`.

    A crash, Ctrl-C or a full disk leaves the previous `path` as it was and no temporary file that looks whole.

    Raises:
        DuaError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path  # a link to a larger disk stays one
    temporary: str | None = None
    foreign = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
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
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """`text` into `path`, whole or not at all (see `atomic_write`)."""
    with atomic_write(path) as file:
        file.write(text.encode())


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
