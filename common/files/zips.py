"""Zip archives from anywhere, looked at before anything is read: what they ask for, and what they call it.

Members are only ever read into memory; nothing of an archive is unpacked to the disk. A name that would leave the folder, or
a link, has no business in any file that is read here, so it is refused all the same.
"""

import io
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

from common.errors import DuaError

MAX_BYTES = 64 * 2**30
"""No data set of the field is larger; a file that says it holds more is damaged or hostile."""

MOST_RATIO = 200
"""Poses deflate to a tenth at best, rows of NaN among them to a hundredth; zeros deflate to a thousandth."""
_END = struct.Struct("<4s4H2LH")  # signature, two numbers of disks, members here, members in all, ...
_PIECE = 2**20
_FREE = 256 * 2**20
"""What an archive may unpack to, however small it is."""


def check_zip(archive: zipfile.ZipFile, path: Path, stored: bool = False) -> None:
    """Refuse what no honest archive has: before any of it is read.

    Args:
        archive: opened from `path`.
        stored: whether its members must not be compressed, as in checkpoints.

    Raises:
        DuaError: a member's name is absolute, leads out of the folder or comes twice, a member is a link or encrypted, or it all
            unpacks to more than any data that deflates can.
    """
    members = archive.infolist()
    size, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if len(members) != _count(archive, path, len(members)):  # a flipped length hides an entry in the one before
        raise DuaError(f"{path} is damaged: its directory lists {len(members)} members, another number was packed; get it again")
    if packed > path.stat().st_size:
        raise DuaError(
            f"{path} is damaged: it says that its members take {packed} bytes, it has {path.stat().st_size}; get it again"
        )
    if size > MAX_BYTES or size > max(_FREE, MOST_RATIO * packed):
        raise DuaError(
            f"{path} says that its {packed} bytes unpack to {size}, which no poses do: it is damaged or made to fill the memory; "
            "get it from a source that you trust"
        )
    seen: set[str] = set()
    for member in members:
        if problem := _problem(member, seen, stored):
            raise DuaError(
                f"{path}: its member {_shown(member.filename)} {problem}: the archive is damaged or hostile and was not read; "
                "get it from a source that you trust"
            )
        seen.add(member.filename)


def _count(archive: zipfile.ZipFile, path: Path, unknown: int) -> int:
    """How many members the archive's last record counts, which zipfile does not look at; `unknown` if there are more than it can."""
    with open(path, "rb") as file:
        file.seek(-_END.size - len(archive.comment), io.SEEK_END)
        signature, _, _, _, count, *_ = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6":
        return -1
    return unknown if count == 0xFFFF else count


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes, no more than its directory says: `ZipFile.read` unpacks two gigabytes before it looks."""
    pieces = []
    with archive.open(name) as file:
        while piece := file.read(_PIECE):
            pieces.append(piece)
    return b"".join(pieces)


def leads_out(name: str) -> bool:
    """Whether a member of that name would be unpacked elsewhere than into the folder where an archive is unpacked."""
    name = name.replace("\\", "/")
    return name.startswith("/") or name[1:3] == ":/" or ".." in PurePosixPath(name).parts


def _problem(member: zipfile.ZipInfo, seen: set[str], stored: bool) -> str | None:
    if leads_out(member.filename):
        return "leads out of the folder that it is unpacked in"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.filename in seen:
        return "is there twice"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # LZMA takes the file's word for its memory
        return "is packed in a way that no file of the field is"
    if stored and (member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size):
        return "is compressed, which none is"
    return None


def _shown(name: str) -> str:
    return ascii(name if len(name) < 60 else name[:57] + "...")
