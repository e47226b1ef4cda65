"""Work on files that may crash, hang or fill the memory of the process that does it: in a process of its own."""

import faulthandler
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from common.errors import DuaError, short_reason

T = TypeVar("T")

_SECONDS = 3
"""Of computing; what is done here takes milliseconds."""
_SECONDS_OF_WAITING = 60
"""For a disk that is slow; and a process that was forked beside threads may wait for one that it does not have."""
_SPARE = 2**30
"""Bytes that it may ask for."""


def run_apart(work: Callable[[], T]) -> T:
    """What `work` returns, from a forked process with limits on time and memory; on other systems than Linux, from this one.

    Raises:
        DuaError: as `work` does.
        OSError: `work` raised something else, crashed, computed for seconds, waited for a minute or asked for a gigabyte.
    """
    if not sys.platform.startswith("linux"):  # elsewhere a forked process may not use what its parent has loaded
        return work()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child does nothing but `work`
        child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _limit()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(_outcome(work))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise OSError("reading it crashes, never ends or takes all memory")
    value, error = pickle.loads(answer)  # of our own making
    if error is not None:
        raise error
    return value


def _limit() -> None:
    import resource  # here, because not every system has it

    faulthandler.disable()  # a crash is what this is for
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS_OF_WAITING)
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + _SPARE
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (space if most == resource.RLIM_INFINITY else min(space, most), most))


def _outcome(work: Callable[[], object]) -> bytes:
    try:
        return pickle.dumps((work(), None))
    except DuaError as error:
        return pickle.dumps((None, DuaError(str(error))))
    except Exception as error:  # the libraries raise nearly anything
        return pickle.dumps((None, OSError(short_reason(error))))
