"""Damage to files: what disks, networks and editors do to bytes, and what an enemy does to the numbers in headers."""

import re
import struct
from typing import NamedTuple

from hypothesis import strategies as st

KINDS = ("flip", "set", "overwrite", "insert", "delete", "truncate", "duplicate", "zero", "number", "word")
_NUMBERS = (0, 1, -1, 2**7, 2**15 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
_WORDS = (
    b"NaN",
    b"-1",
    b"0",
    b"1e999",
    b"99999999999999999999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"1e-300",
    b"-0.0",
    b"1" * 5000,
)
"""What a number in a text becomes."""


class Edit(NamedTuple):
    """`where` and `size` count in shares of the file and in bytes; `seed` chooses what is written."""

    kind: str
    where: float
    size: int
    seed: int


def edits() -> st.SearchStrategy[list[Edit]]:
    """One to four edits. Half of them fall into the first or last kilobyte, where headers and directories are."""
    edit = st.builds(
        Edit,
        st.sampled_from(KINDS),
        st.one_of(st.floats(0, 1, exclude_max=True), st.floats(-1024, -1), st.floats(1, 1024)),
        st.sampled_from((1, 2, 4, 8, 64, 512, 4096)),
        st.integers(0, 2**32 - 1),
    )
    return st.lists(edit, min_size=1, max_size=4)


def damaged(content: bytes, edits: list[Edit]) -> bytes:
    for edit in edits:
        content = _apply(content, edit)
    return content


def _apply(content: bytes, edit: Edit) -> bytes:
    if not content:
        return content
    place = int(edit.where * len(content)) if 0 <= edit.where < 1 else int(edit.where) % len(content)
    piece = _noise(edit.seed, edit.size)
    before, after = content[:place], content[place:]
    match edit.kind:
        case "flip":
            return before + bytes([after[0] ^ 1 << edit.seed % 8]) + after[1:]
        case "set":
            return before + piece[:1] + after[1:]
        case "overwrite":
            return before + piece[: len(after)] + after[edit.size :]
        case "insert":
            return before + piece + after
        case "delete":
            return before + after[edit.size :]
        case "truncate":
            return before
        case "duplicate":
            return before + after[: edit.size] * 2 + after[edit.size :]
        case "zero":
            return before + bytes(min(edit.size, len(after))) + after[edit.size :]
        case "number":
            code = "<>"[edit.seed % 2] + "hiq"[edit.seed // 2 % 3]
            width = struct.calcsize(code)
            number = _NUMBERS[edit.seed // 6 % len(_NUMBERS)] % 2 ** (8 * width - 1)
            return before + struct.pack(code, number)[: len(after)] + after[width:]
    found = re.compile(rb"-?\d[\d.eE+-]*").search(content, place)  # "word"
    if found is None:
        return content
    return content[: found.start()] + _WORDS[edit.seed % len(_WORDS)] + content[found.end() :]


def _noise(seed: int, size: int) -> bytes:
    """Bytes that follow from the seed alone."""
    return (
        struct.pack("<Q", seed * 0x9E3779B97F4A7C15 % 2**64) * (size // 8)
        + struct.pack("<Q", seed * 2654435761 % 2**64)[: size % 8]
    )
