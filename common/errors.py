"""What is wrong with an input or an environment, as a person is told it."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class DuaError(Exception):
    """Bad input or a bad environment: the message names the file, what was expected and what to do."""


def short_reason(error: BaseException) -> str:
    """The first line of another library's error, for a message of ours."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:120].rstrip(": ")


def names_like(wanted: str | None, names: Iterable[str]) -> str:
    """What there is, for a message: all names or, of more than thirty, the dozen that is most like what was `wanted`, and how many there are."""
    names = list(dict.fromkeys(names))
    if len(names) <= 30:
        return ", ".join(names)
    shown = names[:12]
    if wanted is not None:
        likeness = SequenceMatcher(b=wanted.casefold(), autojunk=False)

        def unlike(name: str) -> tuple[bool, float]:
            likeness.set_seq1(name.casefold())
            return wanted.casefold() not in name.casefold(), -likeness.ratio()

        shown = sorted(names, key=unlike)[:12]
    return f"{', '.join(shown)}, ... ({len(names):,} in all)"


def one_line(text: str) -> str:
    """What a terminal shows as one line, and takes for no command: names in a file may be of anybody's choosing."""
    return "".join(c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)
