"""Pickles of arrays and plain containers, read without running anybody's code.

This reader imports nothing that a pickle names. The few names that arrays, dictionaries, lists, strings and numbers need stand
for functions of our own, because numpy's own constructors trust their pickle: a forged dtype makes them read any bytes as
pointers. What comes out is no larger than it looks: lists that hold lists that hold lists many times over are refused.
"""

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

_PLAIN_DTYPE = re.compile(r"[<>=|]?[biufcSUO]\d{1,9}")
_PLAIN_KEYS = (str, bytes, int, float, bool, type(None), np.generic)

MAX_STEPS = 5_000_000
"""Of one pickle; each makes at most one object of some 100 bytes. Human3.6M takes 30,000, an hour of Detectron2's detections 3 million."""
_MAX_DEPTH = 50
_MAX_OBJECTS = 50_000_000  # counted as if none were shared
_MAX_BITS = 128  # of a whole number


class Forbidden(Exception):
    """A pickle names something that is neither an array nor a plain container."""


def _dtype(spec: str, align: Any = False, copy: Any = True) -> np.dtype:
    """A fresh dtype, so that the byte order that the pickle sets next changes no dtype that numpy shares."""
    if not _PLAIN_DTYPE.fullmatch(spec):
        raise Forbidden(f"numpy.dtype {spec}")
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
        raise Forbidden(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    """Python 2 hands over all pairs at once."""
    pairs = [(key, value) for key, value in pairs]
    _check_keys([key for key, _ in pairs])
    return OrderedDict(pairs)


def _no_bytes() -> bytes:
    """How protocol 2 keeps b''."""
    return b""


_ADMITTED = {
    ("numpy", "ndarray"): None,  # only ever an argument of `_reconstruct`
    ("numpy", "dtype"): _dtype,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("collections", "OrderedDict"): _ordered_dict,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}


def _set_byte_order(dtype: np.dtype, state: Any) -> None:
    """The one thing that a plain dtype's pickled state may say; fields and sizes of its own would forge a dtype."""
    _version, order, subarray, names, fields, *_ = state
    if (subarray, names, fields) != (None, None, None):
        raise Forbidden("numpy.dtype with fields")
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


class RestrictedUnpickler(pickle._Unpickler):
    """The unpickler written in Python: the one written in C does not let the steps below be replaced."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Callable[[int], bytes]

    def load(self) -> Any:
        """What the pickle holds, once it is known to be as small as its bytes make it look."""
        self.dispatch = _Counted(type(self).dispatch)  # type: ignore[misc]
        loaded = super().load()
        _check_size(loaded)
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        key = (module.replace("numpy.core.", "numpy._core.", 1), name)  # numpy 1's name for what numpy 2 keeps in _core
        if key not in _ADMITTED:
            raise Forbidden(f"{module}.{name}")
        return _ADMITTED[key]

    def load_build(self) -> None:
        """Python's own hands the state to any object's `__setstate__` or attributes."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            _set_byte_order(target, state)
        elif isinstance(target, np.ndarray):
            _fill_array(target, state)
        else:
            raise Forbidden(f"state of a {type(target).__name__}")

    def load_bytearray8(self) -> None:
        """Python's own asks for the memory before it looks whether the file is that long."""
        size = int.from_bytes(self.read(8), "little")
        self.stack.append(bytearray(self.read(size)))

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        pickle._Unpickler.load_setitem(self)  # type: ignore[attr-defined]

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])  # since the last mark
        pickle._Unpickler.load_setitems(self)  # type: ignore[attr-defined]

    def load_dict(self) -> None:
        _check_keys(self.stack[::2])
        pickle._Unpickler.load_dict(self)  # type: ignore[attr-defined]

    def load_set(self) -> None:
        """Sets hash what they hold, as keys are."""
        raise Forbidden("set")

    dispatch[pickle.EMPTY_SET[0]] = dispatch[pickle.FROZENSET[0]] = load_set
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict


class _Counted(dict[int, Any]):
    """The unpickler's steps, of which each file has so many."""

    left = MAX_STEPS

    def __getitem__(self, opcode: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it takes more than {MAX_STEPS} steps")
        return super().__getitem__(opcode)


def _check_keys(keys: list[Any]) -> None:
    """A key is hashed at once, and hashing tuples in tuples a million deep overruns the stack."""
    for key in keys:
        if not (isinstance(key, _PLAIN_KEYS) or (type(key) is tuple and all(isinstance(part, _PLAIN_KEYS) for part in key))):
            raise ValueError(f"a {type(key).__name__} is a key of a dictionary")


def _check_size(loaded: Any) -> None:
    """Refuse depth and repetition that would overrun stack or memory as soon as somebody walks through, and giant numbers."""
    sizes: dict[int, int] = {}  # objects in it, by identity; 0 while it is being counted
    todo: list[tuple[Any, bool]] = [(loaded, False)]
    depth = 0
    while todo:
        value, done = todo.pop()
        parts = _parts(value)
        if parts is None:
            continue
        if done:
            depth -= 1
            sizes[id(value)] = total = 1 + sum(sizes.get(id(part), 1) for part in parts)
            if total > _MAX_OBJECTS:
                raise ValueError(f"it unfolds to more than {_MAX_OBJECTS} objects")
        elif id(value) not in sizes:
            depth += 1
            if depth > _MAX_DEPTH:
                raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
            sizes[id(value)] = 0
            todo.append((value, True))
            todo.extend((part, False) for part in parts)
        elif not sizes[id(value)]:
            raise ValueError("it contains itself")


def _parts(value: Any) -> list[Any] | None:
    """What a container holds, None of all else."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, np.ndarray):
        return value.ravel().tolist() if value.dtype.hasobject and not value.dtype.names else None
    if isinstance(value, list | tuple):
        return list(value)
    if type(value) is int and value.bit_length() > _MAX_BITS:  # Python prints no number of thousands of digits
        raise ValueError(f"it holds a whole number of {value.bit_length()} bits")
    return None
