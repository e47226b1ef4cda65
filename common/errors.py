"""One error class for everything a user can mend, and the one place where it becomes a line and exit code 2."""

import sys
from collections.abc import Callable


class DuaError(Exception):
    """Bad input or a bad environment: the message names the file, what was expected and what to do."""


def short_reason(error: BaseException) -> str:
    """The first line of another library's error, for a message of ours."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:120].rstrip(": ")


def run_script(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `DuaError` ends it with one line on stderr and exit code 2, without a traceback.

    Ctrl-C outside the training loop (which saves first, see `common.training`) exits with 130, as shells expect.
    """
    try:
        main()
    except DuaError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `... | head`: the reader has left, nothing is wrong
        sys.stderr.close()
        raise SystemExit(141) from None
