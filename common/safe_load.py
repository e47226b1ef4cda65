"""Reading .npz and .npy files whose arrays are Python pickles, without running anybody's code.

The field keeps `{subject: {action: array}}` dictionaries in numpy object arrays, which numpy can only unpickle with
`allow_pickle=True`: a file from the internet may then run any command. This reader imports nothing that a file names.
The few names that arrays, dictionaries, lists, strings and numbers need stand for functions of our own, because
numpy's own constructors trust their pickle: a forged dtype makes them read any bytes as pointers.
"""

import io
import math
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib import format as npy_format

from common.errors import DuaError

_MAX_BYTES = 64 * 2**30
"""No data set of the field is larger; a file that says it holds more is damaged or hostile."""

_PLAIN_DTYPE = re.compile(r"[<>=|]?[biufcSUO]\d{1,9}")


class _Forbidden(Exception):
    """A pickle names something that is neither an array nor a plain container."""


def _dtype(spec: str, align: Any = False, copy: Any = True) -> np.dtype:
    """A fresh dtype, so that the byte order that the pickle sets next changes no dtype that numpy shares."""
    if not _PLAIN_DTYPE.fullmatch(spec):
        raise _Forbidden(f"numpy.dtype {spec}")
    return np.dtype(spec, False, True)


def _reconstruct(*_: Any) -> np.ndarray:
    """The empty array that the pickle fills next (`_fill_array`)."""
    return np.ndarray((0,), np.int8)


def _scalar(dtype: np.dtype, data: Any = b"") -> Any:
    return _frombuffer(_as_bytes(data), dtype, (), "C")[()]


def _frombuffer(buffer: Any, dtype: np.dtype, shape: Any, order: str, axis_order: Any = None) -> np.ndarray:
    if dtype.hasobject or not isinstance(buffer, bytes | bytearray):
        raise ValueError("an array of bytes was expected")
    if order == "K":
        return np.ndarray(shape, dtype, bytearray(buffer)).transpose(axis_order)
    return np.ndarray(shape, dtype, bytearray(buffer), order="F" if order == "F" else "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 keeps bytes; Python offers encodings that take a file's word for more."""
    if encoding != "latin1":
        raise _Forbidden(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How protocol 2 keeps b''."""
    return b""


_ADMITTED = {
    ("numpy", "ndarray"): None,  # only ever an argument of `_reconstruct`
    ("numpy", "dtype"): _dtype,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}


def _set_byte_order(dtype: np.dtype, state: Any) -> None:
    """The one thing that a plain dtype's pickled state may say; fields and sizes of its own would forge a dtype."""
    _version, order, subarray, names, fields, *_ = state
    if (subarray, names, fields) != (None, None, None):
        raise _Forbidden("numpy.dtype with fields")
    dtype.__setstate__(dtype.newbyteorder(order).__reduce__()[2])  # type: ignore[attr-defined]


def _fill_array(array: np.ndarray, state: Any) -> None:
    """Fill what `_reconstruct` made, once: a second time would free memory that is in use."""
    _version, shape, dtype, fortran_order, data = state
    if array.size or not isinstance(dtype, np.dtype) or any(length < 0 for length in shape):
        raise ValueError("an array is pickled wrongly")
    if not dtype.hasobject:
        data = _as_bytes(data)
    elif type(data) is not list:
        raise ValueError("an array of objects holds no list")
    if len(data) != math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize):
        raise ValueError(f"an array of shape {shape} holds {len(data)} bytes or objects")
    array.__setstate__((1, shape, dtype, bool(fortran_order), data))  # type: ignore[arg-type]


def _as_bytes(data: Any) -> bytes:
    if isinstance(data, str):  # Python 2 pickled bytes as strings
        return data.encode("latin1")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    raise TypeError("bytes were expected")


class _RestrictedUnpickler(pickle._Unpickler):
    """The unpickler written in Python: the one written in C does not let the steps below be replaced."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Callable[[int], bytes]

    def find_class(self, module: str, name: str) -> Any:
        key = (module.replace("numpy.core.", "numpy._core.", 1), name)  # numpy 1's name for what numpy 2 keeps in _core
        if key not in _ADMITTED:
            raise _Forbidden(f"{module}.{name}")
        return _ADMITTED[key]

    def load_build(self) -> None:
        """Python's own hands the state to any object's `__setstate__` or attributes."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            _set_byte_order(target, state)
        elif isinstance(target, np.ndarray):
            _fill_array(target, state)
        else:
            raise _Forbidden(f"state of a {type(target).__name__}")

    def load_bytearray8(self) -> None:
        """Python's own asks for the memory before it looks whether the file is that long."""
        size = int.from_bytes(self.read(8), "little")
        self.stack.append(bytearray(self.read(size)))

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


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
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename.removesuffix(".npy"): _read_member(archive, member, path) for member in archive.infolist()}
    except DuaError:
        raise
    except Exception as error:  # a damaged zip raises nearly anything, from BadZipFile to zlib.error and struct.error
        raise DuaError(f"{path} is damaged or no .npz file ({_reason(error)}); get it again{_hint(made_by)}") from error


def load_npy(path: str | Path, made_by: str = "") -> Any:
    """The array, or the one pickled Python object, of an .npy file. Raises as `load_arrays`."""
    path = Path(path)
    require_file(path, made_by)
    try:
        with open(path, "rb") as file:
            return _read_npy(file, path.stat().st_size, path)
    except DuaError:
        raise
    except Exception as error:
        raise DuaError(f"{path} is damaged or no .npy file ({_reason(error)}); get it again{_hint(made_by)}") from error


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
    if size > _MAX_BYTES:
        raise ValueError(f"it says it holds {size} bytes")
    if dtype.hasobject:
        return _read_object(file, path)
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


def _read_object(file: Any, path: Path) -> Any:
    try:
        # latin1 is how numpy arrays pickled by Python 2 (Human3.6M's older files) keep their bytes
        loaded = _RestrictedUnpickler(io.BufferedReader(file), encoding="latin1").load()
    except _Forbidden as error:
        raise DuaError(
            f"{path} holds '{_printable(str(error))}', which is neither an array nor a plain container, and was not loaded: "
            "such a file can run code. Get it from a source that you trust"
        ) from None
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded


def _reason(error: Exception) -> str:
    return _printable(f"{type(error).__name__}: {error}")


def _printable(text: str) -> str:
    """One short line; the file may have chosen the words, so no terminal codes."""
    return ascii(text.splitlines()[0])[1:-1][:120]


def _hint(made_by: str) -> str:
    return f" or make it anew with: {made_by}" if made_by else ""
