"""Files that belong together, such as 3D poses and their projections: one set of them or another, never a mixture."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import DuaError
from common.files.lock import try_lock
from common.files.writing import HOST

_STAGING = f".new.{HOST}"


@contextmanager
def written_together(folder: str | Path) -> Iterator[Path]:
    """A hidden folder in `folder` to write files into; when the block ends well they all come to `folder`, .json first.

    Until then `folder` keeps the files that it has. Whoever is killed while they move leaves some missing, which a loader says,
    but none of an older set. Of two that write at once the last wins, with all of its files.

    Raises:
        DuaError: `folder` cannot be written.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):  # nobody may take the new folder for a leftover before it is locked
                _delete_leftovers(folder)
                staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
                stack.callback(shutil.rmtree, staging, ignore_errors=True)
                stack.enter_context(_locked(staging))  # says that somebody works in it
        except OSError as error:
            raise DuaError(f"cannot write into {folder}: {error.strerror or error}; choose another folder") from error
        yield staging
        _move_all(staging, folder)


def _move_all(staging: Path, folder: Path) -> None:
    paths = sorted(staging.iterdir(), key=lambda path: (path.suffix != ".json", path.name))
    try:
        with _locked(folder):
            for path in paths:
                (folder / path.name).unlink(missing_ok=True)
            for path in paths:
                os.replace(path, folder / path.name)
    except OSError as error:
        raise DuaError(f"cannot write into {folder}: {error.strerror or error}; choose another folder") from error


def _delete_leftovers(folder: Path) -> None:
    for path in folder.glob(f"{_STAGING}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # its maker has just deleted it
            continue
        try:
            if try_lock(descriptor):  # whoever made it was killed
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for a folder and hold it; where folders cannot be locked, nothing is."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        yield
        return
    try:
        while try_lock(descriptor) is False:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
