"""What is wrong with an input or an environment, as a person is told it."""


class DuaError(Exception):
    """Bad input or a bad environment: the message names the file, what was expected and what to do."""


def short_reason(error: BaseException) -> str:
    """The first line of another library's error, for a message of ours."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:120].rstrip(": ")


def one_line(text: str) -> str:
    """What a terminal shows as one line, and takes for no command: names in a file may be of anybody's choosing."""
    return "".join(c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)
