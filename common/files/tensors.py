"""Files of `torch.save`, looked through before torch reads them.

`torch.load(weights_only=True)` runs no code, but it reads the zip's bytes without regard to their check sums: a weight with a
flipped bit is a weight. It also takes compressed members, and a pickle's word for how deep it is. Files of the time before zips,
as most published weights are, have no check sums; they are read by a reader of our own, because torch's takes no pickles of Python 2.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from common.errors import DuaError
from common.files.pickles import Forbidden, RestrictedUnpickler
from common.files.zips import check_zip, read_member

_BEFORE_ZIPS = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of torch before 1.6 begin: a pickle of a number."""

_SCALAR: Any = np.float64().__reduce__()[0]
_SCALARS: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # numpy 1's name and numpy 2's
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
]
"""What numpy's numbers are made of, for torch; which of them a file makes is known by then."""


class NotPlain(DuaError):
    """A file holds more than tensors and plain containers."""


def load_tensors(path: Path) -> Any:
    """What `torch.save` wrote into `path`, on the CPU: tensors, numbers (numpy's as well), strings, plain containers.

    Raises:
        NotPlain: it holds anything else.
        DuaError: it is not whole: bytes differ from those that were written, or are not there.
    """
    try:
        if _is_before_zips(path):
            return _load_before_zips(path)
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path, stored=True)
            copy = _copied(archive)
            _look_through(archive, _Reader)
        with torch.serialization.safe_globals(_SCALARS):
            return torch.load(copy, map_location="cpu", weights_only=True)
    except DuaError:
        raise
    except Forbidden as error:
        raise NotPlain(
            f"{path} holds {ascii(str(error))[:80]}, which is neither a tensor nor a plain container, and was not loaded: such a "
            "file can run code. Get it from a source that you trust"
        ) from None
    except Exception as error:  # damage anywhere in a zip of pickles raises nearly anything
        raise DuaError(f"{path} cannot be read as a checkpoint: cut short, damaged, or not made by this project") from error


def outline(path: Path) -> Any:
    """The containers, strings and numbers of a file that holds more, with stand-ins for all else; None if it cannot be told."""
    try:
        if _is_before_zips(path):
            file = io.BytesIO(path.read_bytes())
            _skip_header(file)
            return _Outline(file, {}, "").load()
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path, stored=True)
            return _look_through(archive, _Outline)
    except Exception:  # as above; the file was refused already, only the message would have been better
        return None


def _copied(archive: zipfile.ZipFile) -> io.BytesIO:
    """The same members in an archive of our writing: torch's reader must not understand a damaged directory otherwise than Python's.

    Every byte is read once, and zipfile compares the check sums (CRC-32) at the members' ends.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as ours:
        for member in archive.infolist():
            ours.writestr(zipfile.ZipInfo(member.filename), read_member(archive, member.filename))
    copy.seek(0)
    return copy


def _look_through(archive: zipfile.ZipFile, reader: "type[_Reader]") -> Any:
    (name,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    return reader(io.BytesIO(read_member(archive, name)), sizes, name.removesuffix("data.pkl")).load()


class _Storage:
    """A type of storages: what `torch.FloatStorage` stands for."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype, self.itemsize = dtype, dtype.itemsize


_STORAGES = {
    "BoolStorage": torch.bool, "ByteStorage": torch.uint8, "CharStorage": torch.int8, "ShortStorage": torch.int16,
    "IntStorage": torch.int32, "LongStorage": torch.int64, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "UntypedStorage": torch.uint8,
}  # fmt: skip


class _Tensor:
    """What stands for a tensor, once its sizes are known to be no more than its storage has."""


def _rebuild_tensor(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    count = storage.numel() if isinstance(storage, Tensor) else storage
    if not (isinstance(count, int) and len(shape) == len(stride) and min((offset, *shape, *stride)) >= 0):
        raise ValueError("a tensor is pickled wrongly")
    # A stride of 0 makes one number a tensor of any size, which becomes real as soon as it is copied.
    if math.prod(shape) > count:
        raise ValueError(f"a tensor of shape {shape} has a storage of {count} numbers")
    return storage.as_strided(shape, stride, offset) if isinstance(storage, Tensor) else _Tensor()


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_ADMITTED = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,  # of torch before 0.4
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): _Storage(dtype) for name, dtype in _STORAGES.items()},
    ("torch.storage", "UntypedStorage"): _Storage(torch.uint8),
}


