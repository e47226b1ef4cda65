"""Files of `torch.save`, looked through before torch reads them.

`torch.load(weights_only=True)` runs no code, but it reads the zip's bytes without regard to their check sums: a weight with a
flipped bit is a weight. It also takes older formats than the zip, compressed members, and a pickle's word for how deep it is.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import torch

from common.errors import DuaError
from common.files.pickles import Forbidden, RestrictedUnpickler
from common.files.zips import check_zip, read_member


def load_tensors(path: Path) -> Any:
    """What `torch.save` wrote into `path`, on the CPU.

    Raises:
        DuaError: it is not whole: bytes differ from those that were written, or are not there; or it holds more than tensors
            and plain containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path, stored=True)
            copy = _copied(archive)
            _look_through(archive)
        return torch.load(copy, map_location="cpu", weights_only=True)
    except DuaError:
        raise
    except Forbidden as error:
        raise DuaError(
            f"{path} holds {ascii(str(error))[:80]}, which is neither a tensor nor a plain container, and was not loaded: such a "
            "file can run code. Get it from a source that you trust"
        ) from None
    except Exception as error:  # damage anywhere in a zip of pickles raises nearly anything
        raise DuaError(f"{path} cannot be read as a checkpoint: cut short, damaged, or not made by this project") from error


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


def _look_through(archive: zipfile.ZipFile) -> None:
    (name,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    _Reader(io.BytesIO(read_member(archive, name)), sizes, name.removesuffix("data.pkl")).load()


class _Storage:
    """A type of storages: what `torch.FloatStorage` stands for."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.itemsize = dtype.itemsize


_STORAGES = {
    "BoolStorage": torch.bool, "ByteStorage": torch.uint8, "CharStorage": torch.int8, "ShortStorage": torch.int16,
    "IntStorage": torch.int32, "LongStorage": torch.int64, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "UntypedStorage": torch.uint8,
}  # fmt: skip


class _Tensor:
    """What stands for a tensor, once its sizes are known to be no more than its storage has."""


def _rebuild_tensor(storage: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    if not (isinstance(storage, int) and len(shape) == len(stride) and min((offset, *shape, *stride)) >= 0):
        raise ValueError("a tensor is pickled wrongly")
    # A stride of 0 makes one number a tensor of any size, which becomes real as soon as it is copied.
    if math.prod(shape) > storage:
        raise ValueError(f"a tensor of shape {shape} has a storage of {storage} numbers")
    return _Tensor()


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_ADMITTED = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): _Storage(dtype) for name, dtype in _STORAGES.items()},
    ("torch.storage", "UntypedStorage"): _Storage(torch.uint8),
}


class _Reader(RestrictedUnpickler):
    """Goes through a checkpoint's pickle and makes nothing of it."""

    def __init__(self, file: io.BytesIO, sizes: dict[str, int], folder: str) -> None:
        super().__init__(file)
        self._sizes, self._folder = sizes, folder

    def find_class(self, module: str, name: str) -> Any:
        return _ADMITTED[module, name] if (module, name) in _ADMITTED else super().find_class(module, name)

    def load_build(self) -> None:
        """A state dict carries the versions of its modules as an attribute, which torch looks at."""
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
