"""What is wrong with an input or an environment, as a person is told it."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class DuaError(Exception):
    """Bad input or a bad environment: the message names the file, what was expected and what to do."""


class MissingProgram(DuaError):
    """Something has to be installed first: what and how, in lines that can be copied."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return " ".join(self.lines)


def short_reason(error: BaseException) -> str:
    """The first line of another library's error, for a message of ours."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:120].rstrip(": ")


def names_like(wanted: str | None, names: Iterable[str]) -> str:
    """What there is, for a message: all names or, of more than thirty, the dozen that is most like what was `wanted`, and how many there are."""
    names = list(dict.fromkeys(names))
    if len(names) <= 30:
        return ", ".join(names)
    shown = names[:12] if wanted is None else sorted(names, key=lambda name: _unlike(name.casefold(), wanted.casefold()))[:12]
    return f"{', '.join(shown)}, ... ({len(names):,} in all)"


def _unlike(name: str, wanted: str) -> tuple[bool, float, float]:
    """The less the liker. Names in parts ('S9/Greeting 2/0') are compared part by part, so that the right person comes before the
    right take of another."""
    whole = SequenceMatcher(None, name, wanted, autojunk=False).ratio()
    pairs = list(zip(name.split("/"), wanted.split("/"), strict=False))
    parts = sum(SequenceMatcher(None, *pair, autojunk=False).ratio() for pair in pairs) / len(pairs) if "/" in wanted else whole
    return wanted not in name, -parts, -whole


def one_line(text: str) -> str:
    """What a terminal shows as one line, and takes for no command: names in a file may be of anybody's choosing."""
    return "".join(c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)
