"""How a script starts and ends. Scripts import from here before anything else, so that what goes wrong in the seconds in which torch and
matplotlib are imported, before `run_script` is there to tell of it, is told in a line as well. Nothing but scripts imports it: it
changes the process."""

import gc
import io
import os
import sys
from collections.abc import Callable
from types import TracebackType

from common.errors import DuaError, MissingProgram, one_line
from common.threads import bound_spinning


def run_script(main: Callable[[], None], together: Callable[[Callable[[], None]], None] | None = None) -> None:
    """Run a script's `main`; a `DuaError` ends it with one line on stderr (of a `MissingProgram` each of its lines) and exit code 2, without
    a traceback.

    Ctrl-C outside the training loop (which saves first, see `common.training.loop`) exits with 130, as shells expect. What the system
    refuses (no permission, a name that is too long) is bad input as well, wherever it shows.

    Args:
        together: runs `main` as one of the processes that `torchrun` starts (`common.compute.distributed.run_together`); without it the
            script is for one process alone. It is handed in because not every script needs torch.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a name of a file shows its escape
            stream.reconfigure(errors="backslashreplace")
    if not gc.isenabled():
        gc.freeze()  # what was imported stays to the end: not looked through again either
        gc.enable()
    try:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            main()
        elif together:
            together(main)
        else:
            raise DuaError(f"{os.path.basename(sys.argv[0])} runs in one process: start it with python, not with torchrun")
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk or a reader that has left is dealt with
    except DuaError as error:
        lines = error.lines if isinstance(error, MissingProgram) else (str(error),)
        print("error: " + "\n".join(map(one_line, lines)), file=sys.stderr)
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


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python then ends as by Ctrl-C, which shells show as 130."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        _hook_before(kind, error, trace)


def _check_plotting_backend() -> None:
    """matplotlib refuses to be imported where MPLBACKEND is unknown to it; here figures go into files, so that it does not matter."""
    if "MPLBACKEND" not in os.environ or "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND")
    import matplotlib

    try:
        matplotlib.rcParams["backend"] = backend
        os.environ["MPLBACKEND"] = backend
    except ValueError:
        print(f"warning: matplotlib knows no MPLBACKEND={backend!r}, which is left out of account", file=sys.stderr)


def _import_without_collecting() -> None:
    """Imports make objects by the hundred thousand and leave little garbage; looking for it time and again is a tenth of what importing
    torch takes. `run_script` begins to collect it. A process that multiprocessing starts imports the script too, and never gets there."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is None or processes.parent_process() is None:
        gc.disable()


bound_spinning()
_import_without_collecting()
_hook_before = sys.excepthook
sys.excepthook = _say_interrupted
_check_plotting_backend()