class _Reader(RestrictedUnpickler):
    """Goes through a checkpoint's pickle and makes nothing of it."""

    def __init__(self, file: io.BytesIO, sizes: dict[str, int], folder: str) -> None:
        super().__init__(file, encoding="latin1")  # Python 2 keeps numbers of numpy in strings
        self._sizes, self._folder = sizes, folder

    def find_class(self, module: str, name: str) -> Any:
        return _ADMITTED[module, name] if (module, name) in _ADMITTED else super().find_class(module, name)

    def load_build(self) -> None:
        """A state dict carries the versions of its modules as an attribute, which torch looks at; a dtype its byte order."""
        if isinstance(self.stack[-2], np.dtype):
            return super().load_build()
        if not isinstance(self.stack[-2], OrderedDict) or not isinstance(self.stack[-1], dict):
            raise Forbidden(f"state of a {type(self.stack[-2]).__name__}")
        self.stack.pop()

    dispatch: ClassVar[dict[int, Any]] = {**RestrictedUnpickler.dispatch, pickle.BUILD[0]: load_build}

    def persistent_load(self, saved: Any) -> int:
        """How many numbers a storage has; its member must hold just as many."""
        kind, storage, key, _location, count = saved
        member = f"{self._folder}data/{key}"
        if kind != "storage" or not isinstance(storage, _Storage) or self._sizes.get(member) != count * storage.itemsize:
            raise pickle.UnpicklingError(f"storage {key} is not as large as its tensors say")
        return int(count)


class _Anything:
    """Stands for an object, a class or a function that is not looked at."""

    def __new__(cls, *_: Any) -> "_Anything":
        return object.__new__(cls)


class _Outline(_Reader):
    """Goes through a pickle whatever it names, and calls nothing of it."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except Forbidden:
            return _Anything

    def load_build(self) -> None:
        """States are left away: a stand-in has none, and an array's is not looked at."""
        self.stack.pop()

    def persistent_load(self, saved: Any) -> int:
        return int(saved[4])

    dispatch: ClassVar[dict[int, Any]] = {**_Reader.dispatch, pickle.BUILD[0]: load_build}


class _BeforeZips(_Reader):
    """Makes the tensors of a file whose storages, still to be filled, come after the pickle."""

    def __init__(self, file: io.BytesIO, size: int) -> None:
        super().__init__(file, {}, "")
        self.storages: dict[str, Tensor] = {}
        self._left = size

    def persistent_load(self, saved: Any) -> Any:
        kind, storage, key, _location, count, view = saved
        if kind != "storage" or not isinstance(storage, _Storage) or view is not None:
            raise pickle.UnpicklingError("a storage of another kind than state dicts have")
        if key not in self.storages:
            self._left -= count * storage.itemsize
            if count < 0 or self._left < 0:
                raise pickle.UnpicklingError(f"storage {key} is larger than the file")
            self.storages[key] = torch.zeros(count, dtype=storage.dtype)
        return self.storages[key]


def _is_before_zips(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_BEFORE_ZIPS)) == _BEFORE_ZIPS


def _skip_header(file: io.BytesIO) -> None:
    """Past the number that says the format, its version, and the sizes of the writer's numbers."""
    for _ in range(3):
        RestrictedUnpickler(file, encoding="latin1").load()


def _load_before_zips(path: Path) -> Any:
    """A pickle, the names of its storages, then of each its length (int64) and its numbers; little-endian."""
    content = path.read_bytes()
    file = io.BytesIO(content)
    _skip_header(file)
    reader = _BeforeZips(file, len(content))
    loaded = reader.load()
    names = RestrictedUnpickler(file, encoding="latin1").load()
    if sorted(names) != sorted(reader.storages):
        raise ValueError("its list of storages is not that of its tensors")
    for name in names:
        storage = reader.storages[name]
        count = int.from_bytes(file.read(8), "little")
        data = bytearray(file.read(storage.numel() * storage.itemsize))
        if count != storage.numel() or len(data) != storage.numel() * storage.itemsize:
            raise ValueError(f"storage {name} is not as large as its tensors say")
        if count:
            storage.copy_(torch.frombuffer(data, dtype=storage.dtype))
    if file.read(1):
        raise ValueError("it goes on after its last storage")
    return loaded
