"""MATLAB files, cut down to the variables that are wanted before scipy reads them.

scipy takes a tag's word for how much memory it needs and how deep cells lie in cells, and does not look at the check sums of
compressed variables. Format: MathWorks, "MAT-File Level 5 File Format".
"""

import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scipy.io

from common.errors import DuaError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _PLAIN = 1, (4, *range(6, 16))  # classes of arrays: text and numbers; not structures, objects and sparse matrices
_MAX_DEPTH = 3
_MAX_BYTES = 256 * 2**20
"""Of a variable, unpacked; the longest sequences of the field take 80 MB."""
_NAME_BYTES = 1024  # of a compressed variable in which its name is found


def load_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """{name: array} of those of `names` that a .mat file has, numbers or cells of numbers.

    Raises:
        DuaError: the file is of MATLAB 7.3 (or older than 5), which is not read.
        ValueError, zlib.error, struct.error and whatever scipy raises: it is damaged, or a variable is no numbers.
    """
    content = path.read_bytes()
    if b"\0" in content[:4] or content[124:126] in (b"\0\2", b"\2\0"):
        which = "MATLAB 4" if b"\0" in content[:4] else "MATLAB 7.3"
        raise DuaError(f"{path} was saved as {which}, which is not read; save it with '-v7', or get the original file")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it does not begin as a MATLAB file does")
    kept: dict[str, bytes] = {}
    place = _HEADER
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}2I", content, place)
        end = place + 8 + size
        if kind not in (_MATRIX, _COMPRESSED) or end > len(content):
            raise ValueError(f"a variable of {size} bytes in a file of {len(content)}")
        element = content[place:end] if kind == _MATRIX else _inflate(content[place + 8 : end], _NAME_BYTES, whole=False)
        name = _name(element, order)
        if name in kept:
            raise ValueError(f"it has two variables {name}")
        if name in names:
            kept[name] = element if kind == _MATRIX else _inflate(content[place + 8 : end], _MAX_BYTES)
            _check(kept[name], order, _MAX_DEPTH)
        place = end
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of what then fails or is checked by the caller
        loaded = scipy.io.loadmat(io.BytesIO(content[:_HEADER] + b"".join(kept.values())), variable_names=list(names))
    return {name: loaded[name] for name in kept}


def _inflate(data: bytes, most: int, whole: bool = True) -> bytes:
    """At most `most` bytes; if `whole`, all of them, and those that were packed."""
    inflater = zlib.decompressobj()
    result = inflater.decompress(data, most)
    if whole and not inflater.eof:
        raise ValueError(f"a variable is cut off, or unpacks to more than {most} bytes")
    return result


def _element(data: bytes, place: int, order: str) -> tuple[int, int, int]:
    """(first byte, byte after the last, the next element's place) of the data element at `place`."""
    kind, size = struct.unpack_from(f"{order}2I", data, place)
    first, following = place + 8, place + 8 + size + -size % 8
    if kind >> 16:  # a small element: its size shares four bytes with its type, its data lie in the next four
        size, first, following = kind >> 16, place + 4, place + 8
    if first + size > min(len(data), following):
        raise ValueError(f"an element of {size} bytes in a variable of {len(data)}")
    return first, first + size, following


def _parts(matrix: bytes, order: str) -> tuple[int, tuple[int, int], int]:
    """Class of a matrix (with its tag), where its name stands, and where its content begins."""
    kind, size = struct.unpack_from(f"{order}2I", matrix)
    if kind != _MATRIX or size + 8 != len(matrix):
        raise ValueError(f"a matrix of {size} bytes in {len(matrix) - 8}")
    flags, _, place = _element(matrix, 8, order)
    _, _, place = _element(matrix, place, order)  # dimensions
    first, end, place = _element(matrix, place, order)
    return struct.unpack_from(f"{order}I", matrix, flags)[0] & 0xFF, (first, end), place


def _name(element: bytes, order: str) -> str:
    """Of a variable, of which the first bytes are enough."""
    complete = struct.pack(f"{order}2I", _MATRIX, len(element) - 8) + element[8:]
    _, (first, end), _ = _parts(complete, order)
    return complete[first:end].decode("latin1")


def _check(matrix: bytes, order: str, depth: int) -> None:
    """Raise a ValueError if the matrix holds more or deeper than its bytes, or other things than numbers."""
    kind, _, place = _parts(matrix, order)
    if kind != _CELL and kind not in _PLAIN:
        raise ValueError(f"a variable is neither numbers nor text (class {kind})")
    if kind == _CELL and not depth:
        raise ValueError("cells lie too deep in cells")
    while place < len(matrix):
        first, end, following = _element(matrix, place, order)
        if kind == _CELL and end > first:
            _check(matrix[place:end], order, depth - 1)
        place = following
