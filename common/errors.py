"""One error class for everything a user can mend, and the one place where it becomes a line and exit code 2."""

import io
import os
import sys
from collections.abc import Callable, Iterable
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


def run_script(main: Callable[[], None], together: bool = False) -> None:
    """Run a script's `main`; a `DuaError` ends it with one line on stderr and exit code 2, without a traceback.

    Ctrl-C outside the training loop (which saves first, see `common.training.loop`) exits with 130, as shells expect. What the system
    refuses (no permission, a name that is too long) is bad input as well, wherever it shows.

    Args:
        together: the processes that `torchrun` starts run it together (`common.compute.distributed`).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a name of a file shows its escape
            stream.reconfigure(errors="backslashreplace")
    try:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            main()
        elif together:
            from common.compute.distributed import run_together  # here: not every script needs torch

            run_together(main)
        else:
            raise DuaError(f"{os.path.basename(sys.argv[0])} runs in one process: start it with python, not with torchrun")
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk or a reader that has left is dealt with
    except DuaError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `... | head`: the reader has left, nothing is wrong
        _swallow_output()
        raise SystemExit(141) from None
    except OSError as error:
        _swallow_output()
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None


def _swallow_output() -> None:
    """What is still to be written to a broken stdout must not raise once more when Python ends."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
