"""Reading .npz and .npy files whose arrays are Python pickles, without running anybody's code.

The field keeps `{subject: {action: array}}` dictionaries in numpy object arrays, which numpy can only unpickle with
`allow_pickle=True`: a file from the internet may then run any command. Here `common.files.pickles` reads them.
"""

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from common.errors import DuaError
from common.files.pickles import Forbidden, RestrictedUnpickler
from common.files.zips import MAX_BYTES, check_zip


def load_arrays(path: str | Path, made_by: str = "") -> dict[str, Any]:
    """Every entry of an .npz file; entries that hold one Python object come back as that object.

    Args:
        path: the file.
        made_by: the command that makes the file, named when it is missing.

    Raises:
        DuaError: the file is missing, cut, not an .npz, or holds a class that is no array or plain container.
    """
    path = Path(path)
    require_file(path, made_by)
    # A damaged zip raises nearly anything, from BadZipFile to zlib.error and struct.error.
    with _damage_told(path, ".npz file", made_by), zipfile.ZipFile(path) as archive:
        check_zip(archive, path)
        return {member.filename.removesuffix(".npy"): _read_member(archive, member, path) for member in archive.infolist()}


def load_npy(path: str | Path, made_by: str = "") -> Any:
    """The array, or the one pickled Python object, of an .npy file. Raises as `load_arrays`."""
    path = Path(path)
    require_file(path, made_by)
    with _damage_told(path, ".npy file", made_by), open(path, "rb") as file:
        return _read_npy(file, path.stat().st_size, path)


def load_pickle(path: str | Path, unpickler: type[RestrictedUnpickler] = RestrictedUnpickler) -> Any:
    """The object of a file that is one pickle, read by an `unpickler` that runs nothing. Raises as `load_arrays`."""
    path = Path(path)
    require_file(path)
    with _damage_told(path, "pickle"), open(path, "rb", buffering=0) as file:
        return _read_object(file, path.stat().st_size, path, unpickler)


@contextmanager
def _damage_told(path: Path, kind: str, made_by: str = "") -> Iterator[None]:
    """Whatever a damaged file makes Python raise becomes one line about it."""
    try:
        yield
    except DuaError:
        raise
    except Exception as error:
        raise DuaError(f"{path} is damaged or no {kind} ({_reason(error)}); get it again{_hint(made_by)}") from error


def require_file(path: Path, made_by: str = "") -> None:
    """Raise a `DuaError` that says how to get `path` if it is not there."""
    if os.path.isdir(path):
        raise DuaError(f"{path} is a folder, a file was expected")
    if not os.path.exists(path):  # unlike Path.exists, False rather than an error for a name that cannot be
        raise DuaError(f"{path} does not exist" + (f"; make it with: {made_by}" if made_by else "; check the path"))


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Any:
    with archive.open(member) as file:
        return _read_npy(file, member.file_size, path)


def _read_npy(file: Any, size: int, path: Path) -> Any:
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"unknown .npy version {version}")
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(file)
    if size > MAX_BYTES:
        raise ValueError(f"it says it holds {size} bytes")
    if dtype.hasobject:
        return _read_object(file, size, path)
    wanted = math.prod(shape) * dtype.itemsize
    # Compare with what the container says it holds, before any memory is asked for.
    if not 0 <= wanted <= size:
        raise ValueError(f"its header asks for {wanted} bytes, the file holds {size}")
    data = bytearray()
    while len(data) < wanted:  # piece by piece: the container may lie too
        piece = file.read(min(wanted - len(data), 2**24))
        if not piece:
            raise ValueError("it ends too early")
        data += piece
    return np.ndarray(shape, dtype, data, order="F" if fortran_order else "C")


class _Bounded:
    """A file of so many bytes: Python asks for the memory of a string before it looks whether the file is that long."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left = file, size
        self.readline = file.readline

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise EOFError(f"{size} bytes were expected, there are at most {self._left}")
        self._left -= size
        return self._file.read(size)


def _read_object(file: Any, size: int, path: Path, unpickler: type[RestrictedUnpickler] = RestrictedUnpickler) -> Any:
    buffered = io.BufferedReader(file)
    try:
        # latin1 is how numpy arrays pickled by Python 2 (Human3.6M's older files) keep their bytes
        loaded = unpickler(_Bounded(buffered, size), encoding="latin1").load()
    except Forbidden as error:
        raise DuaError(
            f"{path} holds '{_printable(str(error))}', which is neither an array nor a plain container, and was not loaded: "
            "such a file can run code. Get it from a source that you trust"
        ) from None
    finally:
        buffered.detach()  # the file is its opener's to close
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded


def _reason(error: Exception) -> str:
    return _printable(f"{type(error).__name__}: {error}")


def _printable(text: str) -> str:
    """One short line; the file may have chosen the words, so no terminal codes."""
    return ascii(text.splitlines()[0])[1:-1][:120]


def _hint(made_by: str) -> str:
    return f" or make it anew with: {made_by}" if made_by else ""
