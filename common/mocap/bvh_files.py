"""Where BVH files are, in folders and in zip archives, what they are called, and their text.

Nothing is unpacked, and no file is taken for larger than a motion can be. A clip's name is the file's, made unique; what
reports call its action follows from the name of the file or its folder.
"""

import itertools
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from common.errors import DuaError
from common.files.zips import check_zip, read_member

_MAX_BYTES = 256 * 2**20
"""Ten minutes of a body with all its fingers take half of that; a file that says it is larger is damaged or hostile."""


@dataclass(frozen=True)
class BvhSource:
    """A BVH file, on its own or within a zip archive.

    Attributes:
        name: the clip's name: the file's without ending, with its folder's before it where that is needed to tell it apart.
        path: the file, or the archive that it is in.
        member: its name within the archive; only ever a key, nothing is unpacked.
    """

    name: str
    path: Path
    member: str | None = None

    @property
    def stem(self) -> str:
        """The file's own name, without ending, whatever other files are called."""
        return self.path.stem if self.member is None else PurePosixPath(self.member).stem

    @property
    def folder(self) -> str:
        """The name of the folder that the file is in, or of the archive where that has none."""
        if self.member is None:
            return self.path.resolve().parent.name
        return PurePosixPath(self.member).parent.name or self.path.stem

    @property
    def action(self) -> str:
        """What reports call its action: by the file's own name (`action_of`), or by the folder's where that is a mere number."""
        own = action_of(self.stem)
        of_folder = action_of(self.folder)
        return of_folder if _is_number(self.stem) and not of_folder.isdecimal() else own

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    def read(self) -> str:
        """The file's text.

        Raises:
            DuaError: it cannot be read, or is larger than any motion.
        """
        try:
            if self.member is None:
                size = self.path.stat().st_size
                data = b"" if size > _MAX_BYTES else self.path.read_bytes()
            else:
                archive = _opened(self.path)
                size = archive.getinfo(self.member).file_size
                data = b"" if size > _MAX_BYTES else read_member(archive, self.member)
        # RuntimeError: a member that wants a password.
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, NotImplementedError) as error:
            raise DuaError(f"cannot read {self}: {error}") from error
        if size > _MAX_BYTES:
            raise DuaError(f"{self} says it is {size / 2**20:,.0f} MiB large; a BVH file has at most {_MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig", errors="replace")


def _opened(path: Path) -> zipfile.ZipFile:
    """An archive that was looked at; the last one stays open, as looking at all members for each of them takes its time."""
    state = path.stat()
    return _looked_at(
        path, (os.getpid(), state.st_ino, state.st_mtime_ns, state.st_size)
    )  # a forked process would share its place


@lru_cache(maxsize=1)
def _looked_at(path: Path, _: tuple[int, ...]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(path)
    try:
        check_zip(archive, path)
    except BaseException:
        archive.close()
        raise
    return archive


def find_bvh(paths: Sequence[str | Path]) -> list[BvhSource]:
    """Every BVH file in `paths`: folders (searched with all that is below them), files, and zip archives.

    Archives within folders are left alone, since they often hold what lies unpacked beside them.

    Returns:
        In the order of their names, each file once. Where two files have the same name, or a name is a mere number, that of the
        folder or archive is put before it.

    Raises:
        DuaError: a path does not exist or is of another kind, an archive is damaged, or there is no BVH file at all.
    """
    found: dict[tuple[Path, str | None], BvhSource] = {}
    for path in map(Path, paths):
        for source in _sources(path):
            found.setdefault((source.path.resolve(), source.member), source)
    if not found:
        where = ", ".join(map(str, paths)) or "no path"
        raise DuaError(f"no .bvh file in {where}; name folders or files with BVH motion, or zip archives of them")
    return sorted(_with_unique_names(list(found.values())), key=lambda source: (source.name, str(source)))


def _sources(path: Path) -> Iterator[BvhSource]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if _is_bvh(file.name) and file.is_file():
                yield BvhSource(file.stem, file)
    elif not path.exists():
        raise DuaError(f"{path} does not exist; check the path")
    elif _is_bvh(path.name):
        yield BvhSource(path.stem, path)
    elif path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                check_zip(archive, path)
                members = sorted({info.filename for info in archive.infolist() if not info.is_dir()})
        except (OSError, zipfile.BadZipFile) as error:
            raise DuaError(f"{path} is not a zip archive or is damaged ({error}); download it again") from error
        for member in members:
            if _is_bvh(PurePosixPath(member).name):
                yield BvhSource(PurePosixPath(member).stem, path, member)
    else:
        raise DuaError(f"{path} is neither a folder, nor a .bvh file, nor a .zip archive")


def _is_bvh(name: str) -> bool:
    return name.lower().endswith(".bvh") and not name.startswith(".")  # macOS puts ._NAME.bvh beside NAME.bvh


def _with_unique_names(sources: list[BvhSource]) -> list[BvhSource]:
    """Clips are kept by name: two recordings called walk.bvh become styleA_walk and styleB_walk, salsa/25.bvh becomes salsa_25."""
    names = [source.name for source in sources]
    unique: dict[str, BvhSource] = {}
    for source in sorted(sources, key=str):
        name = source.name
        if names.count(name) > 1 or _is_number(name):
            name = f"{source.folder}_{name}"
        numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in numbered if candidate not in unique)
        unique[name] = replace(source, name=name)
    return list(unique.values())


def _is_number(stem: str) -> bool:
    """Whether a file's name says nothing without its folder's: '05', but not CMU's '07_01'."""
    return not any(letter.isalpha() for letter in stem) and not _CMU.fullmatch(stem)


_BANDAI_NAMCO = re.compile(r"dataset-\d+_([^_]+)_")
"""Data set, content, style, number: 'dataset-1_walk-left_tired_001'."""
_CMU = re.compile(r"(\d+)(?:_\d+)+")
"""Subject and number: '07_01'."""
_100STYLE = re.compile(r"(.+?)_(?:[BFS][RW]|ID|TR\d)(?:_\d+)?")
"""Style and movement (backwards, forwards, sideways, each running or walking; idling; transitions): 'Aeroplane_FW'."""


def action_of(name: str) -> str:
    """What reports call the action of a clip: 'WalkLeft' for 'dataset-1_walk-left_tired_001', 'Walk' for 'walk1_subject5'.

    Of Bandai-Namco's names that is the content, of 100STYLE's the style, of CMU's, which say nothing of the action, the
    number of the subject: '07' for '07_01'. Of all others it is the words before the first number, or failing these the
    first words, or the first number, in CamelCase.

    Args:
        name: the clip's, as `find_bvh` gives it.

    Returns:
        Letters alone, or digits alone; never nothing.
    """
    if match := _CMU.fullmatch(name):
        return match[1]
    if match := _BANDAI_NAMCO.search(name) or _100STYLE.fullmatch(name):
        name = match[1]
    for words in (re.findall(r"[^\W\d_]+", stretch) for stretch in re.split(r"\d+", name)):
        if words:
            return "".join(word.capitalize() if word.isupper() else word[0].upper() + word[1:] for word in words)
    number = re.search(r"\d+", name)
    return number[0] if number else "Clip"
