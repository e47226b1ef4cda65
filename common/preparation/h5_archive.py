"""Archives of HDF5 files, a sequence of Human3.6M each, read member by member in memory; every size is checked before."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS
from common.errors import DuaError, short_reason
from common.files.arrays import require_file
from common.files.zips import check_zip, leads_out, read_member

_SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS

# Human3.6M's sequences last a few minutes at 50 Hz. Whatever claims more than these is damaged or hostile.
_MAX_FRAMES = 100_000
_MAX_FILE_BYTES = 128 * 2**20


class H5Archive:
    """The .h5 members of a .zip or .tar.gz archive.

    Raises:
        DuaError: the archive is missing, cut off, or neither of the two.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        require_file(self.path)
        self._sizes: dict[str, int]
        self._archive: zipfile.ZipFile | tarfile.TarFile
        try:
            with ExitStack() as stack:
                if zipfile.is_zipfile(self.path):
                    self._archive = stack.enter_context(zipfile.ZipFile(self.path))
                    check_zip(self._archive, self.path)
                    self._sizes = {member.filename: member.file_size for member in self._archive.infolist()}
                else:
                    self._archive = stack.enter_context(tarfile.open(self.path))
                    self._sizes = {member.name: member.size for member in self._archive.getmembers() if member.isfile()}
                    if bad := next(filter(leads_out, self._sizes), None):
                        raise DuaError(
                            f"{self.path}: its member {ascii(bad)[:60]} leads out of the folder; get it from whom you trust"
                        )
                stack.pop_all()  # all went well: it stays open until `__exit__`
        except DuaError:
            raise
        except Exception as error:
            problem = error.strerror if isinstance(error, OSError) else None
            raise DuaError(
                f"{self.path} cannot be read ({problem or 'damaged, cut off, or no .zip or .tar.gz archive'}); get it again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def members(self, folder: str) -> Iterator[tuple[str, str, str]]:
        """(subject, file name without .h5, member) of each `S*/{folder}/*.h5`, in the archive's order.

        The order matters: going back in a .tar.gz means decompressing it from its start.
        """
        inner = PurePosixPath(folder).parts
        for member in self._sizes:
            path = PurePosixPath(member)
            parents = path.parts[:-1]
            # macOS packs a "._" file of attributes beside every file
            if path.suffix != ".h5" or path.name.startswith(".") or parents[-len(inner) :] != inner:
                continue
            subject = parents[-len(inner) - 1] if len(parents) > len(inner) else ""
            if subject in _SUBJECTS:
                yield subject, path.stem, member

    def read(self, member: str, dataset: str, values_per_frame: int) -> np.ndarray:
        """The array `dataset` of the HDF5 file `member`.

        Raises:
            DuaError: the member is damaged, too large, or has no such dataset.
        """
        import h5py

        from common.files.hdf5 import open_h5  # here, not above: scripts that do without it need not wait

        where = f"{self.path}: {member}"
        check_size(self._sizes[member], where)
        try:
            with open_h5(self._bytes(member), where) as file:
                found = file.get(dataset)
                if not isinstance(found, h5py.Dataset):
                    raise DuaError(f"{where} has no dataset '{dataset}', it holds: {', '.join(file) or 'nothing'}; get it again")
                check_frames((found.size or 0) // values_per_frame, where)
                return np.asarray(found[()])
        except DuaError:
            raise
        except Exception as error:  # h5py, zipfile and zlib raise nearly anything on damaged bytes
            raise DuaError(f"{where} is damaged or no HDF5 file ({short_reason(error)}); get the archive again") from error

    def _bytes(self, member: str) -> bytes:
        if isinstance(self._archive, zipfile.ZipFile):
            return read_member(self._archive, member)
        file = self._archive.extractfile(member)
        if file is None:
            raise ValueError("it is no regular file")
        return file.read()


def check_size(size: int, where: str) -> None:
    """Raise a `DuaError` if a file is larger than any of a sequence."""
    if size > _MAX_FILE_BYTES:
        raise DuaError(f"{where} is {size} bytes, no sequence of Human3.6M takes more than {_MAX_FILE_BYTES}; get it again")


def check_frames(frames: int, where: str) -> None:
    """Raise a `DuaError` if a file says that it has more frames than any sequence."""
    if frames > _MAX_FRAMES:
        raise DuaError(f"{where} claims {frames} frames, no sequence of Human3.6M has more than {_MAX_FRAMES}; get it again")
