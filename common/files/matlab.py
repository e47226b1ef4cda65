"""Numbers out of MATLAB files (MathWorks, "MAT-File Level 5 File Format").

Not by scipy: on damaged bytes its reader crashes the process, it takes a tag's word for how much memory it needs, and it does
not look at the check sums of compressed variables.
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of elements that hold numbers; a matrix of doubles may be stored in fewer bytes."""
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _TEXT = 1, 4
_COMPLEX = 0x800  # a flag
_MAX_DEPTH = 3  # of cells in cells
_MAX_AXES = 8
_MAX_BYTES = 128 * 2**20
"""Of a variable, unpacked; the longest sequences of the field take 80 MB."""
_NAME_BYTES = 1024  # of a compressed variable, in which its name is found


def load_mat(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """{name: array} of those of `names` that a .mat file has: numbers, cells (of dtype object) of numbers, or text.

    Raises:
        NotImplementedError: the file is of MATLAB 7.3, which is HDF5.
        ValueError, zlib.error, struct.error: it is damaged, of MATLAB 4, or a variable is none of these.
    """
    content = path.read_bytes()
    if content[124:126] in (b"\0\2", b"\2\0"):
        raise NotImplementedError("it was saved as MATLAB 7.3, which is not read")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it does not begin as a file of MATLAB 5 to 7 does")
    found: dict[str, np.ndarray] = {}
    seen: set[str] = set()
    place = _HEADER
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}2I", content, place)
        first, place = place + 8, place + 8 + size
        if kind not in (_MATRIX, _COMPRESSED) or place > len(content):
            raise ValueError(f"a variable of {size} bytes in a file of {len(content)}")
        packed = content[first:place] if kind == _COMPRESSED else None
        start = content[first - 8 : place] if packed is None else _inflate(packed, _NAME_BYTES, whole=False)
        name = _Matrix(start, order, whole=packed is None).name
        if name in seen:
            raise ValueError(f"it has two variables {name}")
        seen.add(name)
        if name in names:
            found[name] = _Matrix(start if packed is None else _inflate(packed, _MAX_BYTES), order).array(_MAX_DEPTH)
    return found


def _inflate(data: bytes, most: int, whole: bool = True) -> bytes:
    """At most `most` bytes; if `whole`, all of them, and those that were packed (they carry a check sum)."""
    inflater = zlib.decompressobj()
    result = inflater.decompress(data, most)
    if whole and not inflater.eof:
        raise ValueError(f"a variable is cut off, or unpacks to more than {most} bytes")
    return result


class _Matrix:
    """An element that holds an array: its tag, then elements with its flags, dimensions, name and content.

    Args:
        data: the element.
        whole: whether all of it is there; if not, only its name may be asked for.
    """

    def __init__(self, data: bytes, order: str, whole: bool = True) -> None:
        self._data, self._order = data, order
        kind, size = struct.unpack_from(f"{order}2I", data)
        if kind != _MATRIX or (whole and size + 8 != len(data)):
            raise ValueError(f"an array of {size} bytes in {len(data) - 8}")
        _, flags, place = self._element(8)
        _, self._dimensions, place = self._element(place)
        _, name, self._content = self._element(place)
        self._flags = struct.unpack_from(f"{order}I", flags)[0]
        self.name = name.decode("latin1")

    def _element(self, place: int) -> tuple[int, bytes, int]:
        """(type, data, the next element's place); a small element keeps its size beside its type, and its data in four bytes."""
        kind, size = struct.unpack_from(f"{self._order}2I", self._data, place)
        first, following = place + 8, place + 8 + size + -size % 8
        if kind >> 16:
            kind, size, first, following = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        if first + size > min(len(self._data), following):
            raise ValueError(f"an element of {size} bytes in an array of {len(self._data)}")
        return kind, self._data[first : first + size], following

    def array(self, depth: int) -> np.ndarray:
        """The array; cells in it may lie `depth` deep."""
        kind = self._flags & 0xFF
        shape = np.frombuffer(self._dimensions, f"{self._order}i4").tolist()
        if not 2 <= len(shape) <= _MAX_AXES or min(shape) < 0:
            raise ValueError(f"an array of shape {shape[:_MAX_AXES]}")
        if kind == _CELL and depth:
            values: Any = np.array([*self._cells(depth - 1), None], dtype=object)[:-1]  # None keeps equal shapes from merging
        elif kind == _TEXT:
            return np.array("text")
        elif kind in _CLASSES and not self._flags & _COMPLEX:
            stored, data, _ = self._element(self._content)
            if stored not in _STORED:
                raise ValueError(f"numbers of type {stored}")
            values = np.frombuffer(data, self._order + _STORED[stored]).astype(_CLASSES[kind])
        else:
            raise ValueError(f"a variable is neither real numbers nor cells of them (class {kind})")
        return values.reshape(shape, order="F")

    def _cells(self, depth: int) -> list[np.ndarray]:
        cells, place = [], self._content
        while place < len(self._data):
            _, _, following = self._element(place)
            cells.append(_Matrix(self._data[place:following], self._order).array(depth))
            place = following
        return cells
