"""HDF5 files from anywhere: what they point to and ask for is looked at before their data are read.

What the field's files may hold: data sets of numbers and names that lie in the file itself, as long as they say, packed by
HDF5's own filters. HDF5's library never returns from some damaged files and crashes on others, where Python could tell nothing
any more: so a process of its own opens each file first.
"""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py

from common.errors import DuaError
from common.files.apart import run_apart
from common.files.zips import MOST_RATIO

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
"""Others are plugins: libraries that HDF5 would load because a file names them."""

_FREE = 2**20
_MAX_CHUNK = 64 * 2**20  # bytes; HDF5 takes the memory of a whole chunk to read one number of it
_MAX_NAMES = 10_000
_PROBED = 16 * 2**20  # bytes of a data set that the other process reads; of larger ones it reads the index alone

_READ_THROUGH: set[tuple[int, ...]] = set()
"""Files that another process has read to their end, as they were then: a script opens one some times."""


@contextmanager
def open_h5(source: Path | bytes, where: str) -> Iterator[h5py.File]:
    """An HDF5 file to read, or one that is in memory, once it is known to hold what it says.

    Only its root's entries are looked at: nothing below is ever read.

    Raises:
        DuaError: an entry is a link, a virtual data set, kept in another file, packed by a plugin, or larger than what is stored.
        OSError: the file is damaged or no HDF5 file; reading its data may raise that, RuntimeError and KeyError as well.
    """
    _probe(source, where)
    with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
        try:
            _check(file, where)
            dict(file.attrs)  # may be of any damaged kind
        except (DuaError, OSError):
            raise
        except Exception as error:  # names that are no text, numbers of 23 bits, ...
            raise OSError(str(error)) from error
        yield file


def _check(file: h5py.File, where: str) -> None:
    if len(file) > _MAX_NAMES:
        raise DuaError(f"{where} holds {len(file)} entries, a few were expected; get it again")
    for name in file:
        link = file.get(name, getlink=True)
        problem = "is a link" if not isinstance(link, h5py.HardLink) else _problem(file[name])
        if problem:
            raise DuaError(
                f"{where}: {ascii(name)[:60]} {problem}; the file is damaged or hostile, get it from a source that you trust"
            )


def _problem(entry: h5py.Dataset | h5py.Group | h5py.Datatype) -> str | None:
    if not isinstance(entry, h5py.Dataset):
        return None
    if entry.is_virtual or entry.external:
        return "lies in another file"
    layout = entry.id.get_create_plist()
    filters = {layout.get_filter(i)[0] for i in range(layout.get_nfilters())}
    if unknown := filters - _FILTERS:
        return f"is packed by a plugin (HDF5 filter {min(unknown)})"
    size, stored = math.prod(entry.shape or (0,)) * entry.dtype.itemsize, entry.id.get_storage_size()
    if size > (MOST_RATIO * stored + _FREE if h5py.h5z.FILTER_DEFLATE in filters else stored):
        return f"says that it holds {size} bytes, of which {stored} are there"
    chunk = math.prod(entry.chunks or (0,)) * entry.dtype.itemsize
    if chunk > _MAX_CHUNK:
        return f"comes in pieces of {chunk} bytes"
    if entry.dtype.kind not in "fiuS" and h5py.check_string_dtype(entry.dtype) is None:
        return f"holds neither numbers nor names (type {entry.dtype})"
    return None


def _probe(source: Path | bytes, where: str) -> None:
    """Raise an OSError if reading the file through is not possible."""
    if isinstance(source, bytes) and b"GCOL" not in source:  # text of any length is where HDF5 loses itself
        return
    state = None
    if isinstance(source, Path):
        found = os.stat(source)
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if state in _READ_THROUGH:
            return
    run_apart(partial(_read_through, source, where))
    if state is not None:
        _READ_THROUGH.add(state)


def _read_through(source: Path | bytes, where: str) -> None:
    with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
        dict(file.attrs)
        _check(file, where)
        for name in file:
            if isinstance(file[name], h5py.Dataset) and file[name].nbytes <= _PROBED:
                file[name][()]
