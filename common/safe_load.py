"""Reading .npz and .npy files whose arrays are Python pickles, without running anybody's code.

The field keeps `{subject: {action: array}}` dictionaries in numpy object arrays, which numpy can only unpickle with
`allow_pickle=True`: a file from the internet may then run any command. This reader admits the few constructors that
numpy arrays, dictionaries, lists, strings and numbers need, and refuses every other name before it is imported.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from common.errors import DuaError

# What numpy 1 and numpy 2 write for arrays, scalars and their dtypes; `_codecs.encode` is how protocol 2 pickles bytes.
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}

_MAX_BYTES = 64 * 2**30
"""No data set of the field is larger; a header that asks for more is damaged or hostile."""


class _ForbiddenClass(Exception):
    """A pickle names something that is neither an array nor a plain container."""


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED and not (module.startswith("numpy.dtypes") and name.endswith("DType")):
            raise _ForbiddenClass(f"{module}.{name}")
        if module.startswith("numpy.core"):  # numpy 1's private name for what numpy 2 keeps in numpy._core
            module = module.replace("numpy.core", "numpy._core", 1)
        return super().find_class(module, name)


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
        raise DuaError(f"{path} is damaged or no .npz file ({_short(error)}); get it again{_hint(made_by)}") from error


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
        raise DuaError(f"{path} is damaged or no .npy file ({_short(error)}); get it again{_hint(made_by)}") from error


def require_file(path: Path, made_by: str = "") -> None:
    """Raise a `DuaError` that says how to get `path` if it is not there."""
    if path.is_dir():
        raise DuaError(f"{path} is a folder, a file was expected")
    if not path.exists():
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
    if dtype.hasobject:
        return _read_object(file, shape, path)
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    # Compare with what the container says it holds, before any memory is asked for.
    if wanted > size or wanted > _MAX_BYTES:
        raise ValueError(f"its header asks for {wanted} bytes, the file holds {size}")
    data = file.read(wanted)
    if len(data) != wanted:
        raise ValueError("it ends too early")
    array = np.frombuffer(bytearray(data), dtype=dtype)
    return array.reshape(shape, order="F" if fortran_order else "C")


def _read_object(file: Any, shape: tuple[int, ...], path: Path) -> Any:
    try:
        # latin1 is how numpy arrays pickled by Python 2 (Human3.6M's older files) keep their bytes
        loaded = _RestrictedUnpickler(io.BufferedReader(file), encoding="latin1").load()
    except _ForbiddenClass as error:
        raise DuaError(
            f"{path} holds '{error}', which is neither an array nor a plain container, and was not loaded: "
            "such a file can run code. Get it from a source that you trust"
        ) from None
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () and shape == () else loaded


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return text[:120] or type(error).__name__


def _hint(made_by: str) -> str:
    return f" or make it anew with: {made_by}" if made_by else ""
